"""Every command and answer in docs/ is what comes out, on a machine that has nothing but this program."""

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from acl_service.policy.document import Document
from tests.acceptance.processes import environment
from tests.docs.pages import FOLDER, RUN, Block, Typed, blocks, comes_out, typed
from tests.postgres import free_port

PAGES = sorted(path.name for path in FOLDER.glob("*.md"))
FOLLOWED = ("concepts.md", "gateway.md", "identity.md", "policy.md", "presence.md", "revocation.md")
LONG_S = 60


class Reader:
    """Somebody who does what a page says, in an empty folder."""

    def __init__(self, folder: Path, running: ExitStack) -> None:
        self._folder = folder
        self._running = running
        self._started: list[tuple[str, subprocess.Popen[str]]] = []
        names = (
            *("hooks_bind", "admin_bind", "gateway_bind"),
            *("laptop_tcp_bind", "laptop_ws_bind", "laptop_api_bind"),
        )
        addresses = {name: f"127.0.0.1:{free_port()}" for name in names}
        programs = folder / "bin"
        programs.mkdir()
        # As `.venv/bin` would give them, whatever this environment's scripts are called.
        for name, line in {"mchat": "-m mchat", "python": ""}.items():
            script = programs / name
            script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {line} "$@"\n')
            script.chmod(0o700)
        self._environment = {
            **environment(folder, **addresses, emqx_url=f"http://{addresses['laptop_api_bind']}"),
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "PYTHONIOENCODING": "utf-8",
        }

    def follow(self, block: Block) -> None:
        match block.kind:
            case "console":
                for each in typed(block.text):
                    self._type(each)
            case "ini":
                with (self._folder / ".env").open("a") as file:
                    file.write(block.text)
            case "python" | "toml":
                name = block.text.partition("\n")[0].removeprefix("# ")
                if name.endswith((".py", ".toml")):
                    (self._folder / name).write_text(block.text)
                if block.kind == "toml":
                    Document.load(block.text)

    def _type(self, each: Typed) -> None:
        command = each.command
        if command == "mchat up" or command.endswith(" &"):
            self._start(command.removesuffix(" &"), each.output)
            return
        done = subprocess.run(["sh", "-c", command], **self._here, timeout=LONG_S, check=False)
        assert comes_out(each.output, done.stdout), f"$ {command}\n{done.stdout}{self._ended()}"

    def _start(self, command: str, output: tuple[str, ...]) -> None:
        if command == "mchat up":
            # It takes the place of the one before, and of whatever was connected to that.
            self._running.close()
            self._started.clear()
        process = self._running.enter_context(self._process(command))
        self._started.append((command, process))
        assert process.stdout is not None
        until = output[-1].replace("…", "") if output else "Ctrl-C stops"
        seen = ""
        while until not in seen:
            line = process.stdout.readline()
            assert line, f"$ {command}\n{seen}"
            seen += line

    def _ended(self) -> str:
        """What ended in the background although nobody wanted it to."""
        found = [
            f"{command} ended with {process.returncode}: {process.stdout.read() if process.stdout else ''}"
            for command, process in self._started
            if process.poll() is not None
        ]
        return "\n".join(found)

    @contextmanager
    def _process(self, command: str) -> "Iterator[subprocess.Popen[str]]":
        process = subprocess.Popen(["sh", "-c", f"exec {command}"], **self._here)
        try:
            yield process
        finally:
            process.terminate()
            process.communicate(timeout=LONG_S)

    @property
    def _here(self) -> dict[str, Any]:
        return {
            "cwd": self._folder,
            "env": self._environment,
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.STDOUT,
            "text": True,
        }


@pytest.mark.timeout(400)  # dozens of processes, one after another
@pytest.mark.parametrize("page", FOLLOWED)
def test_a_page_can_be_followed(page: str, tmp_path: Path) -> None:
    followed = 0
    with ExitStack() as running:
        reader = Reader(tmp_path, running)
        for block in blocks((FOLDER / page).read_text()):
            try:
                reader.follow(block)
            except AssertionError as error:
                raise AssertionError(f"{page}, line {block.line}: {error}") from None
            followed += block.kind == "console"
    assert followed


@pytest.mark.parametrize("page", [page for page in PAGES if page not in FOLLOWED])
def test_other_pages_have_nothing_to_follow(page: str) -> None:
    assert not [block for block in blocks((FOLDER / page).read_text()) if block.kind in RUN]


@pytest.mark.parametrize(
    ("said", "output", "fits"),
    [
        (("a … c",), "a b c\n", True),
        (("a … c",), "a b d\n", False),
        (("a", "…", "c"), "a\nb\nb\nc\n", True),
        (("a", "…", "c"), "a\nc\n", True),
        (("a", "…", "c"), "a\nb\n", False),
        (("a.c",), "abc\n", False),
        (("a",), "a   \n", True),
        ((), "", True),
        ((), "a\n", False),
        (("a",), "a\nb\n", False),
        (("…",), "", True),
    ],
)
def test_an_answer_is_compared(said: tuple[str, ...], output: str, fits: bool) -> None:
    assert comes_out(said, output) is fits
