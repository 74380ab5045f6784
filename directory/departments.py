"""Departments: the tree that people stand in."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from directory import rules
from directory.changes import Change, Subject
from directory.errors import Conflict, InvalidValue, NotFound
from directory.ids import check_id, check_text, new_id
from directory.schema import department, employee


@dataclass(frozen=True, slots=True)
class Department:
    """A department.

    Attributes:
        department_id: Its id.
        name: What people see.
        parent_id: The one above; None at the root.
        sort_order: Its place among its neighbours.
        created_at: Milliseconds since the epoch.
        updated_at: Milliseconds since the epoch.
    """

    department_id: str
    name: str
    parent_id: str | None
    sort_order: int
    created_at: int
    updated_at: int


async def add(
    change: Change,
    *,
    name: str,
    department_id: str | None = None,
    parent_id: str | None = None,
    sort_order: int = 0,
) -> str:
    """Add a department and return its id, which is generated if none is given.

    Raises:
        InvalidValue: The name or the id is not allowed.
        NotFound: There is no such parent.
        Conflict: The id exists.
    """
    check_text("name", name)
    new = (
        check_id("department", department_id) if department_id is not None else new_id("dept_", change.now_ms)
    )
    if parent_id is not None:
        await get(change.connection, parent_id)
    taken = await change.connection.scalar(
        select(department.c.department_id).where(department.c.department_id == new)
    )
    if taken is not None:
        raise Conflict(f"department id {new!r} exists: choose another")
    await change.connection.execute(
        insert(department).values(
            department_id=new,
            name=name,
            parent_id=parent_id,
            sort_order=sort_order,
            created_at=change.now_ms,
            updated_at=change.now_ms,
        )
    )
    change.touch(Subject("org", new))
    change.audit("department.add", new, {"parent_id": parent_id})
    return new


async def update_(
    change: Change, department_id: str, *, name: str, parent_id: str | None, sort_order: int
) -> None:
    """Give a department another name or place; rights do not pass along the tree, so none change.

    One at a time: two moves that are sound each by itself could close a circle together.

    Raises:
        InvalidValue: The name is not allowed, or the parent lies below the department.
        NotFound: There is no such department or parent.
    """
    check_text("name", name)
    await change.lock("departments")
    await get(change.connection, department_id)
    above = parent_id
    seen: set[str] = set()
    while above is not None:
        if above == department_id or above in seen:
            raise InvalidValue(f"{parent_id!r} lies below {department_id!r}: that would be a circle")
        seen.add(above)
        above = (await get(change.connection, above)).parent_id
    await change.connection.execute(
        update(department)
        .where(department.c.department_id == department_id)
        .values(name=name, parent_id=parent_id, sort_order=sort_order, updated_at=change.now_ms)
    )
    change.touch(Subject("org", department_id))
    change.audit("department.update", department_id, {"parent_id": parent_id})


async def remove(change: Change, department_id: str) -> None:
    """Remove a department with its exceptions; people who are not active leave it.

    Raises:
        NotFound: There is no such department.
        Conflict: It has departments below it, or active people.
    """
    locked = select(department).where(department.c.department_id == department_id).with_for_update()
    await change.connection.execute(locked)
    await get(change.connection, department_id)
    below = await change.connection.scalar(
        select(department.c.department_id).where(department.c.parent_id == department_id).limit(1)
    )
    if below is not None:
        raise Conflict(f"department {department_id!r} has {below!r} below it: move or remove that first")
    people = await change.connection.execute(
        select(employee.c.employee_id, employee.c.status).where(employee.c.department_id == department_id)
    )
    statuses = {row.employee_id: row.status for row in people}
    active = sorted(one for one, status in statuses.items() if status == "active")
    if active:
        raise Conflict(
            f"department {department_id!r} has active people ({', '.join(active[:10])}): move them"
        )
    await change.connection.execute(
        update(employee)
        .where(employee.c.department_id == department_id)
        .values(department_id=None, updated_at=change.now_ms)
    )
    # The id may be used again, and must not bring old rights with it.
    await rules.remove_of(change, "department", department_id)
    await change.connection.execute(delete(department).where(department.c.department_id == department_id))
    change.touch(Subject("department", department_id), Subject("org", department_id))
    change.touch(*(Subject("employee", one) for one in statuses))
    change.audit("department.remove", department_id)


async def get(connection: AsyncConnection, department_id: str) -> Department:
    """Read a department.

    Raises:
        NotFound: There is no such department.
    """
    found = await connection.execute(select(department).where(department.c.department_id == department_id))
    row = found.one_or_none()
    if row is None:
        raise NotFound(f"department {department_id!r} does not exist: see the list of departments")
    return _department(row)


async def list_(connection: AsyncConnection, *, limit: int = 10_000) -> Sequence[Department]:
    """List departments, neighbours in their order."""
    rows = await connection.execute(
        select(department)
        .order_by(department.c.parent_id.nulls_first(), department.c.sort_order, department.c.department_id)
        .limit(limit)
    )
    return [_department(row) for row in rows]


async def page(
    connection: AsyncConnection, *, parent_id: str | None = None, after: str = "", limit: int = 500
) -> Sequence[Department]:
    """List departments by id: those after `after`, right below a department if one is named."""
    query = (
        select(department)
        .where(department.c.department_id > after)
        .order_by(department.c.department_id)
        .limit(limit)
    )
    if parent_id is not None:
        query = query.where(department.c.parent_id == parent_id)
    return [_department(row) for row in await connection.execute(query)]


def _department(row: Row[*tuple[Any, ...]]) -> Department:
    return Department(**row._mapping)
