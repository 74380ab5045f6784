"""A person's standing, derived from the devices: a pure function of rows and the time (presence.md, rules 1, 7, 8)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from acl_service.presence.fold import RECONCILED
from directory.presence import DeviceState

Status = Literal["online", "offline"]

AT_ONCE: Final = frozenset(("normal", "kicked", RECONCILED))
"""Reasons of an end that nobody comes back from within a moment: meant, forced, or noticed long after it happened.
Every other one, of an open set, may be a connection that broke, and waits the grace time (rule 8)."""


@dataclass(frozen=True, slots=True)
class Derived:
    """A person's standing.

    Attributes:
        status: `online` while at least one device is.
        devices: how many are.
        last_seen: the newest moment of any of them, milliseconds since the epoch.
        due_at: when it will be another if nothing is heard until then; None: never.
    """

    status: Status
    devices: int
    last_seen: int
    due_at: int | None


def derive(
    devices: Iterable[DeviceState], *, announced: str, last_seen: int, now_ms: int, grace_ms: int
) -> Derived:
    """Derive a person's standing.

    The grace time of an end runs from the broker's moment of it, or from when it was heard if that is earlier: no
    clock of a broker makes it longer.

    Args:
        devices: all that are known of the person.
        announced: the status that is announced now; whoever is not online has no grace to lose.
        last_seen: as known so far; never goes back.
        now_ms: the time, milliseconds since the epoch.
        grace_ms: how long an end that nobody meant waits to be announced.
    """
    on, until = 0, 0
    for device in devices:
        last_seen = max(last_seen, device.last_seen_at)
        if device.online:
            on += 1
        elif device.reason not in AT_ONCE:
            until = max(until, min(device.since_at, device.updated_at) + grace_ms)
    if on:
        return Derived("online", on, last_seen, None)
    if announced == "online" and now_ms < until:
        return Derived("online", 0, last_seen, until)
    return Derived("offline", 0, last_seen, None)
