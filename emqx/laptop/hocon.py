"""HOCON as far as EMQX's configuration needs it: objects, lists, values, comments, dotted keys, texts of many lines.

No includes, no ``${substitution}``, no ``+=``, no concatenation: each is refused by name rather than read wrongly.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, NoReturn

from emqx.errors import EmqxError

_TOKEN = re.compile(
    r"""(?P<space>[ \t\r]+|(?:\#|//)[^\n]*)
    |(?P<line>\n|,)
    |(?P<mark>[{}\[\]]|\+=|[=:])
    |(?P<lines>"{3}.*?"{3,})
    |(?P<quoted>"(?:\\.|[^"\\\n])*")
    |(?P<bare>[^\s{}\[\]=:,"\#$]+)""",
    re.VERBOSE | re.DOTALL,
)
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_WORDS: Mapping[str, object] = {"true": True, "false": False, "null": None}
_PLAIN = re.compile(r"[A-Za-z][A-Za-z_]*")
_DEEPEST = 32


class HoconError(EmqxError):
    """The text is no HOCON that is understood.

    Attributes:
        line: where.
        reason: why.
    """

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line}: {reason}")
        self.line = line
        self.reason = reason


def parse(text: str) -> dict[str, Any]:
    """The object of a text.

    Raises:
        HoconError: see there.
    """
    return _Reader(text).document()


class _Reader:
    def __init__(self, text: str) -> None:
        self._tokens: list[tuple[str, str, int]] = []
        self._at = 0
        place, line = 0, 1
        while place < len(text):
            found = _TOKEN.match(text, place)
            if found is None or (found.lastgroup != "lines" and text.startswith('"""', place)):
                raise HoconError(line, f"{text[place : place + 20]!r} is not understood")
            if found.lastgroup != "space":
                self._tokens.append((str(found.lastgroup), found[0], line))
            line += found[0].count("\n")
            place = found.end()
        self._tokens.append(("end", "", line))

    def document(self) -> dict[str, Any]:
        braced = self._skip_lines() == "{"
        if braced:
            self._at += 1
        found = self._members("}" if braced else "", 0)
        self._skip_lines()
        if self._tokens[self._at][0] != "end":
            self._fail()
        return found

    def _members(self, end: str, depth: int) -> dict[str, Any]:
        if depth > _DEEPEST:
            self._fail()
        members: dict[str, Any] = {}
        while self._skip_lines() != end:
            path = self._key()
            kind, sign, _ = self._tokens[self._at]
            if kind == "mark" and sign in "=:":
                self._at += 1
                self._skip_newlines()
            elif sign != "{":
                self._fail()
            _put(members, path, self._value(depth))
        self._at += 1 if end else 0
        return members

    def _key(self) -> list[str]:
        path: list[str] = []
        kind, text, _ = self._tokens[self._at]
        if kind == "quoted":
            path = [self._unquoted(text)]
        elif kind == "bare" and text != "include":
            path = text.split(".")
        if not path or "" in path:
            self._fail()
        self._at += 1
        return path

    def _value(self, depth: int) -> object:
        kind, text, _ = self._tokens[self._at]
        self._at += 1
        if text == "{" and kind == "mark":
            return self._members("}", depth + 1)
        if text == "[" and kind == "mark":
            return self._items(depth + 1)
        if kind == "quoted":
            value: object = self._unquoted(text)
        elif kind == "lines":
            value = _joined(text[3:-3])
        elif kind == "bare" and _NUMBER.fullmatch(text):
            value = json.loads(text)
        elif kind == "bare":
            value = _WORDS.get(text, text)
        else:
            self._at -= 1
            self._fail()
        if self._tokens[self._at][0] in ("bare", "quoted", "lines"):
            self._fail()
        return value

    def _items(self, depth: int) -> list[object]:
        if depth > _DEEPEST:
            self._fail()
        items: list[object] = []
        while self._skip_lines() != "]":
            items.append(self._value(depth))
        self._at += 1
        return items

    def _unquoted(self, text: str) -> str:
        try:
            value: str = json.loads(text)
        except json.JSONDecodeError as error:
            raise HoconError(self._tokens[self._at][2], f"{text} is no string: {error.msg}") from error
        return value

    def _skip_lines(self) -> str:
        while self._tokens[self._at][0] == "line":
            self._at += 1
        return self._tokens[self._at][1]

    def _skip_newlines(self) -> None:
        while self._tokens[self._at][:2] == ("line", "\n"):
            self._at += 1

    def _fail(self) -> NoReturn:
        _, text, line = self._tokens[self._at]
        raise HoconError(line, f"syntax error before: {text}")


def _joined(text: str) -> str:
    """A text between three quotes as it is; EMQX writes those of many lines indented, from ``~`` to ``~``."""
    if not text.startswith("~\n"):
        return text
    lines = text.removeprefix("~\n").removesuffix("~").split("\n")
    indents = [len(line) - len(line.lstrip(" ")) for line in lines if line.strip()]
    indent = min(indents, default=0)
    return "\n".join(line[indent:] for line in lines)


def _put(members: dict[str, Any], path: list[str], value: object) -> None:
    for name in path[:-1]:
        inner = members.get(name)
        members[name] = members = inner if isinstance(inner, dict) else {}
    there = members.get(path[-1])
    if isinstance(there, dict) and isinstance(value, dict):
        for name, inner in value.items():
            _put(there, [name], inner)
    else:
        members[path[-1]] = value


def render(value: Mapping[str, Any], indent: str = "") -> str:
    """An object as EMQX writes it, a member a line."""
    lines = []
    for name, inner in sorted(value.items()):
        key = name if re.fullmatch(r"[\w-]+", name) else json.dumps(name, ensure_ascii=False)
        if isinstance(inner, Mapping):
            lines.append(f"{indent}{key} {_written(inner, indent)}\n")
        else:
            lines.append(f"{indent}{key} = {_written(inner, indent)}\n")
    return "".join(lines)


def _written(value: object, indent: str) -> str:
    deeper = indent + "  "
    if isinstance(value, Mapping):
        return "{\n" + render(value, deeper) + indent + "}" if value else "{}"
    if isinstance(value, list | tuple):
        items = ",\n".join(deeper + _written(item, deeper) for item in value)
        return f"[\n{items}\n{indent}]" if items else "[]"
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value not in (*_WORDS, "include"):
        return value
    return json.dumps(value, ensure_ascii=False)
