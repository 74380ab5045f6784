"""Who is connected, device by device: a pure fold of what is heard of one client id (presence.md, rules 1 to 12).

What is heard comes late, twice, in any order, or never. So nothing is ordered by the time of its arrival: a
connection is known by its epoch, the broker's `connected_at`, and what is about an older connection has no effect.
Any order of the same facts, with any repetitions, folds to the same device.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal

NEAR_MS: Final = 50
"""Epochs of two nodes that lie nearer than this may stand in the wrong order: their clocks differ (rule 6)."""

RECONCILED: Final = "reconciled"
"""The reason of an end that nobody told: the broker did not list the client any more (rule 10)."""

_SUCCEEDED: Final = frozenset(("takenover", "discarded"))
"""Reasons of an end that has a successor, which has events of its own (rule 2)."""

Kind = Literal[
    "online", "offline", "moved", "confirmed", "explained", "superseded", "duplicate", "stale", "doubtful"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected:
    """A connection began (contract 4.2, `client.connected`).

    Attributes:
        epoch: the broker's `connected_at`, milliseconds since the epoch.
        node: of the broker.
        peer: address of the client.
        employee_id: whom it is known to be, if at all.
    """

    epoch: int
    node: str = ""
    peer: str = ""
    employee_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Disconnected:
    """A connection ended (contract 4.2, `client.disconnected`).

    Attributes:
        epoch: `connected_at` of the connection that ended; None from brokers before 5.8.6.
        at: `disconnected_at`, milliseconds since the epoch; it decides nothing where the epoch is known.
        reason: the broker's word for it; an open set.
        node: of the broker.
        peer: address of the client.
        employee_id: whom it is known to be, if at all.
    """

    epoch: int | None
    at: int
    reason: str = ""
    node: str = ""
    peer: str = ""
    employee_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """The broker's list shows a client that is connected.

    Attributes:
        begun_at: when the list was begun, milliseconds since the epoch: what is newer is not in it.
        epoch: as of `Connected`, and so the others.
        later: whether all that is known was heard before the list was begun. Then the list is the later word, even
            where a broker's clock that is ahead says otherwise.
    """

    begun_at: int
    epoch: int
    node: str = ""
    peer: str = ""
    employee_id: str | None = None
    later: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """The broker's list does not show a client.

    Attributes:
        begun_at: when the list was begun, milliseconds since the epoch.
        later: as of `Listed`.
    """

    begun_at: int
    later: bool = False


Fact = Connected | Disconnected | Listed | Missing


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """What is known of a client id.

    Attributes:
        client_id: the client id.
        employee_id: whom it is known to be, if at all.
        epoch: of the newest connection that is known.
        node: where that was.
        online: whether it lasts.
        since: from when it does or does not, milliseconds since the epoch, by the broker's clock; of an end that
            nobody told, when it was missed.
        peer: address of the client.
        reason: why it ended; empty while it lasts.
        last_seen: the newest moment of any connection at which the client was there; never goes back (rule 7).
    """

    client_id: str
    employee_id: str | None = None
    epoch: int
    node: str = ""
    online: bool
    since: int
    peer: str = ""
    reason: str = ""
    last_seen: int

    @property
    def connection(self) -> tuple[int, str]:
        """What orders connections: the epoch, and of equal ones the greater name of the node (rule 6)."""
        return self.epoch, self.node


@dataclass(frozen=True, slots=True)
class Transition:
    """What a fact meant.

    Attributes:
        kind: `online` and `offline`: the client came or went. `moved`: it is on by a newer connection. `confirmed`:
            the broker's list says what was known. `explained`: an end that nobody had told was told at last.
            `superseded`: a connection ended that has a successor. `duplicate`: known already. `stale`: about an
            older connection, or older than what is known. `doubtful`: beside another of these, two nodes' clocks
            may have swapped two connections.
        at: the broker's time of it, milliseconds since the epoch.
    """

    kind: Kind
    at: int

    @property
    def counts(self) -> bool:
        """Whether the client is another than before, which is what history keeps and people are told of (rule 4)."""
        return self.kind in ("online", "offline", "moved")


Folded = tuple[Device | None, tuple[Transition, ...]]


def fold(device: Device | None, client_id: str, fact: Fact) -> Folded:
    """Take in one fact about a client id.

    Args:
        device: what was known of it; None: nothing.
        client_id: the client id.
        fact: what was heard.

    Returns:
        What is known now, and what the fact meant.
    """
    match fact:
        case Connected():
            return _connected(device, client_id, fact)
        case Disconnected():
            return _disconnected(device, client_id, fact)
        case Listed():
            return _listed(device, client_id, fact)
        case Missing():
            return _missing(device, fact)


def _begun(client_id: str, fact: Connected | Listed) -> Device:
    """What a connection says of a client of which nothing else is known."""
    return Device(
        client_id=client_id,
        employee_id=fact.employee_id,
        epoch=fact.epoch,
        node=fact.node,
        online=True,
        since=fact.epoch,
        peer=fact.peer,
        last_seen=fact.epoch,
    )


def _connected(device: Device | None, client_id: str, fact: Connected) -> Folded:
    new = _begun(client_id, fact)
    if device is None:
        return new, (Transition("online", fact.epoch),)
    if new.connection <= device.connection:
        same = new.connection == device.connection
        if same and not device.online:
            # An end that came before its beginning stands: this is the late beginning (rule 3).
            device = _completed(device, fact)
        told_before = same and device.online
        return _seen(device, fact.epoch), (Transition("duplicate" if told_before else "stale", fact.epoch),)
    kind: Kind = "moved" if device.online else "online"
    told = [Transition(kind, fact.epoch)]
    if device.node not in ("", fact.node) and fact.epoch - device.epoch < NEAR_MS:
        told.append(Transition("doubtful", fact.epoch))
    return replace(new, last_seen=max(device.last_seen, fact.epoch)), tuple(told)


def _disconnected(device: Device | None, client_id: str, fact: Disconnected) -> Folded:
    if fact.reason in _SUCCEEDED:
        # It says nothing of the successor: that has events of its own, and else the broker's list will tell.
        return device, (Transition("superseded", fact.at),)
    # Without an epoch, the moment of the end stands for it: what began later is another connection (rule 5).
    epoch = fact.at if fact.epoch is None else fact.epoch
    new = Device(
        client_id=client_id,
        employee_id=fact.employee_id,
        epoch=epoch,
        node=fact.node,
        online=False,
        since=fact.at,
        peer=fact.peer,
        reason=fact.reason,
        last_seen=fact.at,
    )
    if device is None:
        return new, (Transition("offline", fact.at),)
    if new.connection < device.connection:
        return _seen(device, fact.at), (Transition("stale", fact.at),)
    new = replace(new, last_seen=max(device.last_seen, fact.at))
    if new.connection == device.connection:
        new = _completed(new, device)
    if device.online or new.connection > device.connection:
        # An end of a connection that nobody told the beginning of leaves no doubt: the client is away (rule 3).
        return new, (Transition("offline", fact.at) if device.online else Transition("explained", fact.at),)
    if device.reason == RECONCILED:
        return new, (Transition("explained", fact.at),)
    first = (device.since, device.reason) >= (new.since, new.reason)
    kept = _seen(device, fact.at) if first else new
    return kept, (Transition("duplicate", fact.at),)


def _listed(device: Device | None, client_id: str, fact: Listed) -> Folded:
    new = _begun(client_id, fact)
    if device is None:
        return new, (Transition("online", fact.epoch),)
    if _newer(device, fact):
        return device, (Transition("stale", fact.begun_at),)
    new = replace(
        new,
        employee_id=fact.employee_id or device.employee_id,
        peer=fact.peer or device.peer,
        last_seen=max(device.last_seen, fact.epoch),
    )
    if device.online and device.connection == new.connection:
        return new, (Transition("confirmed", fact.epoch),)
    # The list is the truth (rule 9), even of a broker whose clock went back.
    return new, (Transition("moved" if device.online else "online", fact.epoch),)


def _missing(device: Device | None, fact: Missing) -> Folded:
    if device is None or not device.online:
        return device, ()
    if _newer(device, fact):
        return device, (Transition("stale", fact.begun_at),)
    # An epoch ahead of the list is one of a clock that was wrong: it must not outlast every connection to come.
    epoch = min(device.epoch, fact.begun_at)
    gone = replace(device, epoch=epoch, online=False, since=fact.begun_at, reason=RECONCILED)
    return gone, (Transition("offline", fact.begun_at),)


def _newer(device: Device, fact: Listed | Missing) -> bool:
    """Whether what is known is newer than a list, which then changes nothing (rule 10)."""
    return device.since > fact.begun_at and not fact.later


def _completed(device: Device, other: Device | Connected) -> Device:
    """Fill in what one fact about a connection did not say, and another did."""
    return replace(
        device, employee_id=device.employee_id or other.employee_id, peer=device.peer or other.peer
    )


def _seen(device: Device, at: int) -> Device:
    return device if at <= device.last_seen else replace(device, last_seen=at)
