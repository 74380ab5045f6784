"""``mchat up --check``: the whole stack on free ports in a temporary folder, tried with real MQTT clients."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import tempfile
import threading
import time
from collections.abc import Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from emqx.settings import split_bind
from mchat import trials
from mchat.installation import PROFILE
from mchat.laptop_stack import stack
from mchat.roots import opened
from mchat.settings import CommandSettings, directory_settings
from mchat.signals import stop_signals, until
from mchat.trials import Trial

LOG_LINES = 30


async def run(console: Console) -> int:
    """Try everything and print a table.

    Returns:
        The exit code: 0 when all came out as it should, else 1; 143 or 130 after SIGTERM or Ctrl-C, when nothing
        is left behind either.
    """
    started = time.monotonic()
    async with stop_signals() as stop:
        done = await until(stop, _try_all(console))
    if done is None:
        return stop.exit_code
    return report(console, done, time.monotonic() - started)


def report(console: Console, done: Sequence[Trial], seconds: float) -> int:
    """Print what was expected and what came out; 0 when they are the same, else 1."""
    good = sum(trial.good for trial in done)
    console.print(_table(done))
    console.print(f"This was a fresh installation of its own, with the profile {PROFILE}.")
    verdict = "all as expected" if good == len(done) else "NOT as expected"
    console.print(f"{good} of {len(done)} {verdict}, in {seconds:.1f} s")
    return 0 if good == len(done) else 1


async def _try_all(console: Console) -> list[Trial]:
    with tempfile.TemporaryDirectory(prefix="mchat-check-") as folder, _clean_environment(Path(folder)):
        command = CommandSettings()
        async with stack(command) as running, opened(directory_settings(command)) as database:
            loop = asyncio.get_running_loop()
            stop = threading.Event()

            def await_(work: Coroutine[Any, Any, Any]) -> Any:
                return asyncio.run_coroutine_threadsafe(work, loop).result(10)

            port = split_bind(running.addresses.mqtt)[1]
            try:
                done = await asyncio.to_thread(
                    trials.try_all, port, database, running.installed, await_, stop
                )
            finally:
                stop.set()
            if not all(trial.good for trial in done):
                for part in ("serve", "gateway"):
                    _show_log(console, command.var / "log" / f"{part}.log")
            return done


def _show_log(console: Console, path: Path) -> None:
    """What a process said of the trials, before it goes with its folder."""
    console.print(f"The end of {path.name}:", style="bold")
    for line in path.read_text(errors="replace").splitlines()[-LOG_LINES:]:
        console.print(line, soft_wrap=True, markup=False, highlight=False)


@contextlib.contextmanager
def _clean_environment(folder: Path) -> Iterator[None]:
    """This process's settings, and its children's, as on a fresh machine: free ports, no ``.env``, nothing else."""
    before = dict(os.environ)
    for name in before:
        if name.startswith("MCHAT_"):
            del os.environ[name]
    ports = _free_ports(6)
    os.environ["MCHAT_VAR"] = str(folder / "var")
    # Patient: what is tried is what is decided, on a machine of any load.
    os.environ["MCHAT_PATIENCE"] = "4"
    os.environ["MCHAT_HOOKS_BIND"], os.environ["MCHAT_ADMIN_BIND"] = ports[:2]
    os.environ["MCHAT_LAPTOP_TCP_BIND"], os.environ["MCHAT_LAPTOP_WS_BIND"] = ports[2:4]
    os.environ["MCHAT_LAPTOP_API_BIND"], os.environ["MCHAT_GATEWAY_BIND"] = ports[4:]
    try:
        with contextlib.chdir(folder):
            yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _free_ports(count: int) -> list[str]:
    with contextlib.ExitStack() as stack_:
        taken = [stack_.enter_context(socket.socket()) for _ in range(count)]
        for one in taken:
            one.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{one.getsockname()[1]}" for one in taken]


def _table(done: Sequence[Trial]) -> Table:
    table = Table("what was tried", "expected", "got", "")
    for trial in done:
        table.add_row(
            trial.what, trial.expected, trial.got, "[green]✓[/]" if trial.good else "[bold red]✗[/]"
        )
    return table
