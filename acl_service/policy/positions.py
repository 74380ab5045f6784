"""On which line of a TOML text a value stands, which `tomllib` does not tell.

This is no TOML parser: it walks over a text that `tomllib` has accepted already, and so knows just enough of
the grammar (TOML 1.0) not to be misled by strings, comments and brackets.
"""

import re
import tomllib
from bisect import bisect_right
from typing import Final

Path = tuple[str | int, ...]
"""Keys and list positions that lead from the document to a value."""

_BLANK: Final = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE: Final = re.compile(r"[ \t]*")
_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_SCALAR: Final = re.compile(r"[^,\]}#\r\n]+")
_STRING: Final = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}' r"|'''.*?'{3,5}" r'|"(?:\\.|[^"\\])*"' r"|'[^']*'",
    re.DOTALL,
)


def positions(text: str) -> dict[Path, int]:
    """Map the path of each table, list element and value of a valid TOML text to its line, counted from 1."""
    return _Scan(text).document()


class _Scan:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._breaks = [at for at, sign in enumerate(text) if sign == "\n"]
        self._lines: dict[Path, int] = {(): 1}
        self._elements: dict[Path, int] = {}

    def document(self) -> dict[Path, int]:
        table: Path = ()
        self._skip(_BLANK)
        while self._at < len(self._text):
            if self._next("[["):
                table = self._header(self._keys(), repeated=True)
                self._take("]]")
            elif self._next("["):
                table = self._header(self._keys(), repeated=False)
                self._take("]")
            else:
                self._pair(table)
            self._skip(_BLANK)
        return self._lines

    def _header(self, keys: list[str], *, repeated: bool) -> Path:
        path: Path = ()
        for left, key in zip(range(len(keys) - 1, -1, -1), keys, strict=True):
            path = (*path, key)
            self._note(path)
            if repeated and not left:
                self._elements[path] = self._elements.get(path, 0) + 1
            if path in self._elements:
                path = (*path, self._elements[path] - 1)
                self._note(path)
        return path

    def _pair(self, table: Path) -> None:
        path = table
        for key in self._keys():
            path = (*path, key)
            self._note(path)
        self._take("=")
        self._value(path)

    def _keys(self) -> list[str]:
        keys: list[str] = []
        while True:
            self._skip(_SPACE)
            if self._text[self._at] in "\"'":
                keys.append(tomllib.loads(f"key = {self._match(_STRING)}")["key"])
            else:
                keys.append(self._match(_BARE))
            self._skip(_SPACE)
            if not self._next("."):
                return keys

    def _value(self, path: Path) -> None:
        self._skip(_SPACE)
        if self._next("["):
            self._list(path)
        elif self._next("{"):
            self._inline(path)
        elif self._text[self._at] in "\"'":
            self._match(_STRING)
        else:
            self._match(_SCALAR)

    def _list(self, path: Path) -> None:
        number = 0
        self._skip(_BLANK)
        while not self._next("]"):
            self._note((*path, number))
            self._value((*path, number))
            number += 1
            self._skip(_BLANK)
            self._next(",")
            self._skip(_BLANK)

    def _inline(self, path: Path) -> None:
        self._skip(_BLANK)
        while not self._next("}"):
            self._pair(path)
            self._skip(_BLANK)
            self._next(",")
            self._skip(_BLANK)

    def _note(self, path: Path) -> None:
        self._lines.setdefault(path, bisect_right(self._breaks, self._at - 1) + 1)

    def _skip(self, pattern: re.Pattern[str]) -> None:
        found = pattern.match(self._text, self._at)
        if found is not None:
            self._at = found.end()

    def _match(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self._text, self._at)
        if found is None:
            raise ValueError(
                f"character {self._at} is not what TOML has here: check the text with tomllib first"
            )
        self._at = found.end()
        return found.group()

    def _next(self, sign: str) -> bool:
        if not self._text.startswith(sign, self._at):
            return False
        self._at += len(sign)
        return True

    def _take(self, sign: str) -> None:
        self._skip(_SPACE)
        self._match(re.compile(re.escape(sign)))
