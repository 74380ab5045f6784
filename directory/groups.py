"""Groups and who is in them: the rights that change while people are connected."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Row, case, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from directory.changes import Change, Subject
from directory.errors import Conflict, InvalidValue, NotFound
from directory.ids import check_id, check_text, new_id
from directory.schema import employee, group, group_member
from directory.schema.people import MEMBER_ROLES
from directory.sets import among

MemberRole = Literal["owner", "admin", "member"]


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
    await _check_active(change, joining)
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
    await _join(change, new, joining, owner=creator)
    change.audit("group.create", new, {"members": len(joining)})
    return new


async def add_members(change: Change, group_id: str, employee_ids: Collection[str]) -> list[str]:
    """Add people to a group and return those who were not in it, in the order given.

    Raises:
        NotFound: There is no such group, or it is dismissed.
        InvalidValue: People do not exist or are not active; names them, and adds nobody.
    """
    await _lock(change, group_id)
    wanted = list(dict.fromkeys(employee_ids))
    present = {member.employee_id for member in await _members(change.connection, group_id, wanted)}
    joining = [one for one in wanted if one not in present]
    await _check_active(change, joining)
    await _join(change, group_id, joining)
    if joining:
        change.audit("group.member_add", group_id, {"employee_ids": joining})
    return joining


async def remove_members(change: Change, group_id: str, employee_ids: Collection[str]) -> list[str]:
    """Remove people from a group and return those who were in it, in the order given.

    Raises:
        NotFound: There is no such group, or it is dismissed.
        Conflict: The owner is among them; nobody is removed.
    """
    await _lock(change, group_id)
    wanted = list(dict.fromkeys(employee_ids))
    present = {one.employee_id: one.role for one in await _members(change.connection, group_id, wanted)}
    owners = [one for one, role in present.items() if role == "owner"]
    if owners:
        raise Conflict(f"{owners[0]!r} owns group {group_id!r}: hand it over or dismiss the group first")
    leaving = [one for one in wanted if one in present]
    await _leave(change, group_id, leaving)
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
    await _lock(change, group_id)
    found = await _members(change.connection, group_id, [employee_id])
    if not found:
        raise NotFound(f"{employee_id!r} is not in group {group_id!r}: add the person first")
    if found[0].role == role:
        return False
    if found[0].role == "owner":
        raise Conflict(f"{employee_id!r} owns group {group_id!r}: make somebody else the owner")
    if role == "owner":
        await _hand_over(change, group_id, employee_id)
    else:
        await _set_role(change, group_id, employee_id, role)
    change.audit("group.member_role", group_id, {"employee_id": employee_id, "role": role})
    return True


async def dismiss(change: Change, group_id: str) -> list[str]:
    """End a group for good and return who was in it.

    Raises:
        NotFound: There is no such group, or it is dismissed already.
    """
    await _lock(change, group_id)
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
    change.enqueue("enforcer", "group_dismissed", group_id, {"group_id": group_id})
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
    await _lock(change, group_id)
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
        await _lock(change, group_id)
        heir = await _heir(change, group_id, employee_id) if role == "owner" else None
        if role == "owner" and heir is None:
            await dismiss(change, group_id)
            change.touch(Subject("employee", employee_id))
            continue
        if heir is not None:
            await _hand_over(change, group_id, heir)
        await _leave(change, group_id, [employee_id])
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


def _group(row: Row[*tuple[Any, ...]]) -> Group:
    return Group(**row._mapping)


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


async def _lock(change: Change, group_id: str) -> None:
    # One writer of a group at a time: what is decided on its rows holds to the commit.
    found = await change.connection.execute(
        select(group.c.dismissed_at).where(group.c.group_id == group_id).with_for_update()
    )
    row = found.one_or_none()
    if row is None or row.dismissed_at is not None:
        state = "does not exist" if row is None else "is dismissed"
        raise NotFound(f"group {group_id!r} {state}: see the list of groups")


async def _check_active(change: Change, employee_ids: Collection[str]) -> None:
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


async def _join(change: Change, group_id: str, employee_ids: Sequence[str], owner: str | None = None) -> None:
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


async def _leave(change: Change, group_id: str, employee_ids: Sequence[str]) -> None:
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


async def _hand_over(change: Change, group_id: str, employee_id: str) -> None:
    # First the old owner steps down: a group has one owner at every moment.
    before = await change.connection.scalar(
        select(group_member.c.employee_id).where(
            group_member.c.group_id == group_id, group_member.c.role == "owner"
        )
    )
    if before is not None:
        await _set_role(change, group_id, before, "admin")
    await _set_role(change, group_id, employee_id, "owner")


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
