"""People's standing: derived from their devices, and projected onto their status topics."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Row, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from directory import bulk
from directory.schema import presence, presence_person, watermark
from directory.sets import among


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonRow:
    """A person's standing.

    Attributes:
        employee_id: The person.
        status: `online`, `offline`; empty before the first one was derived.
        devices: Client ids that are connected.
        last_seen_at: The newest moment of any device; never goes back.
        version: Of the projection, 1 for the first.
        payload: The last projection, as it is published.
        published: Whether the broker has taken it.
        published_at: When it took one last, milliseconds since the epoch; 0 = never.
        changed_at: When the status changed.
        heard: A number that changes whenever the devices do.
        due_at: When the person is to be looked at; None = nothing is awaited.
        contradicted_at: When somebody else was heard to publish something else; None = nobody was.
        change_number: Of the last change of status or devices, over all people; 0 before the first. Given when
            it is stored, and seen in the order of the numbers.
    """

    employee_id: str
    status: str = ""
    devices: int = 0
    last_seen_at: int = 0
    version: int = 0
    payload: str = ""
    published: bool = False
    published_at: int = 0
    changed_at: int = 0
    heard: int = 0
    due_at: int | None = None
    contradicted_at: int | None = None
    change_number: int = 0


_DERIVED: Final = (
    "employee_id",
    "status",
    "devices",
    "last_seen_at",
    "version",
    "payload",
    "published",
    "published_at",
    "changed_at",
)
_AWAITED: Final = ("employee_id", "due_at", "contradicted_at")
_NUMBERS: Final = "presence_change"


async def people(connection: AsyncConnection, employee_ids: Collection[str]) -> dict[str, PersonRow]:
    """Read the standing of people; unknown ones are left out."""
    found = await connection.execute(
        select(presence_person).where(among(connection, presence_person.c.employee_id, employee_ids))
    )
    return {row.employee_id: _person(row) for row in found}


async def due(connection: AsyncConnection, now_ms: int, limit: int = 200) -> Sequence[PersonRow]:
    """List the people who are to be looked at by now, those who wait longest first."""
    found = await connection.execute(
        select(presence_person)
        .where(presence_person.c.due_at <= now_ms)
        .order_by(presence_person.c.due_at, presence_person.c.employee_id)
        .limit(limit)
    )
    return [_person(row) for row in found]


async def touch(connection: AsyncConnection, employee_ids: Collection[str], now_ms: int) -> None:
    """Have people looked at: what their standing is derived from is another."""
    rows = [{"employee_id": one, "heard": 1, "due_at": now_ms} for one in set(employee_ids)]
    await bulk.upsert(
        connection, presence_person, rows, keys=("employee_id",), replaced=("due_at",), added=("heard",)
    )


async def contradict(connection: AsyncConnection, employee_ids: Collection[str], now_ms: int) -> None:
    """Note that somebody else published something else in the name of people, who are looked at for it."""
    rows = [
        {"employee_id": one, "heard": 1, "due_at": now_ms, "contradicted_at": now_ms}
        for one in set(employee_ids)
    ]
    await bulk.upsert(
        connection,
        presence_person,
        rows,
        keys=("employee_id",),
        replaced=("due_at", "contradicted_at"),
        added=("heard",),
    )


async def store(
    connection: AsyncConnection, rows: Sequence[PersonRow], *, seen: Mapping[str, PersonRow]
) -> None:
    """Store what was derived of people; those whose status or devices are others now get the next change numbers.

    Args:
        connection: From `Database.write()`.
        rows: What is so now, at most one a person.
        seen: The rows that it was derived from: whoever was heard of since stays due, and contradicted.
    """
    table = presence_person
    now = {
        row.employee_id: row
        for row in await connection.execute(
            select(table.c.employee_id, table.c.heard, table.c.status, table.c.devices, table.c.change_number)
            .where(among(connection, table.c.employee_id, [row.employee_id for row in rows]))
            .order_by(table.c.employee_id)
            .with_for_update()
        )
    }
    there = [one for one in rows if one.employee_id in now]
    changed = [
        one.employee_id
        for one in there
        if (one.status, one.devices) != (now[one.employee_id].status, now[one.employee_id].devices)
    ]
    # After the rows of people, here and everywhere: nobody who waits for them holds the numbers.
    numbers = await _allot(connection, changed) if changed else {}
    derived = [
        {name: getattr(one, name) for name in _DERIVED}
        | {"change_number": numbers.get(one.employee_id, now[one.employee_id].change_number)}
        for one in there
    ]
    await bulk.given(connection, table, derived, key="employee_id")
    unheard = [
        {name: getattr(one, name) for name in _AWAITED}
        for one in there
        if now[one.employee_id].heard == seen[one.employee_id].heard
    ]
    await bulk.given(connection, table, unheard, key="employee_id")


async def published_after(
    connection: AsyncConnection,
    employee_id: str = "",
    limit: int = 1_000,
    *,
    here_since_ms: int | None = None,
) -> Sequence[str]:
    """List the people whose projections the broker has taken and who come after `employee_id`, in order.

    Args:
        connection: To the directory.
        employee_id: The last one that is known.
        limit: So many at most.
        here_since_ms: Only those of whom a device is on, or was heard of since, milliseconds since the epoch.
    """
    query = (
        select(presence_person.c.employee_id)
        .where(presence_person.c.employee_id > employee_id, presence_person.c.published)
        .order_by(presence_person.c.employee_id)
        .limit(limit)
    )
    if here_since_ms is not None:
        here = or_(presence.c.online, presence.c.updated_at >= here_since_ms)
        theirs = presence.c.employee_id == presence_person.c.employee_id
        query = query.where(select(presence.c.client_id).where(theirs, here).exists())
    return (await connection.scalars(query)).all()


async def unpublish(connection: AsyncConnection, due: Mapping[str, int]) -> None:
    """Have projections that the broker may have lost published again.

    Args:
        connection: From `Database.write()`.
        due: When, milliseconds since the epoch, by employee id; who is to be looked at sooner stays so.
    """
    table = presence_person
    found = await connection.execute(
        select(table.c.employee_id, table.c.heard, table.c.due_at)
        .where(among(connection, table.c.employee_id, due))
        .order_by(table.c.employee_id)
        .with_for_update()
    )
    values = [
        {
            "employee_id": row.employee_id,
            "published": False,
            "heard": row.heard + 1,
            "due_at": min(one for one in (row.due_at, due[row.employee_id]) if one is not None),
        }
        for row in found
    ]
    await bulk.given(connection, table, values, key="employee_id")


async def newest_change(connection: AsyncConnection) -> int:
    """Read the greatest change number that was given; 0 before the first."""
    return await connection.scalar(select(watermark.c.value).where(watermark.c.name == _NUMBERS)) or 0


async def _allot(connection: AsyncConnection, employee_ids: Sequence[str]) -> dict[str, int]:
    """Give numbers; the row that they come from is locked to the commit, so that they are seen in order."""
    row = {"name": _NUMBERS, "value": len(employee_ids)}
    await bulk.upsert(connection, watermark, [row], keys=("name",), added=("value",))
    last = await newest_change(connection)
    return dict(zip(employee_ids, range(last - len(employee_ids) + 1, last + 1), strict=True))


def _person(row: Row[*tuple[Any, ...]]) -> PersonRow:
    return PersonRow(**row._mapping)
