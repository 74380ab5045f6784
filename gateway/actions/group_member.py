"""Who is in groups: whoever comes or goes is told, and whoever goes hears nothing more of it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from directory import groups
from gateway import grouping
from gateway.caller import Caller
from gateway.parameters import Id
from gateway.permissions import anyone
from gateway.router import action
from gateway.unit_of_work import Work

Members = Annotated[list[Id], Meta(min_length=1, max_length=500)]
"""People, in one request."""


class ChangeMembers(Struct, kw_only=True):
    """Parameters of group.member_add and group.member_remove.

    Attributes:
        group_id: Which group.
        member_ids: Whom, 500 at most.
    """

    group_id: Id
    member_ids: Members


class ChangeRole(Struct, kw_only=True):
    """Parameters of group.member_role.

    Attributes:
        group_id: Which group.
        employee_id: Whose role.
        role: The new one; there is one owner, and the one so far becomes an admin.
    """

    group_id: Id
    employee_id: Id
    role: Literal["owner", "admin", "member"]


@action(
    "group.member_add",
    anyone("owner or admin of the group, admin"),
    kind="mutating",
    target=lambda params: params.group_id,
)
async def member_add(caller: Caller, params: ChangeMembers, work: Work) -> dict[str, Any]:
    """Add people to a group and tell them; who is in it already stays, and is not told.

    Returns:
        group_id, added_ids[], current_member_count.
    """
    await grouping.check_role(work, caller, params.group_id, grouping.MANAGERS)
    added = await groups.add_members(work.change, params.group_id, params.member_ids)
    group = await groups.get(work.connection, params.group_id)
    grouping.tell(work, "member_joined", params.group_id, group.name, added)
    return {
        "group_id": params.group_id,
        "added_ids": added,
        "current_member_count": await groups.count(work.connection, params.group_id),
    }


@action(
    "group.member_remove",
    anyone("owner or admin of the group, admin; oneself"),
    kind="mutating",
    target=lambda params: params.group_id,
)
async def member_remove(caller: Caller, params: ChangeMembers, work: Work) -> dict[str, Any]:
    """Remove people from a group, or leave it; the answer waits for the broker to have taken their rights.

    With `revocation: "pending"` that was not seen in time; it is done all the same, and the same request asked
    again says whether.

    Returns:
        group_id, removed_ids[], current_member_count, revocation.
    """
    leaving = set(params.member_ids) == {caller.employee_id}
    await grouping.check_role(
        work, caller, params.group_id, grouping.EVERYBODY if leaving else grouping.MANAGERS
    )
    removed = await groups.remove_members(work.change, params.group_id, params.member_ids)
    group = await groups.get(work.connection, params.group_id)
    grouping.tell(work, "member_removed", params.group_id, group.name, removed)
    work.revoking = bool(removed)
    return {
        "group_id": params.group_id,
        "removed_ids": removed,
        "current_member_count": await groups.count(work.connection, params.group_id),
        "revocation": "pending" if removed else "done",
    }


@action("group.member_role", anyone("owner, admin"), kind="mutating", target=lambda params: params.group_id)
async def member_role(caller: Caller, params: ChangeRole, work: Work) -> dict[str, Any]:
    """Give a member another role in a group, or hand the group over.

    Returns:
        group_id, employee_id, role.
    """
    await grouping.check_role(work, caller, params.group_id, grouping.OWNER)
    await groups.set_member_role(work.change, params.group_id, params.employee_id, params.role)
    work.summary = {"employee_id": params.employee_id, "role": params.role}
    return {"group_id": params.group_id, "employee_id": params.employee_id, "role": params.role}
