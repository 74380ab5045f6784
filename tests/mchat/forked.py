"""``mchat`` commands as processes that need not start: forked from one that has imported what commands import.

Each has its own folder, environment, output and exit code, as if it had been typed; what it does not show is that a
command imports what it uses. Those that docs/ types, and whatever stays running, start from nothing.
"""

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from mchat.catalogue import COMMANDS

DONE_S = 60.0

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(
    [
        __name__,
        *("mchat.__main__", *sorted({entry.module for entry in COMMANDS.values()})),
        *("mchat.service_roots", "mchat.laptop_root", "mchat.laptop_stack"),
    ]
)


def mchat(
    arguments: tuple[str, ...], folder: Path, environment: Mapping[str, str]
) -> "subprocess.CompletedProcess[str]":
    """Run one command to its end.

    Raises:
        TimeoutError: it has none.
    """
    with TemporaryDirectory() as kept:
        output, errors = Path(kept, "output"), Path(kept, "errors")
        process = _context.Process(
            target=_become, args=(arguments, folder, dict(environment), output, errors), daemon=True
        )
        process.start()
        process.join(DONE_S)
        code = process.exitcode
        if code is None:
            process.kill()
            process.join()
            raise TimeoutError(f"mchat {' '.join(arguments)} did not end: {errors.read_text()}")
        process.close()
        return subprocess.CompletedProcess(arguments, code, output.read_text(), errors.read_text())


def _become(
    arguments: tuple[str, ...], folder: Path, environment: dict[str, str], output: Path, errors: Path
) -> None:
    """Be the process of one command."""
    from mchat.__main__ import main

    for path, descriptor in ((output, 1), (errors, 2)):
        opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(opened, descriptor)
        os.close(opened)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["mchat", *arguments]
    main()
