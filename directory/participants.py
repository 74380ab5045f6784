"""Who takes part in the chat, as the gateway has to know them: people with their groups, clients with their people.

Many at a time, at one moment, in a fixed number of queries. What rights are built from is in `principals`.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Row, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from directory import sessions
from directory.changes import newest_version
from directory.database import Database
from directory.membership import MemberRole
from directory.owners import Owner, owners
from directory.people import Status
from directory.schema import employee, group_member
from directory.sets import among

_HELD: Final = 0x6D63_0006
"""The space of PostgreSQL's locks on people who are `held`."""


@dataclass(frozen=True, slots=True)
class Participant:
    """A person or an agent.

    Attributes:
        employee_id: The id.
        name: What others see.
        role: One of the roles of people.
        status: `active`, `disabled` or `deleted`.
        is_ai_agent: Whether it is a program.
        department_id: The department, if any.
        groups: The groups that the person is in and that are not dismissed, with the role in each.
    """

    employee_id: str
    name: str
    role: str
    status: Status
    is_ai_agent: bool
    department_id: str | None
    groups: Mapping[str, MemberRole]


@dataclass(frozen=True, slots=True)
class Device:
    """A client id.

    Attributes:
        client_id: The client id.
        employee_id: Who connected with it, as its session's row says; None if there is none.
        owner: Whose it is (decision 9); None if nobody's.
    """

    client_id: str
    employee_id: str | None
    owner: Owner | None


@dataclass(frozen=True, slots=True)
class Participants:
    """People and clients at one moment.

    Attributes:
        version: The feed version of that moment.
        people: The people asked for; None for unknown ids.
        devices: The clients asked for.
    """

    version: int
    people: Mapping[str, Participant | None]
    devices: Mapping[str, Device]


async def load(
    database: Database, employee_ids: Collection[str], client_ids: Collection[str]
) -> Participants:
    """Load people and clients in one snapshot.

    Raises:
        Unavailable: The database does not answer.
    """
    async with database.snapshot() as connection:
        version = await newest_version(connection)
        owned = await owners(connection, client_ids) if client_ids else {}
        known = await sessions.of_clients(connection, client_ids) if client_ids else {}
        people = await _people(connection, employee_ids) if employee_ids else {}
    devices = {
        one: Device(one, known[one].employee_id if one in known else None, owned[one]) for one in client_ids
    }
    return Participants(version, {one: people.get(one) for one in employee_ids}, devices)


async def held(connection: AsyncConnection, employee_id: str) -> Participant | None:
    """Read a person inside a transaction, and keep role and status as they are until its end.

    Who changes them at the same time waits, or came first and is seen: what is decided by them holds. The groups
    are read, not kept: `membership.lock` keeps one.

    One transaction at a time, so call it before anything else is locked: of two that share a person's row neither
    could change it, and both would wait for the other.
    """
    if connection.dialect.name == "postgresql":
        # Beside the row, which others share who only need the person to stay active.
        await connection.execute(select(func.pg_advisory_xact_lock(_HELD, func.hashtext(employee_id))))
    await connection.execute(
        select(employee.c.employee_id).where(employee.c.employee_id == employee_id).with_for_update(read=True)
    )
    return (await _people(connection, [employee_id])).get(employee_id)


async def _people(connection: AsyncConnection, employee_ids: Collection[str]) -> dict[str, Participant]:
    columns = ("employee_id", "name", "role", "status", "is_ai_agent", "department_id")
    found = await connection.execute(
        select(*(employee.c[name] for name in columns)).where(
            among(connection, employee.c.employee_id, employee_ids)
        )
    )
    rows = found.all()
    # A dismissed group has no members (groups.dismiss), so that no join with it is needed.
    members = await connection.execute(
        select(group_member.c.employee_id, group_member.c.group_id, group_member.c.role).where(
            among(connection, group_member.c.employee_id, [row.employee_id for row in rows])
        )
    )
    groups: defaultdict[str, dict[str, MemberRole]] = defaultdict(dict)
    for member in members:
        groups[member.employee_id][member.group_id] = member.role
    return {row.employee_id: _participant(row, groups.get(row.employee_id, {})) for row in rows}


def _participant(row: Row[*tuple[Any, ...]], groups: Mapping[str, MemberRole]) -> Participant:
    return Participant(**row._mapping, groups=groups)
