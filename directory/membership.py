"""Who is in groups: joining, leaving, roles inside a group.

Callers outside the directory find these functions in `groups`.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Row, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from directory.changes import Change, Subject
from directory.errors import Conflict, InvalidValue, NotFound
from directory.schema import employee, group, group_member
from directory.schema.people import MEMBER_ROLES
from directory.sets import among

MemberRole = Literal["owner", "admin", "member"]


@dataclass(frozen=True, slots=True)
class Member:
    """A person in a group.

    Attributes:
        employee_id: The person.
        role: `owner` (one a group), `admin` or `member`.
        joined_at: Milliseconds since the epoch.
    """

    employee_id: str
    role: MemberRole
    joined_at: int


async def add_members(change: Change, group_id: str, employee_ids: Collection[str]) -> list[str]:
    """Add people to a group and return those who were not in it, in the order given.

    Raises:
        NotFound: There is no such group, or it is dismissed.
        InvalidValue: People do not exist or are not active; names them, and adds nobody.
    """
    await lock(change, group_id)
    wanted = list(dict.fromkeys(employee_ids))
    present = {member.employee_id for member in await _members(change.connection, group_id, wanted)}
    joining = [one for one in wanted if one not in present]
    await check_active(change, joining)
    await join(change, group_id, joining)
    if joining:
        change.audit("group.member_add", group_id, {"employee_ids": joining})
    return joining


async def remove_members(change: Change, group_id: str, employee_ids: Collection[str]) -> list[str]:
    """Remove people from a group and return those who were in it, in the order given.

    Raises:
        NotFound: There is no such group, or it is dismissed.
        Conflict: The owner is among them; nobody is removed.
    """
    await lock(change, group_id)
    wanted = list(dict.fromkeys(employee_ids))
    present = {one.employee_id: one.role for one in await _members(change.connection, group_id, wanted)}
    owners = [one for one, role in present.items() if role == "owner"]
    if owners:
        raise Conflict(f"{owners[0]!r} owns group {group_id!r}: hand it over or dismiss the group first")
    leaving = [one for one in wanted if one in present]
    await leave(change, group_id, leaving)
    if leaving:
        change.audit("group.member_remove", group_id, {"employee_ids": leaving})
    return leaving


async def set_member_role(change: Change, group_id: str, employee_id: str, role: str) -> bool:
    """Give a member another role in the group; tells whether it changed.

    A new owner's predecessor becomes an admin of the group.

    Raises:
        InvalidValue: There is no such role.
        NotFound: There is no such group or member.
        Conflict: It is the owner, who first hands the group over.
    """
    if role not in MEMBER_ROLES:
        raise InvalidValue(f"role {role!r} is not allowed: use one of {', '.join(MEMBER_ROLES)}")
    await lock(change, group_id)
    found = await _members(change.connection, group_id, [employee_id])
    if not found:
        raise NotFound(f"{employee_id!r} is not in group {group_id!r}: add the person first")
    if found[0].role == role:
        return False
    if found[0].role == "owner":
        raise Conflict(f"{employee_id!r} owns group {group_id!r}: make somebody else the owner")
    if role == "owner":
        await hand_over(change, group_id, employee_id)
    else:
        await _set_role(change, group_id, employee_id, role)
    change.audit("group.member_role", group_id, {"employee_id": employee_id, "role": role})
    return True


async def members(
    connection: AsyncConnection, group_id: str, *, after: str = "", limit: int = 10_000
) -> Sequence[Member]:
    """List who is in a group, by employee id, those after `after`; nobody is in a dismissed one."""
    rows = await connection.execute(
        select(group_member.c.employee_id, group_member.c.role, group_member.c.joined_at)
        .where(group_member.c.group_id == group_id, group_member.c.employee_id > after)
        .order_by(group_member.c.employee_id)
        .limit(limit)
    )
    return [_member(row) for row in rows]


async def roles(
    connection: AsyncConnection, group_id: str, employee_ids: Collection[str]
) -> dict[str, MemberRole]:
    """Read the roles of people in a group; who is not in it is left out."""
    return {one.employee_id: one.role for one in await _members(connection, group_id, employee_ids)}


async def count(connection: AsyncConnection, group_id: str) -> int:
    """Count who is in a group; nobody is in a dismissed one."""
    counted = select(func.count()).select_from(group_member).where(group_member.c.group_id == group_id)
    return await connection.scalar(counted) or 0


async def lock(change: Change, group_id: str) -> None:
    """Let one writer of a group at a time decide by its rows, until the end of the transaction.

    Raises:
        NotFound: There is no such group, or it is dismissed.
    """
    found = await change.connection.execute(
        select(group.c.dismissed_at).where(group.c.group_id == group_id).with_for_update()
    )
    row = found.one_or_none()
    if row is None or row.dismissed_at is not None:
        state = "does not exist" if row is None else "is dismissed"
        raise NotFound(f"group {group_id!r} {state}: see the list of groups")


async def check_active(change: Change, employee_ids: Collection[str]) -> None:
    """Check that people exist and are active, and keep them so until the end of the transaction.

    Raises:
        InvalidValue: Some are not; names them.
    """
    if not employee_ids:
        return
    key = employee.c.employee_id
    rows = await change.connection.execute(
        select(key)
        .where(among(change.connection, key, employee_ids), employee.c.status == "active")
        .order_by(key)
        .with_for_update(read=True)
    )
    active = set(rows.scalars())
    others = [one for one in employee_ids if one not in active]
    if others:
        raise InvalidValue(f"{', '.join(others[:20])}: no such people, or not active; leave them out")


async def join(change: Change, group_id: str, employee_ids: Sequence[str], owner: str | None = None) -> None:
    """Write new members, tell them and the enforcer; `owner` becomes the owner, the others members."""
    if not employee_ids:
        return
    await change.connection.execute(
        insert(group_member),
        [
            {
                "group_id": group_id,
                "employee_id": one,
                "role": "owner" if one == owner else "member",
                "joined_at": change.now_ms,
            }
            for one in employee_ids
        ],
    )
    for one in employee_ids:
        change.touch(Subject("employee", one))
        change.enqueue("enforcer", "member_added", one, {"group_id": group_id, "employee_id": one})


async def leave(change: Change, group_id: str, employee_ids: Sequence[str]) -> None:
    """Delete members, tell them and the enforcer."""
    if not employee_ids:
        return
    await change.connection.execute(
        delete(group_member).where(
            group_member.c.group_id == group_id,
            among(change.connection, group_member.c.employee_id, employee_ids),
        )
    )
    for one in employee_ids:
        change.touch(Subject("employee", one))
        change.enqueue("enforcer", "member_removed", one, {"group_id": group_id, "employee_id": one})


async def _set_role(change: Change, group_id: str, employee_id: str, role: str) -> None:
    await change.connection.execute(
        update(group_member)
        .where(group_member.c.group_id == group_id, group_member.c.employee_id == employee_id)
        .values(role=role)
    )
    change.touch(Subject("employee", employee_id))


async def hand_over(change: Change, group_id: str, employee_id: str) -> None:
    """Make a member the owner, and the owner so far an admin."""
    # First the old owner steps down: a group has one owner at every moment.
    before = await change.connection.scalar(
        select(group_member.c.employee_id).where(
            group_member.c.group_id == group_id, group_member.c.role == "owner"
        )
    )
    if before is not None:
        await _set_role(change, group_id, before, "admin")
    await _set_role(change, group_id, employee_id, "owner")


def _member(row: Row[*tuple[Any, ...]]) -> Member:
    return Member(**row._mapping)


async def _members(connection: AsyncConnection, group_id: str, employee_ids: Collection[str]) -> list[Member]:
    rows = await connection.execute(
        select(group_member.c.employee_id, group_member.c.role, group_member.c.joined_at).where(
            group_member.c.group_id == group_id,
            among(connection, group_member.c.employee_id, employee_ids),
        )
    )
    return [_member(row) for row in rows]
