"""Who is there, as readers may see it: people with their standing by page, one person, and what changed since.

A person who never connected has no row and counts as offline. People are shown while they are active, or while a
device of theirs is still on. Who may see whom is decided in the query (design, "Who may what"; presence, rule 15).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Row,
    Select,
    and_,
    func,
    literal,
    or_,
    select,
    true,
    union,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from directory import departments, groups
from directory.presence import DeviceRow
from directory.schema import employee, group_member, presence, presence_person
from directory.sets import among

MOST: Final = 500
"""People of a page, and devices of a person, at most."""

STATUSES: Final = ("online", "offline")


@dataclass(frozen=True, slots=True)
class Attendance:
    """A person's standing as it is shown.

    Attributes:
        employee_id: The person.
        name: What people see; empty for somebody whom the directory does not know.
        status: `online` or `offline`.
        devices: How many are on.
        since_at: Since when the status is so, milliseconds since the epoch; None: it was never another.
        last_seen_at: The newest moment of any device; None: there was none.
        change_number: Of the last change (`directory.standing`); 0: there was none.
    """

    employee_id: str
    name: str
    status: str
    devices: int
    since_at: int | None
    last_seen_at: int | None
    change_number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewer:
    """A reader who may not see everything.

    Attributes:
        employee_id: Who reads: sees itself and those who share a group or the department.
        public: Whether everybody may see everybody (`presence_public`); not who is in groups of others.
    """

    employee_id: str
    public: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Whom to list; None: no matter.

    Attributes:
        department_id: People of this department; not of those below it, as for rights (`directory.departments`).
        group_id: Members of this group.
        status: `online` or `offline`.
    """

    department_id: str | None = None
    group_id: str | None = None
    status: str | None = None


_STANDING: Final = (
    func.coalesce(presence_person.c.status, "").label("status"),
    func.coalesce(presence_person.c.devices, 0).label("devices"),
    func.coalesce(presence_person.c.changed_at, 0).label("since_at"),
    func.coalesce(presence_person.c.last_seen_at, 0).label("last_seen_at"),
    func.coalesce(presence_person.c.change_number, 0).label("change_number"),
)
_ONLINE: Final = presence_person.c.status == "online"


async def check(connection: AsyncConnection, wanted: Wanted) -> None:
    """Refuse what nobody can be in.

    Raises:
        NotFound: There is no such department or group.
    """
    if wanted.department_id is not None:
        await departments.get(connection, wanted.department_id)
    if wanted.group_id is not None:
        await groups.get(connection, wanted.group_id)


async def page(
    connection: AsyncConnection,
    wanted: Wanted,
    *,
    viewer: Viewer | None = None,
    after: str = "",
    limit: int = MOST,
) -> Sequence[Attendance]:
    """List people by employee id, those behind `after`.

    Args:
        connection: From `Database.read()` or `Database.snapshot()`.
        wanted: Whom; another's group or department has nobody in it for a viewer.
        viewer: Who reads; None: somebody who may see everything.
        after: The last employee id of the page before.
        limit: `MOST` at most.
    """
    people, key = _people(wanted)
    conditions = [key > after]
    if wanted.department_id is not None:
        conditions.append(employee.c.department_id == wanted.department_id)
    if wanted.group_id is not None:
        conditions.append(group_member.c.group_id == wanted.group_id)
    if wanted.status == "online":
        conditions.append(_ONLINE)
    elif wanted.status == "offline":
        conditions += [employee.c.status == "active", func.coalesce(presence_person.c.status, "") != "online"]
    else:
        conditions.append(or_(employee.c.status == "active", _ONLINE))
    if viewer is not None:
        conditions.append(_may_list(viewer, wanted, after, key))
    query = (
        select(key.label("employee_id"), employee.c.name, *_STANDING)
        .select_from(people)
        .where(*conditions)
        .order_by(key)
        .limit(min(limit, MOST))
    )
    return [_attendance(row, row.name) for row in await connection.execute(query)]


async def one(
    connection: AsyncConnection, employee_id: str, *, viewer: Viewer | None = None
) -> Attendance | None:
    """Read one person, active or not; None: there is nobody of that id whom the viewer may see."""
    people = employee.outerjoin(presence_person, presence_person.c.employee_id == employee.c.employee_id)
    query = (
        select(employee.c.employee_id, employee.c.name, *_STANDING)
        .select_from(people)
        .where(employee.c.employee_id == employee_id)
    )
    if viewer is not None:
        seen = true() if viewer.public else employee.c.employee_id.in_(_seen_by(viewer.employee_id))
        query = query.where(employee.c.status != "deleted", seen)
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else _attendance(row, row.name)


async def devices(connection: AsyncConnection, employee_id: str, *, limit: int = MOST) -> Sequence[DeviceRow]:
    """List a person's devices that are known: those that are on, then the others, the last heard of first."""
    found = await connection.execute(
        select(presence)
        .where(presence.c.employee_id == employee_id)
        .order_by(presence.c.online.desc(), presence.c.updated_at.desc(), presence.c.client_id)
        .limit(min(limit, MOST))
    )
    return [DeviceRow(**row._mapping) for row in found]


async def changed_after(
    connection: AsyncConnection, change_number: int, *, limit: int = 2 * MOST
) -> Sequence[Attendance]:
    """List people as they are now whose last change has a number above that, in the order of the numbers.

    Whoever goes on behind the last number of a page has missed nobody (`standing.store` commits in their order).
    """
    found = await connection.execute(
        select(presence_person.c.employee_id, *_STANDING)
        .where(presence_person.c.change_number > change_number)
        .order_by(presence_person.c.change_number)
        .limit(limit)
    )
    rows = found.all()
    # Apart: joined, PostgreSQL would read and sort all who changed for each page.
    names = await _names(connection, [row.employee_id for row in rows]) if rows else {}
    return [_attendance(row, names.get(row.employee_id, "")) for row in rows]


async def count_online(connection: AsyncConnection) -> int:
    """Count the people who are online."""
    return await connection.scalar(select(func.count()).select_from(presence_person).where(_ONLINE)) or 0


def _people(wanted: Wanted) -> tuple[FromClause, ColumnElement[str]]:
    """Where people are read from, and the column that gives their order without sorting."""
    is_employee = presence_person.c.employee_id == employee.c.employee_id
    if wanted.group_id is not None:
        members = group_member.join(employee, employee.c.employee_id == group_member.c.employee_id)
        return members.outerjoin(presence_person, is_employee), group_member.c.employee_id
    if wanted.status == "online" and wanted.department_id is None:
        return presence_person.join(employee, is_employee), presence_person.c.employee_id
    return employee.outerjoin(presence_person, is_employee), employee.c.employee_id


def _may_list(viewer: Viewer, wanted: Wanted, after: str, key: ColumnElement[str]) -> ColumnElement[bool]:
    """What of it a viewer may see: who else is in a group or department shows to its own people only."""
    conditions: list[ColumnElement[bool]] = []
    if wanted.department_id is not None:
        own = select(employee.c.department_id).where(employee.c.employee_id == viewer.employee_id)
        conditions.append(literal(wanted.department_id).in_(own))
    if wanted.group_id is not None:
        conditions.append(literal(wanted.group_id).in_(_groups_of(viewer.employee_id)))
    if not conditions and not viewer.public:
        conditions.append(key.in_(_seen_by(viewer.employee_id, after)))
    return and_(true(), *conditions)


def _seen_by(employee_id: str, after: str = "") -> Any:
    """Select oneself, and those behind `after` who share a group or the department."""
    own = employee.alias("own")
    department = select(own.c.department_id).where(own.c.employee_id == employee_id)
    colleague, member = employee.alias("colleague"), group_member.alias("member")
    return union(
        select(literal(employee_id)),
        select(colleague.c.employee_id).where(
            colleague.c.department_id == department.scalar_subquery(), colleague.c.employee_id > after
        ),
        select(member.c.employee_id).where(
            member.c.group_id.in_(_groups_of(employee_id)), member.c.employee_id > after
        ),
    )


def _groups_of(employee_id: str) -> Select[Any]:
    mine = group_member.alias("mine")
    return select(mine.c.group_id).where(mine.c.employee_id == employee_id)


async def _names(connection: AsyncConnection, employee_ids: Collection[str]) -> dict[str, str]:
    found = await connection.execute(
        select(employee.c.employee_id, employee.c.name).where(
            among(connection, employee.c.employee_id, employee_ids)
        )
    )
    return {row.employee_id: row.name for row in found}


def _attendance(row: Row[*tuple[Any, ...]], name: str) -> Attendance:
    return Attendance(
        employee_id=row.employee_id,
        name=name,
        status="online" if row.status == "online" else "offline",
        devices=row.devices,
        since_at=row.since_at or None,
        last_seen_at=row.last_seen_at or None,
        change_number=row.change_number,
    )
