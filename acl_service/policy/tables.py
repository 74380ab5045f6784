"""Reading TOML tables with an eye on everything that is wrong in them, not only on the first thing."""

import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, TypeVar

from acl_service.policy.positions import Path, positions

_POSITION: Final = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in a policy text.

    Attributes:
        line: of the text, counted from 1.
        message: what is wrong, with which value, and what to write instead.
        role: in whose table it stands, if in one.
        rule: number of the permission within its role, counted from 1.
    """

    line: int
    message: str
    role: str | None = None
    rule: int | None = None

    def __str__(self) -> str:
        role = "" if self.role is None else f", role {self.role}"
        rule = "" if self.rule is None else f", rule {self.rule}"
        return f"line {self.line}{role}{rule}: {self.message}"


class PolicyError(ValueError):
    """A policy text that cannot be taken.

    Attributes:
        problems: all that is wrong with it, by line.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda each: each.line))
        super().__init__("\n".join(str(problem) for problem in self.problems))


class Notes:
    """The problems of one text, each put down with its line, role and rule."""

    def __init__(self, lines: dict[Path, int]) -> None:
        self._lines = lines
        self.problems: list[Problem] = []

    def add(self, path: Path, message: str) -> None:
        """Put down what is wrong with the value at `path`, or what is missing from it."""
        self.problems.append(Problem(self.line(path), message, *_rule_of(path)))

    def line(self, path: Path) -> int:
        """Return the line of the value at `path`, or of the closest table around it."""
        while path not in self._lines:
            path = path[:-1]
        return self._lines[path]


T = TypeVar("T")


class Table:
    """One TOML table; a value of the wrong type is noted as a problem and read as if it were not there."""

    def __init__(self, values: dict[str, object], path: Path, notes: Notes) -> None:
        self.values = values
        self.path = path
        self.notes = notes

    @classmethod
    def load(cls, text: str) -> "Table":
        """Read a TOML text.

        Raises:
            PolicyError: it is no TOML.
        """
        try:
            values = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            found = _POSITION.search(str(error))
            line = int(found[1]) if found and found[1] else text.count("\n") + 1
            raise PolicyError([Problem(line, f"this is no TOML: {_POSITION.sub('', str(error))}")]) from error
        return cls(values, (), Notes(positions(text)))

    def note(self, key: str | None, message: str) -> None:
        """Put down a problem with one key, or with the whole table."""
        self.notes.add(self.path if key is None else (*self.path, key), message)

    def only(self, *known: str) -> None:
        """Note each key that is none of `known`."""
        for key in self.values:
            if key not in known:
                self.note(key, f"unknown key {key!a}: known here are {', '.join(known)}")

    def text(self, key: str) -> str | None:
        """Return a text that is not empty."""
        value = self._typed(key, str, "a text")
        if value == "":
            self.note(key, f"{key} is empty: write a text, or leave the key out")
            return None
        return value

    def flag(self, key: str) -> bool | None:
        """Return true or false."""
        return self._typed(key, bool, "true or false")

    def number(self, key: str) -> int | None:
        """Return a whole number."""
        return self._typed(key, int, "a whole number")

    def texts(self, key: str) -> list[str]:
        """Return a list of texts; a single text is a list of one."""
        return self._listed(key, str, "a text or a list of texts")

    def numbers(self, key: str) -> list[int] | None:
        """Return a list of whole numbers; a single number is a list of one; `None` if there is none."""
        return self._listed(key, int, "a whole number or a list of them") if key in self.values else None

    def table(self, key: str) -> "Table":
        """Return the table under a key; an empty one if there is none."""
        return Table(self._typed(key, dict, "a table") or {}, (*self.path, key), self.notes)

    def tables(self, key: str) -> Iterator["Table"]:
        """Return each table in the list under a key."""
        for at, value in enumerate(self._typed(key, list, "a list of tables") or []):
            path = (*self.path, key, at)
            if isinstance(value, dict):
                yield Table(value, path, self.notes)
            else:
                self.notes.add(path, f"{value!a} is not a table: write {{ action = …, space = … }}")

    def _typed(self, key: str, kind: type[T], wanted: str) -> T | None:
        value = self.values.get(key)
        if value is None or type(value) is kind:
            return value
        self.note(key, f"{key} is {value!a}: write {wanted}")
        return None

    def _listed(self, key: str, kind: type[T], wanted: str) -> list[T]:
        value = self.values.get(key, [])
        listed = value if isinstance(value, list) else [value]
        found = [each for each in listed if type(each) is kind]
        if len(found) != len(listed):
            self.note(key, f"{key} is {value!a}: write {wanted}")
        return found


def _rule_of(path: Path) -> tuple[str | None, int | None]:
    """Return the role and the number of the permission that a path leads through."""
    role = str(path[1]) if len(path) > 1 and path[0] == "roles" else None
    at = path[3] if role is not None and len(path) > 3 and path[2] == "permissions" else None
    return role, at + 1 if isinstance(at, int) else None
