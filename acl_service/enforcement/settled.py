"""What was done to sessions to bring them in line."""

from __future__ import annotations

from dataclasses import dataclass, field

from acl_service.enforcement.sessions import Session


@dataclass(slots=True)
class Settled:
    """What was done.

    Attributes:
        sessions: how many were looked at.
        kicked: client ids whose session ended.
        draining: sessions of the gateway that have to reconnect by themselves.
        unsubscribed: client ids and the subscriptions that they lost.
        written: client ids whose rules changed in the broker.
        held: client ids whose rules another worker is writing, or wrote late, or who came back just now: to be
            looked at again soon.
    """

    sessions: int = 0
    kicked: list[str] = field(default_factory=list)
    draining: list[Session] = field(default_factory=list)
    unsubscribed: list[tuple[str, str]] = field(default_factory=list)
    written: set[str] = field(default_factory=set)
    held: set[str] = field(default_factory=set)

    def add(self, other: Settled) -> None:
        """Take in what another call did."""
        self.sessions += other.sessions
        self.kicked += other.kicked
        self.draining += other.draining
        self.unsubscribed += other.unsubscribed
        self.written |= other.written
        self.held |= other.held
