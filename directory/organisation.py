"""The organisation as everybody sees it: departments, and who stands in them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from directory.departments import Department
from directory.schema import department, employee
from directory.sets import among


@dataclass(frozen=True, slots=True)
class Placed:
    """A person or an agent as the tree shows it.

    Attributes:
        employee_id: The id.
        name: What others see.
        department_id: The department, if any.
        manager_id: Whom the person reports to, if anybody.
        is_ai_agent: Whether it is a program.
        skills_badge: Words about skills.
    """

    employee_id: str
    name: str
    department_id: str | None
    manager_id: str | None
    is_ai_agent: bool
    skills_badge: tuple[str, ...]


async def below(connection: AsyncConnection, department_id: str) -> set[str]:
    """List a department and all below it; nothing, if it does not exist."""
    start = select(department.c.department_id).where(department.c.department_id == department_id)
    tree = start.cte("tree", recursive=True)
    # UNION, not UNION ALL: a circle, if there ever is one, ends.
    tree = tree.union(
        select(department.c.department_id).join(tree, department.c.parent_id == tree.c.department_id)
    )
    return set(await connection.scalars(select(tree.c.department_id)))


async def departments(
    connection: AsyncConnection, within: Collection[str] | None, *, after: str = "", limit: int = 500
) -> Sequence[Department]:
    """List departments by id: those after `after`, of `within` only if it is not None."""
    query = (
        select(department)
        .where(department.c.department_id > after)
        .order_by(department.c.department_id)
        .limit(limit)
    )
    if within is not None:
        query = query.where(among(connection, department.c.department_id, within))
    return [Department(**row._mapping) for row in await connection.execute(query)]


async def people(
    connection: AsyncConnection, within: Collection[str] | None, *, after: str = "", limit: int = 500
) -> Sequence[Placed]:
    """List active people and agents by id: those after `after`, in departments of `within` if it is not None.

    Who serves (the gateway itself) is nobody in the organisation.
    """
    columns = (employee.c[name] for name in Placed.__slots__)
    query = (
        select(*columns)
        .where(employee.c.employee_id > after, employee.c.status == "active", employee.c.role != "service")
        .order_by(employee.c.employee_id)
        .limit(limit)
    )
    if within is not None:
        query = query.where(among(connection, employee.c.department_id, within))
    return [_placed(row) for row in await connection.execute(query)]


def _placed(row: Row[*tuple[Any, ...]]) -> Placed:
    values = dict(row._mapping)
    return Placed(**values | {"skills_badge": tuple(values["skills_badge"] or ())})
