"""What the broker told of connections and subscriptions, stored as it came; a fold makes presence of it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from directory.schema import presence_event


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRow:
    """An event of the broker (contract, "Events").

    Attributes:
        received_at: When it came, milliseconds since the epoch; never an order (presence, rule 6).
        kind: Its name, like `client.connected`.
        client_id: The client id.
        username: The user name as sent.
        employee_id: Who it is, if the event says so.
        epoch: The broker's `connected_at`; None in events of brokers before 5.8.6.
        disconnected_at: The broker's time of the end.
        reason: The broker's word for it.
        topic: The filter of a subscription.
        node: The broker's node.
        peer: The client's address.
        body: The whole event, JSON.
        event_id: Its number; given when it is stored.
    """

    received_at: int
    kind: str
    client_id: str
    username: str = ""
    employee_id: str | None = None
    epoch: int | None = None
    disconnected_at: int | None = None
    reason: str | None = None
    topic: str | None = None
    node: str | None = None
    peer: str | None = None
    body: str = "{}"
    event_id: int = 0


async def store(connection: AsyncConnection, rows: Sequence[EventRow]) -> None:
    """Store events in the order given; the same event twice is two rows, and one transition in the fold.

    Args:
        connection: From `Database.write()`: it gives nobody rights.
        rows: The events; their `event_id` is not looked at.
    """
    if rows:
        values = [asdict(row) for row in rows]
        for value in values:
            del value["event_id"]
        await connection.execute(insert(presence_event), values)


async def after(connection: AsyncConnection, event_id: int, limit: int = 1_000) -> Sequence[EventRow]:
    """List the events stored after `event_id`, in the order of their numbers.

    Numbers of two writers may be committed in another order: a reader that keeps its place by them reads
    a little back again, and takes an event seen twice as one.
    """
    rows = await connection.execute(
        select(presence_event)
        .where(presence_event.c.event_id > event_id)
        .order_by(presence_event.c.event_id)
        .limit(limit)
    )
    return [EventRow(**row._mapping) for row in rows]


async def numbered(connection: AsyncConnection, event_ids: Sequence[int]) -> Sequence[EventRow]:
    """List the events of these numbers that are there, in the order of their numbers."""
    rows = await connection.execute(
        select(presence_event)
        .where(presence_event.c.event_id.in_(event_ids))
        .order_by(presence_event.c.event_id)
    )
    return [EventRow(**row._mapping) for row in rows]


async def newest(connection: AsyncConnection) -> int:
    """Read the number of the last event; 0 before the first one."""
    return await connection.scalar(select(func.max(presence_event.c.event_id))) or 0


async def comings_and_goings(
    connection: AsyncConnection, event_id: int, limit: int = 1_000
) -> Sequence[tuple[int, str]]:
    """List the numbers and client ids of the connections that began or ended after `event_id`, in order."""
    rows = await connection.execute(
        select(presence_event.c.event_id, presence_event.c.client_id)
        .where(
            presence_event.c.event_id > event_id,
            presence_event.c.kind.in_(("client.connected", "client.disconnected")),
        )
        .order_by(presence_event.c.event_id)
        .limit(limit)
    )
    return [(row.event_id, row.client_id) for row in rows]


async def count(connection: AsyncConnection) -> int:
    """Count the events that are kept."""
    return await connection.scalar(select(func.count()).select_from(presence_event)) or 0


async def prune_beyond(connection: AsyncConnection, most: int, limit: int = 5_000) -> int:
    """Delete events of which there are `most` newer ones, the oldest `limit` at most; returns how many.

    By their numbers, of which some may be of nothing: a little less than `most` may be left.
    """
    last = await newest(connection) - most
    oldest = (
        select(presence_event.c.event_id)
        .where(presence_event.c.event_id <= last)
        .order_by(presence_event.c.event_id)
        .limit(limit)
    )
    gone = await connection.execute(delete(presence_event).where(presence_event.c.event_id.in_(oldest)))
    return gone.rowcount


async def prune(connection: AsyncConnection, before_ms: int, limit: int = 5_000) -> int:
    """Delete events that came before `before_ms`, the oldest `limit` at most; returns how many.

    A step of bounded length: call it in a transaction each, until it returns less than `limit`.
    """
    oldest = (
        select(presence_event.c.event_id)
        .where(presence_event.c.received_at < before_ms)
        .order_by(presence_event.c.received_at, presence_event.c.event_id)
        .limit(limit)
    )
    gone = await connection.execute(delete(presence_event).where(presence_event.c.event_id.in_(oldest)))
    return gone.rowcount
