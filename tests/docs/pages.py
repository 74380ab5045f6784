"""The pages of docs/ as a reader follows them: their blocks, and whether an answer is the one that is printed.

A page's fenced blocks tell what to do with them:

- ``console``: lines behind ``$ `` are typed (a trailing backslash goes on in the next line), what follows is what
  comes out. `…` stands for any part of a line, a line of nothing else for any lines. A command that is typed
  with ``&`` at its end stays running; ``mchat up`` always does, and ends those that were before it.
- ``ini``: settings, put into the file ``.env``.
- ``python``: a program, put into the file that its first line names.
- ``toml``: a policy document, which has to be right; put into a file likewise, if its first line names one.

Anything else (``hocon``, ``text`` …) is only shown.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "docs"

RUN = ("console", "ini", "python", "toml")

_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block.

    Attributes:
        kind: the word behind the fence.
        text: what is in it.
        line: of the page, where it begins.
    """

    kind: str
    text: str
    line: int


@dataclass(frozen=True, slots=True)
class Typed:
    """One command of a ``console`` block and what is said to come out."""

    command: str
    output: tuple[str, ...]


def blocks(page: str) -> list[Block]:
    """All fenced blocks of a page."""
    return [
        Block(found[1], found[2], page.count("\n", 0, found.start()) + 1) for found in _FENCE.finditer(page)
    ]


def typed(text: str) -> Iterator[Typed]:
    """The commands of a ``console`` block."""
    command: str | None = None
    output: list[str] = []
    lines = iter(text.splitlines())
    for line in lines:
        if not line.startswith("$ "):
            if command is None:
                raise AssertionError(f"{line!r}: a console block begins with a command")
            output.append(line)
            continue
        if command is not None:
            yield Typed(command, tuple(output))
        command, output = line.removeprefix("$ "), []
        while command.endswith("\\"):
            command = command[:-1] + next(lines)
    if command is not None:
        yield Typed(command, tuple(output))


def comes_out(said: tuple[str, ...], output: str) -> bool:
    """Whether an output is the one that a page shows; blanks at the ends of lines do not count."""
    parts = []
    for line in map(str.rstrip, said):
        anything = r"(?:[^\n]*\n)*?" if line.strip() == "…" else None
        parts.append(anything or ".*?".join(map(re.escape, line.split("…"))) + r"\n")
    text = "\n".join(line.rstrip() for line in output.splitlines())
    return re.fullmatch("".join(parts), text + "\n" if text else "") is not None
