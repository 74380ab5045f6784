"""What actions on groups share: whose role in a group lets them act, and how its people are told."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from directory import groups
from directory.ids import new_id
from directory.instants import iso
from gateway import messages
from gateway.caller import Caller
from gateway.errors import MISSING, Refused
from gateway.permissions import forbidden
from gateway.unit_of_work import Work

OWNER: Final = frozenset({"owner"})
MANAGERS: Final = frozenset({"owner", "admin"})
EVERYBODY: Final = frozenset({"owner", "admin", "member"})


async def check_role(work: Work, caller: Caller, group_id: str, roles: frozenset[str]) -> None:
    """Let the caller pass whose role in the group is one of some, as it is to the end of the transaction.

    Raises:
        Refused: 403, it is not, or there is no such group; 404 for an admin, there is none.
    """
    if await work.role_in(group_id) in roles:
        return
    if not caller.is_admin:
        raise not_for(group_id, f"{' or '.join(sorted(roles))} of the group, admin")
    check_lives(await groups.get(work.connection, group_id))


def check_lives(group: groups.Group) -> None:
    """Let groups pass that are not dismissed.

    Raises:
        Refused: 404, it is.
    """
    if group.dismissed_at is not None:
        raise Refused(MISSING, f"group {group.group_id!r} is dismissed: see group.list")


def not_for(group_id: str, whom: str) -> Refused:
    """Make the refusal of somebody who is not in a group, or not in that role, whether it exists or not."""
    return forbidden(f"group {group_id!r}: this is for {whom}, and you are none of them there")


def tell(work: Work, happened: str, group_id: str, name: str, employee_ids: Iterable[str]) -> None:
    """Leave word of what happened to a group in people's inboxes."""
    said = messages.notice(
        happened,
        group_id=group_id,
        group_name=name,
        inviter_id=work.caller.employee_id,
        sent_at=iso(work.now_ms),
        msg_id=new_id("msg_", work.now_ms),
    )
    for one in employee_ids:
        work.deliver(work.topics.inbox(one), said)
