"""A row of the bypass table: one way in that must be closed, beside its allowed twin."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from tests.acceptance.bypass.ways import Way

if TYPE_CHECKING:
    from tests.acceptance.bypass.stage import Stage

ALLOWED: Final = "allowed"
DENIED: Final = "denied"
"""200 and a deny; return code 5 in CONNACK; 0x80 in SUBACK; a message that reached nobody."""

CLOSED: Final = "closed"
"""The connection was ended without an answer: what came was no MQTT or no HTTP."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """Something that a stranger does, over real sockets."""

    async def made(self, stage: "Stage") -> str:
        """Do it and tell what came of it: `ALLOWED`, `DENIED`, `CLOSED` or an HTTP status."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Row:
    """One way in.

    Attributes:
        way: which of the issue's list it shows.
        name: what it does, for a reader.
        twin: what is allowed.
        change: the one field of it, with the value that makes it an attack.
        refused: what has to come of the attack.
    """

    way: Way
    name: str
    twin: Attempt
    change: Mapping[str, object]
    refused: str = DENIED

    @property
    def attack(self) -> Attempt:
        """The twin with the attack in it."""
        return replace(self.twin, **self.change)

    @property
    def id(self) -> str:
        """The name of its test."""
        return f"{self.way.name.lower()}: {self.name}"


def row(way: Way, name: str, twin: Attempt, *, refused: str = DENIED, **change: object) -> Row:
    """Make a row; `change` names the one field that makes the attack."""
    return Row(way, name, twin, change, refused)


def rows(way: Way, twin: Attempt, field: str, attacks: Mapping[str, object]) -> list[Row]:
    """Make a row for each value of one field, by what it does."""
    return [Row(way, name, twin, {field: value}) for name, value in attacks.items()]
