"""What stored events of the broker say, in the terms of presence: facts, subscriptions, and what people publish."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Final

import msgspec

from acl_service.presence.fold import Connected, Disconnected, Fact
from directory.events import EventRow
from directory.ids import is_id
from directory.subscriptions import SubscriptionRow

LAST_MS: Final = 253_402_300_799_999
"""The last moment that a date can be made of, the end of the year 9999: what is later is no time of anything."""

AHEAD_MS: Final = 3_600_000
"""A subscription that began further ahead of when its event came is taken to have begun so far ahead at most: its end,
or that of its session, must not seem older for longer than that."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A fact about a client id."""

    client_id: str
    fact: Fact


@dataclass(frozen=True, slots=True)
class Said:
    """Something published on a person's status topic, by whomever.

    Attributes:
        employee_id: whose topic it is.
        client_id: of the sender as the broker tells it; of the REST API's messages no client's. Proves nothing.
        payload: text as it was published; None: the event does not hold it, so that it is nothing of ours.
    """

    employee_id: str
    client_id: str
    payload: str | None


@dataclass(slots=True)
class Batch:
    """What some events say.

    Attributes:
        heard: of connections.
        said: on status topics.
        subscriptions: that began or ended.
        fresh: by client id: since when its session is a new one, milliseconds since the epoch by the broker's clock.
        unread: events that say nothing that can be used.
    """

    heard: list[Heard] = field(default_factory=list)
    said: list[Said] = field(default_factory=list)
    subscriptions: list[SubscriptionRow] = field(default_factory=list)
    fresh: dict[str, int] = field(default_factory=dict)
    unread: int = 0


class _Body(msgspec.Struct, frozen=True):
    """What the columns of an event do not hold (contract 4.2, 4.5), as far as the database holds it."""

    timestamp: Annotated[int, msgspec.Meta(ge=0, le=LAST_MS)] | None = None
    qos: Annotated[int, msgspec.Meta(ge=0, le=2)] = 0
    clean_start: bool = False
    payload: str | None = None


_decode: Final = msgspec.json.Decoder(_Body).decode


def status_prefix(service: str) -> str:
    """The beginning of status topics, before the employee id; the service id stands before it if there is one."""
    return f"{service}/mchat/status/" if service else "mchat/status/"


class Hearing:
    """Reads events.

    Args:
        service: this deployment's service id, the first level of its topics; empty for none.
    """

    def __init__(self, service: str) -> None:
        self._prefix = status_prefix(service)

    def of(self, rows: Sequence[EventRow]) -> Batch:
        """Read events; what cannot be read is counted and left out, since it would stay unreadable."""
        batch = Batch()
        for row in rows:
            try:
                self._take(batch, row)
            except msgspec.MsgspecError:
                batch.unread += 1
        return batch

    def _take(self, batch: Batch, row: EventRow) -> None:
        match row.kind:
            case "client.connected" | "client.disconnected" if not _is_dated(row):
                batch.unread += 1
            case "client.connected" if row.epoch is not None:
                batch.heard.append(Heard(row.client_id, _connected(row, row.epoch)))
                if _decode(row.body).clean_start:
                    batch.fresh[row.client_id] = max(batch.fresh.get(row.client_id, 0), row.epoch)
            case "client.disconnected":
                at = row.disconnected_at
                if at is None:
                    at = _moment(row, _decode(row.body))
                batch.heard.append(Heard(row.client_id, _disconnected(row, at)))
            case "session.subscribed" | "session.unsubscribed" if row.topic is not None:
                body = _decode(row.body)
                batch.subscriptions.append(
                    SubscriptionRow(
                        client_id=row.client_id,
                        filter=row.topic,
                        qos=body.qos,
                        updated_at=_moment(row, body),
                        live=row.kind == "session.subscribed",
                    )
                )
            case "message.publish" if row.topic is not None:
                employee_id = row.topic.removeprefix(self._prefix)
                if row.topic.startswith(self._prefix) and is_id(employee_id):
                    batch.said.append(Said(employee_id, row.client_id, _payload(row)))
            case _:
                batch.unread += 1


def _connected(row: EventRow, epoch: int) -> Connected:
    return Connected(epoch=epoch, node=row.node or "", peer=row.peer or "", employee_id=_whose(row))


def _disconnected(row: EventRow, at: int) -> Disconnected:
    return Disconnected(
        epoch=row.epoch,
        at=at,
        reason=row.reason or "",
        node=row.node or "",
        peer=row.peer or "",
        employee_id=_whose(row),
    )


def _whose(row: EventRow) -> str | None:
    return row.employee_id if row.employee_id is not None and is_id(row.employee_id) else None


def _is_dated(row: EventRow) -> bool:
    return max(row.epoch or 0, row.disconnected_at or 0) <= LAST_MS


def _payload(row: EventRow) -> str | None:
    """What was published; of an event that cannot be read, something that is none of ours."""
    try:
        return _decode(row.body).payload
    except msgspec.MsgspecError:
        return None


def _moment(row: EventRow, body: _Body) -> int:
    """The broker's time of an event; if it tells none, when it came, which is no order but all there is."""
    return row.received_at if body.timestamp is None else min(body.timestamp, row.received_at + AHEAD_MS)
