"""How much the hooks remember, and what they forget first."""

from __future__ import annotations

from dataclasses import dataclass

from acl_service.principals import Client, Person


@dataclass(frozen=True, slots=True)
class MemoryBounds:
    """How much is remembered, in entries.

    Attributes:
        people: people with their groups and credentials.
        clients: client ids that have come in.
        unknown: names of nobody, and client ids that nobody has come in with, each.
    """

    people: int = 100_000
    clients: int = 200_000
    unknown: int = 20_000


def evict(entries: dict[str, Person] | dict[str, Client], bound: int) -> None:
    """Forget the longest known, a tenth at a time, so that a full memory does not pay at each entry."""
    if len(entries) > bound:
        for name in list(entries)[: max(1, bound // 10)]:
            del entries[name]
