"""With whom people share groups and departments, as far as a bounded list needs it."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from directory.schema import employee, group_member
from directory.sets import among


async def first_members(
    connection: AsyncConnection, group_ids: Collection[str], limit: int
) -> Mapping[str, tuple[str, ...]]:
    """Read the members of groups by employee id, the first `limit` of each, in one query.

    Deleted people are in no group (`people.set_status`), disabled ones are. Groups without members, dismissed
    and unknown ones are left out.
    """
    query = select(group_member.c.group_id.label("place"), group_member.c.employee_id).where(
        among(connection, group_member.c.group_id, group_ids)
    )
    return await _first(connection, query, group_member.c.group_id, group_member.c.employee_id, limit)


async def first_of_departments(
    connection: AsyncConnection, department_ids: Collection[str], limit: int
) -> Mapping[str, tuple[str, ...]]:
    """Read who is in departments by employee id, the first `limit` of each, in one query.

    Deleted people are left out, disabled ones are not; neither are people of a department below. Departments
    without people and unknown ones are left out.
    """
    query = select(employee.c.department_id.label("place"), employee.c.employee_id).where(
        among(connection, employee.c.department_id, department_ids), employee.c.status != "deleted"
    )
    return await _first(connection, query, employee.c.department_id, employee.c.employee_id, limit)


async def _first(
    connection: AsyncConnection,
    query: Select[Any],
    place: ColumnElement[str],
    person: ColumnElement[str],
    limit: int,
) -> Mapping[str, tuple[str, ...]]:
    rank = func.row_number().over(partition_by=place, order_by=person).label("rank")
    ranked = query.add_columns(rank).subquery()
    rows = await connection.execute(
        select(ranked.c.place, ranked.c.employee_id)
        .where(ranked.c.rank <= limit)
        .order_by(ranked.c.place, ranked.c.rank)
    )
    found: defaultdict[str, list[str]] = defaultdict(list)
    for row in rows:
        found[row.place].append(row.employee_id)
    return {one: tuple(people) for one, people in found.items()}
