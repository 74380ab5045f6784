"""Groups and who is in them: the rights that change while people are connected."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, and_, case, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from directory.changes import Change, Subject
from directory.errors import Conflict, NotFound
from directory.ids import check_id, check_text, new_id
from directory.membership import (
    Member,
    MemberRole,
    add_members,
    check_active,
    count,
    hand_over,
    join,
    leave,
    lock,
    members,
    remove_members,
    roles,
    set_member_role,
)
from directory.schema import group, group_member

__all__ = [
    "Group",
    "Listed",
    "Member",
    "add_members",
    "count",
    "create",
    "dismiss",
    "get",
    "leave_all",
    "list_",
    "listed",
    "members",
    "remove_members",
    "roles",
    "set_member_role",
    "update_",
]


@dataclass(frozen=True, slots=True)
class Group:
    """A group.

    Attributes:
        group_id: Its id, never given to another group.
        name: What people see.
        creator_employee_id: Who made it; its owner may be another now.
        description: What it is for.
        avatar: The address of its picture.
        created_at: Milliseconds since the epoch.
        updated_at: Milliseconds since the epoch.
        dismissed_at: When it was dismissed; None while it lives.
    """

    group_id: str
    name: str
    creator_employee_id: str
    description: str
    avatar: str
    created_at: int
    updated_at: int
    dismissed_at: int | None


@dataclass(frozen=True, slots=True)
class Listed:
    """A group as a person sees it in a list.

    Attributes:
        group: The group.
        member_count: How many are in it.
        role: The person's role in it; None for who is not.
    """

    group: Group
    member_count: int
    role: MemberRole | None


async def create(
    change: Change,
    *,
    name: str,
    creator: str,
    group_id: str | None = None,
    member_ids: Collection[str] = (),
    description: str = "",
    avatar: str = "",
) -> str:
    """Make a group, its creator the owner, and return its id, which is generated if none is given.

    Raises:
        InvalidValue: The id or a text is not allowed, or people do not exist or are not active; names them.
        Conflict: The id exists or existed.
    """
    check_text("name", name)
    check_text("description", description, 2_000, empty=True)
    check_text("avatar", avatar, 2_000, empty=True)
    new = check_id("group", group_id) if group_id is not None else new_id("grp_", change.now_ms)
    joining = list(dict.fromkeys([creator, *member_ids]))
    await check_active(change, joining)
    taken = await change.connection.scalar(select(group.c.group_id).where(group.c.group_id == new))
    if taken is not None:
        raise Conflict(f"group id {new!r} exists or existed: choose another")
    await change.connection.execute(
        insert(group).values(
            group_id=new,
            name=name,
            creator_employee_id=creator,
            description=description,
            avatar=avatar,
            created_at=change.now_ms,
            updated_at=change.now_ms,
        )
    )
    await join(change, new, joining, owner=creator)
    change.audit("group.create", new, {"members": len(joining)})
    return new


async def dismiss(change: Change, group_id: str) -> list[str]:
    """End a group for good and return who was in it.

    Raises:
        NotFound: There is no such group, or it is dismissed already.
    """
    await lock(change, group_id)
    gone = await change.connection.execute(
        delete(group_member).where(group_member.c.group_id == group_id).returning(group_member.c.employee_id)
    )
    members = sorted(gone.scalars())
    await change.connection.execute(
        update(group)
        .where(group.c.group_id == group_id)
        .values(dismissed_at=change.now_ms, updated_at=change.now_ms)
    )
    change.touch(Subject("group", group_id))
    # Nobody is in it any more: the work must say whose rights ended.
    change.enqueue("enforcer", "group_dismissed", group_id, {"group_id": group_id, "employee_ids": members})
    change.audit("group.dismiss", group_id, {"members": len(members)})
    return members


async def update_(change: Change, group_id: str, *, name: str, description: str, avatar: str) -> None:
    """Give a group another name, description and picture; it gives no rights.

    Raises:
        InvalidValue: A text is not allowed.
        NotFound: There is no such group, or it is dismissed.
    """
    check_text("name", name)
    check_text("description", description, 2_000, empty=True)
    check_text("avatar", avatar, 2_000, empty=True)
    await lock(change, group_id)
    await change.connection.execute(
        update(group)
        .where(group.c.group_id == group_id)
        .values(name=name, description=description, avatar=avatar, updated_at=change.now_ms)
    )
    change.audit("group.update", group_id)


async def leave_all(change: Change, employee_id: str) -> list[str]:
    """Take a person out of all groups and return their ids, passing on what the person owned.

    A group goes to its oldest admin, else its oldest member; one without another member is dismissed.
    """
    found = await change.connection.execute(
        select(group_member.c.group_id, group_member.c.role)
        .where(group_member.c.employee_id == employee_id)
        .order_by(group_member.c.group_id)
    )
    roles = {row.group_id: row.role for row in found.all()}
    for group_id, role in roles.items():
        await lock(change, group_id)
        heir = await _heir(change, group_id, employee_id) if role == "owner" else None
        if role == "owner" and heir is None:
            await dismiss(change, group_id)
            change.touch(Subject("employee", employee_id))
            continue
        if heir is not None:
            await hand_over(change, group_id, heir)
        await leave(change, group_id, [employee_id])
    return list(roles)


async def get(connection: AsyncConnection, group_id: str) -> Group:
    """Read a group, dismissed or not.

    Raises:
        NotFound: There is no such group.
    """
    row = (await connection.execute(select(group).where(group.c.group_id == group_id))).one_or_none()
    if row is None:
        raise NotFound(f"group {group_id!r} does not exist: see the list of groups")
    return _group(row)


async def list_(
    connection: AsyncConnection,
    *,
    employee_id: str | None = None,
    after: str = "",
    limit: int = 500,
) -> Sequence[Group]:
    """List the living groups by id: those after `after`, of one person if one is named."""
    query = (
        select(group)
        .where(group.c.dismissed_at.is_(None), group.c.group_id > after)
        .order_by(group.c.group_id)
        .limit(limit)
    )
    if employee_id is not None:
        query = query.join(group_member).where(group_member.c.employee_id == employee_id)
    return [_group(row) for row in await connection.execute(query)]


async def listed(
    connection: AsyncConnection,
    employee_id: str,
    *,
    everybodys: bool = False,
    after: str = "",
    limit: int = 500,
) -> Sequence[Listed]:
    """List the living groups by id, those after `after`, as a person sees them: the person's own, or everybody's."""
    anybody = group_member.alias()
    number = (
        select(func.count())
        .select_from(anybody)
        .where(anybody.c.group_id == group.c.group_id)
        .scalar_subquery()
    )
    mine = and_(group_member.c.group_id == group.c.group_id, group_member.c.employee_id == employee_id)
    query = (
        select(group, number.label("member_count"), group_member.c.role.label("member_role"))
        .join(group_member, mine, isouter=everybodys)
        .where(group.c.dismissed_at.is_(None), group.c.group_id > after)
        .order_by(group.c.group_id)
        .limit(limit)
    )
    return [_listed(row) for row in await connection.execute(query)]


def _listed(row: Row[*tuple[Any, ...]]) -> Listed:
    values = dict(row._mapping)
    member_count, role = values.pop("member_count"), values.pop("member_role")
    return Listed(Group(**values), member_count, role)


def _group(row: Row[*tuple[Any, ...]]) -> Group:
    return Group(**row._mapping)


async def _heir(change: Change, group_id: str, leaving: str) -> str | None:
    heir: str | None = await change.connection.scalar(
        select(group_member.c.employee_id)
        .where(group_member.c.group_id == group_id, group_member.c.employee_id != leaving)
        .order_by(
            case((group_member.c.role == "admin", 0), else_=1),
            group_member.c.joined_at,
            group_member.c.employee_id,
        )
        .limit(1)
    )
    return heir
