"""Groups: who talks with whom; every change tells the people that it is about.

Who is in them is the business of `group_member`.
"""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from directory import groups
from directory.groups import Listed
from directory.instants import iso
from directory.membership import Member
from gateway import grouping, views
from gateway.caller import Caller
from gateway.pages import page
from gateway.parameters import Cursor, Id, Limit, Name, bad
from gateway.permissions import anyone, forbidden
from gateway.reads import Reads
from gateway.router import action
from gateway.unit_of_work import Work

Text = Annotated[str, Meta(max_length=2_000)]
"""A description, or the address of a picture."""


class Options(Struct, kw_only=True):
    """What else a new group has.

    Attributes:
        description: What it is for.
        avatar: The address of its picture.
    """

    description: Text = ""
    avatar: Text = ""


class Create(Struct, kw_only=True):
    """Parameters of group.create.

    Attributes:
        name: What people see.
        member_ids: Who is in it beside its creator, 500 at most; add others later.
        opts: What else it has: description, avatar.
        group_id: Its id; generated if it is left out.
    """

    name: Name
    member_ids: Annotated[list[Id], Meta(max_length=500)]
    opts: Options | None = None
    group_id: Id | None = None


class Updates(Struct, kw_only=True, forbid_unknown_fields=True):
    """What can be changed of a group.

    Attributes:
        name: What people see.
        description: What it is for.
        avatar: The address of its picture.
    """

    name: Name | UnsetType = UNSET
    description: Text | UnsetType = UNSET
    avatar: Text | UnsetType = UNSET


class Update(Struct, kw_only=True):
    """Parameters of group.update.

    Attributes:
        group_id: Which group.
        updates: What shall be otherwise: name, description, avatar.
    """

    group_id: Id
    updates: Updates


class Dismiss(Struct, kw_only=True):
    """Parameters of group.dismiss.

    Attributes:
        group_id: Which group.
    """

    group_id: Id


class ListGroups(Struct, kw_only=True):
    """Parameters of group.list.

    Attributes:
        all: Everybody's groups, for admins.
        limit: Groups in one answer.
        cursor: `next_cursor` of the answer before.
    """

    all: bool = False
    limit: Limit = 500
    cursor: Cursor | None = None


class Get(Struct, kw_only=True):
    """Parameters of group.get.

    Attributes:
        group_id: Which group.
        limit: Members in one answer.
        cursor: `next_cursor` of the answer before.
    """

    group_id: Id
    limit: Limit = 500
    cursor: Cursor | None = None


@action(
    "group.create",
    anyone("admin; everybody where the setting allows it"),
    kind="mutating",
    target=lambda params: params.group_id or "",
)
async def create(caller: Caller, params: Create, work: Work) -> dict[str, Any]:
    """Make a group of the caller and others: the caller owns it, and each member's inbox is told.

    Returns:
        group_id, name, member_ids[], created_at.
    """
    if not (caller.is_admin or work.terms.anyone_creates_groups):
        raise forbidden(f"group.create is for: admin; your role is {caller.role}")
    opts = params.opts or Options()
    group_id = await groups.create(
        work.change,
        name=params.name,
        creator=caller.employee_id,
        group_id=params.group_id,
        member_ids=params.member_ids,
        description=opts.description,
        avatar=opts.avatar,
    )
    member_ids = list(dict.fromkeys([caller.employee_id, *params.member_ids]))
    work.summary = {"group_id": group_id, "members": len(member_ids)}
    grouping.tell(work, "group_created", group_id, params.name, member_ids)
    return {
        "group_id": group_id,
        "name": params.name,
        "member_ids": member_ids,
        "created_at": iso(work.now_ms),
    }


@action(
    "group.update",
    anyone("owner or admin of the group, admin"),
    kind="mutating",
    target=lambda params: params.group_id,
)
async def update(caller: Caller, params: Update, work: Work) -> dict[str, Any]:
    """Give a group another name, description or picture.

    Returns:
        group_id, updated_at.
    """
    await grouping.check_role(work, caller, params.group_id, grouping.MANAGERS)
    given = {
        field: value
        for field in params.updates.__struct_fields__
        if (value := getattr(params.updates, field)) is not UNSET
    }
    if not given:
        raise bad("updates", "is empty, name what shall be otherwise")
    before = await groups.get(work.connection, params.group_id)
    values = {"name": before.name, "description": before.description, "avatar": before.avatar} | given
    await groups.update_(work.change, params.group_id, **values)
    work.summary = {"fields": sorted(given)}
    return {"group_id": params.group_id, "updated_at": iso(work.now_ms)}


@action("group.dismiss", anyone("owner, admin"), kind="mutating", target=lambda params: params.group_id)
async def dismiss(caller: Caller, params: Dismiss, work: Work) -> dict[str, Any]:
    """End a group for good: its members are told, and hear nothing of it any more.

    Returns:
        group_id, dismissed_at.
    """
    await grouping.check_role(work, caller, params.group_id, grouping.OWNER)
    group = await groups.get(work.connection, params.group_id)
    members = await groups.dismiss(work.change, params.group_id)
    grouping.tell(work, "group_dismissed", params.group_id, group.name, members)
    return {"group_id": params.group_id, "dismissed_at": iso(work.now_ms)}


@action("group.list", anyone("anyone, own groups; all of them: admin"), kind="reading")
async def list_(caller: Caller, params: ListGroups, work: Reads) -> dict[str, Any]:
    """List the caller's groups with the role in each, or all groups.

    Returns:
        groups[{group_id, name, creator_employee_id, member_count, role, created_at}], next_cursor.
    """
    if params.all and not caller.is_admin:
        raise forbidden(f"group.list with all is for: admin; your role is {caller.role}")
    async with work.means.database.read() as connection:
        found = await groups.listed(
            connection,
            caller.employee_id,
            everybodys=params.all,
            after=params.cursor or "",
            limit=params.limit + 1,
        )
    rows, cursor = page(found, params.limit, _listed, lambda one: one.group.group_id)
    return {"groups": rows} | cursor


@action("group.get", anyone("members, admin"), kind="reading")
async def get(caller: Caller, params: Get, work: Reads) -> dict[str, Any]:
    """Show a group and who is in it.

    Returns:
        group_id, name, creator_employee_id, description, avatar, created_at, updated_at, member_count,
        members[{employee_id, role, joined_at}], next_cursor.
    """
    async with work.means.database.read() as connection:
        mine = await groups.roles(connection, params.group_id, [caller.employee_id])
        if not (mine or caller.is_admin):
            raise grouping.not_for(params.group_id, "members, admin")
        group = await groups.get(connection, params.group_id)
        grouping.check_lives(group)
        members = await groups.members(
            connection, params.group_id, after=params.cursor or "", limit=params.limit + 1
        )
        number = await groups.count(connection, params.group_id)
    rows, cursor = page(members, params.limit, _member, lambda one: one.employee_id)
    return views.group(group) | {"member_count": number, "members": rows} | cursor


def _listed(one: Listed) -> dict[str, Any]:
    return {
        "group_id": one.group.group_id,
        "name": one.group.name,
        "creator_employee_id": one.group.creator_employee_id,
        "member_count": one.member_count,
        "role": one.role,
        "created_at": iso(one.group.created_at),
    }


def _member(one: Member) -> dict[str, Any]:
    return {"employee_id": one.employee_id, "role": one.role, "joined_at": iso(one.joined_at)}
