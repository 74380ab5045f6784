"""Who is online, device by device, and what became of each: rows by client id, and their history.

A reader that keeps its place in the events moves it in the transaction that writes what it made of them.
"""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, NamedTuple

from sqlalchemy import Row, and_, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from directory import bulk
from directory.schema import client_session, presence, presence_history, watermark
from directory.sets import among

_PLACE: Final = "presence"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceRow:
    """What is known of a client id.

    Attributes:
        client_id: The client id.
        employee_id: Whose it is, if that is known.
        epoch: Of its newest connection, the broker's `connected_at`.
        online: Whether that lasts.
        node: Of the broker.
        peer: Address of the client.
        reason: Why it ended.
        source: What told last: `event`, or `list` for the broker's own list.
        last_seen_at: The newest moment at which the client was there, milliseconds since the epoch.
        since_at: Since when it is on or off, by the broker's clock.
        updated_at: When that was heard, by ours.
    """

    client_id: str
    employee_id: str | None
    epoch: int
    online: bool
    node: str
    peer: str
    reason: str
    source: str
    last_seen_at: int
    since_at: int
    updated_at: int


class DeviceState(NamedTuple):
    """What a person's standing is derived from, of one device; as of `DeviceRow`.

    A person may have thousands: this much of them is read in a tenth of the time.
    """

    client_id: str
    online: bool
    reason: str
    last_seen_at: int
    since_at: int
    updated_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryRow:
    """A transition; `client_id`, `epoch` and `kind` are its key.

    Attributes:
        client_id: The client id.
        employee_id: Whose it was.
        epoch: Of the connection.
        kind: `online`, `offline` or `moved`.
        happened_at: By the broker's clock, milliseconds since the epoch.
        node: Of the broker.
        peer: Address of the client.
        reason: Why it ended.
        recorded_at: When it was heard, by our clock.
        history_id: Its number; given when it is stored.
    """

    client_id: str
    employee_id: str | None
    epoch: int
    kind: str
    happened_at: int
    node: str
    peer: str
    reason: str
    recorded_at: int
    history_id: int = 0


_DEVICE: Final = tuple(DeviceRow.__slots__)


async def place(connection: AsyncConnection) -> int:
    """Read the number of the event up to which everything is taken in; 0 before the first."""
    return await connection.scalar(select(watermark.c.value).where(watermark.c.name == _PLACE)) or 0


async def move(connection: AsyncConnection, before: int, after: int) -> bool:
    """Move the place from `before` to `after`; tells whether it stood there.

    To be called first in the transaction: all who take in events or lists go one after the other from here to
    the commit, and one that another has overtaken is told so.
    """
    await bulk.upsert(connection, watermark, [{"name": _PLACE, "value": 0}], keys=("name",))
    moved = await connection.execute(
        update(watermark).where(watermark.c.name == _PLACE, watermark.c.value == before).values(value=after)
    )
    return moved.rowcount == 1


async def alone(connection: AsyncConnection) -> None:
    """Go one after the other with whoever takes in events, from here to the commit."""
    now = await place(connection)
    while not await move(connection, now, now):
        now = await place(connection)


async def devices(connection: AsyncConnection, client_ids: Collection[str]) -> dict[str, DeviceRow]:
    """Read the devices of client ids; unknown ones are left out."""
    found = await connection.execute(
        select(presence).where(among(connection, presence.c.client_id, client_ids))
    )
    return {row.client_id: _device(row) for row in found}


async def devices_of(
    connection: AsyncConnection, employee_ids: Collection[str]
) -> dict[str, list[DeviceState]]:
    """Read the states of people's devices, by employee id, in no order; people without any are left out."""
    columns = (presence.c[name] for name in DeviceState._fields)
    found = await connection.execute(
        select(presence.c.employee_id, *columns).where(
            among(connection, presence.c.employee_id, employee_ids)
        )
    )
    devices: dict[str, list[DeviceState]] = {}
    for employee_id, *state in found:
        devices.setdefault(employee_id, []).append(DeviceState._make(state))
    return devices


async def online_after(
    connection: AsyncConnection, client_id: str = "", limit: int = 1_000
) -> Sequence[DeviceRow]:
    """List the devices that are on whose client ids come after `client_id`, in that order."""
    found = await connection.execute(
        select(presence)
        .where(presence.c.client_id > client_id, presence.c.online)
        .order_by(presence.c.client_id)
        .limit(limit)
    )
    return [_device(row) for row in found]


async def count_online(connection: AsyncConnection) -> int:
    """Count the devices that are on."""
    counted = select(func.count()).select_from(presence).where(presence.c.online)
    return await connection.scalar(counted) or 0


async def nodes(connection: AsyncConnection) -> set[str]:
    """List the broker's nodes on which devices are on."""
    return set((await connection.scalars(select(presence.c.node).where(presence.c.online).distinct())).all())


async def store_devices(connection: AsyncConnection, rows: Sequence[DeviceRow]) -> None:
    """Store what is known of client ids now, at most one row each, in place of what was known.

    `client_session` is corrected too, where it has a row: the place, the beginning, whether it lasts, why not.
    """
    values = [asdict(row) for row in rows]
    await bulk.upsert(
        connection,
        presence,
        values,
        keys=("client_id",),
        replaced=tuple(n for n in _DEVICE if n != "client_id"),
    )
    await correct_sessions(connection, rows)


async def correct_sessions(connection: AsyncConnection, rows: Sequence[DeviceRow]) -> None:
    """Write into the sessions of client ids what is known of their devices; where there is no row, none is made."""
    values = [
        {
            "client_id": row.client_id,
            "node": row.node,
            "connected_at": row.epoch,
            "online": row.online,
            "reason": row.reason,
        }
        for row in rows
    ]
    await bulk.given(connection, client_session, values, key="client_id")


async def store_history(connection: AsyncConnection, rows: Sequence[HistoryRow]) -> None:
    """Add transitions; one that is there already, by its key, is left as it is.

    They are numbered in the order given; `alone` or `move` was called first, so that numbers are seen in order.
    """
    unique = {(row.client_id, row.epoch, row.kind): _unnumbered(row) for row in reversed(rows)}
    values = list(unique.values())[::-1]
    await bulk.upsert(
        connection, presence_history, values, keys=("client_id", "epoch", "kind"), as_given=True
    )


async def explain_history(connection: AsyncConnection, rows: Sequence[HistoryRow]) -> None:
    """Correct transitions that are there: what was guessed from a list is told by an event at last."""
    unique = {(row.client_id, row.epoch, row.kind): _unnumbered(row) for row in rows}
    await bulk.upsert(
        connection,
        presence_history,
        list(unique.values()),
        keys=("client_id", "epoch", "kind"),
        replaced=("happened_at", "node", "peer", "reason"),
    )


async def history_of(
    connection: AsyncConnection, employee_id: str, *, before: int | None = None, limit: int = 100
) -> Sequence[HistoryRow]:
    """List a person's transitions, the newest heard first, those with numbers under `before` only."""
    query = (
        select(presence_history)
        .where(presence_history.c.employee_id == employee_id)
        .order_by(presence_history.c.history_id.desc())
        .limit(limit)
    )
    if before is not None:
        query = query.where(presence_history.c.history_id < before)
    return [HistoryRow(**row._mapping) for row in await connection.execute(query)]


async def prune(connection: AsyncConnection, before_ms: int, limit: int = 5_000) -> int:
    """Delete history and devices that are off, heard of before `before_ms`, `limit` of each at most; how many.

    A step of bounded length: call it in a transaction each, until it returns less than `limit`.
    """
    old = (
        select(presence_history.c.history_id)
        .where(presence_history.c.recorded_at < before_ms)
        .order_by(presence_history.c.recorded_at)
        .limit(limit)
    )
    gone = await connection.execute(delete(presence_history).where(presence_history.c.history_id.in_(old)))
    away = and_(presence.c.updated_at < before_ms, presence.c.online.is_(False))
    named = select(presence.c.client_id).where(away).order_by(presence.c.updated_at).limit(limit)
    left = await connection.execute(delete(presence).where(presence.c.client_id.in_(named), away))
    return gone.rowcount + left.rowcount


async def trim(
    connection: AsyncConnection, employee_id: str, *, devices: int, history: int, limit: int = 5_000
) -> int:
    """Delete a person's oldest history and the devices that are off and were heard of longest ago; how many.

    Args:
        connection: From `Database.write()`, after `alone` or `move`.
        employee_id: The person.
        devices: So many that are off are kept.
        history: So many lines are kept.
        limit: So many of each are deleted at most.
    """
    lines = (
        select(presence_history.c.history_id)
        .where(presence_history.c.employee_id == employee_id)
        .order_by(presence_history.c.history_id.desc())
    )
    away = (
        select(presence.c.client_id)
        .where(presence.c.employee_id == employee_id, presence.c.online.is_(False))
        .order_by(presence.c.updated_at.desc(), presence.c.client_id.desc())
    )
    old = lines.offset(history).limit(limit)
    gone = await connection.execute(delete(presence_history).where(presence_history.c.history_id.in_(old)))
    forgotten = away.offset(devices).limit(limit)
    lost = await connection.execute(delete(presence).where(presence.c.client_id.in_(forgotten)))
    return gone.rowcount + lost.rowcount


def _unnumbered(row: HistoryRow) -> dict[str, Any]:
    return {name: value for name, value in asdict(row).items() if name != "history_id"}


def _device(row: Row[*tuple[Any, ...]]) -> DeviceRow:
    return DeviceRow(**row._mapping)
