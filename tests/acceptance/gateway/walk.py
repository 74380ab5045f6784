"""Every action as actions.md tells it: who gets what of it, who does not, and what is none; one table for all brokers.

A cell that is None cannot be: nobody is refused what is for everybody, nor misses what is not looked up.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from directory import credentials, departments, groups, people
from directory.database import Database
from directory.secret import token_digest
from tests.acceptance.enforcement.company import token_of
from tests.acceptance.gateway.scene import ADMIN
from tests.acl_service.serving import now_ms

OWNER: Final = "wanda"
"""Owns all groups of the walk."""

MEMBER: Final = "wim"
"""Is in all of them."""

OUTSIDER: Final = "wes"
"""Is in none."""

CLIENTS: Final = (ADMIN, OWNER, MEMBER, OUTSIDER)
"""Who asks, each by the client id that is its own id."""

GROUPS: Final = ("g-kept", "g-gone", "g-more", "g-less", "g-role")

Ask = tuple[str, Mapping[str, Any]]
"""Who asks, with which parameters."""


@dataclass(frozen=True, slots=True)
class Row:
    """One action.

    Attributes:
        keys: What the data of its answer have, and no others (`next_cursor` may be there).
        allowed: Is done: 0.
        malformed: What the same person asks for in a wrong way, and the parameter that 400 names.
        forbidden: Is 403.
        missing: Is 404.
        sensitive: What its challenge is for.
        hears: Where `OWNER` hears of it, and what is said there.
    """

    keys: str
    allowed: Ask
    malformed: tuple[Mapping[str, Any], str] | None
    forbidden: Ask | None = None
    missing: Ask | None = None
    sensitive: bool = False
    hears: tuple[str, Mapping[str, Any]] | None = None


ACTIONS: Final[Mapping[str, Row]] = {
    "auth.bind": Row(
        "employee_id",
        (MEMBER, {"employee_id": MEMBER, "device_info": {"os": "x"}}),
        ({"device_info": 7}, "device_info"),
        forbidden=(MEMBER, {"employee_id": ADMIN}),
    ),
    "auth.challenge": Row(
        "challenge_id token expires_at",
        (ADMIN, {"for_action": "department.delete", "target": "d", "password": token_of(ADMIN)}),
        ({"for_action": "__proto__", "target": "d"}, "for_action"),
        forbidden=(MEMBER, {"for_action": "department.delete", "target": "d"}),
    ),
    "employee.create": Row(
        "employee_id name created_at mqtt_connection",
        (ADMIN, {"name": "New", "employee_id": "new"}),
        ({"name": "New", "employee_id": "#"}, "employee_id"),
        forbidden=(MEMBER, {"name": "New"}),
        missing=(ADMIN, {"name": "New", "department_id": "nowhere"}),
    ),
    "employee.update": Row(
        "employee_id updated_at",
        (MEMBER, {"employee_id": MEMBER, "updates": {"name": "Willem"}}),
        ({"employee_id": MEMBER, "updates": {"colour": 1}}, "updates.colour"),
        forbidden=(MEMBER, {"employee_id": OUTSIDER, "updates": {"name": "x"}}),
        missing=(ADMIN, {"employee_id": "nobody", "updates": {"name": "x"}}),
    ),
    "employee.get": Row(
        "employee_id name department_id manager_id is_ai_agent agent_profile skills_badge role status created_at "
        "updated_at",
        (MEMBER, {"employee_id": OUTSIDER}),
        ({"employee_id": 7}, "employee_id"),
        missing=(MEMBER, {"employee_id": "nobody"}),
    ),
    "employee.list": Row(
        "employees",
        (MEMBER, {"limit": 2}),
        ({"limit": "2"}, "limit"),
        forbidden=(MEMBER, {"include_disabled": True}),
    ),
    "employee.delete": Row(
        "employee_id deleted_at",
        (ADMIN, {"employee_id": "gone"}),
        ({}, "employee_id"),
        forbidden=(MEMBER, {"employee_id": "gone"}),
        missing=(ADMIN, {"employee_id": "nobody"}),
        sensitive=True,
    ),
    "employee.reset_credential": Row(
        "employee_id mqtt_connection",
        (ADMIN, {"employee_id": "reset"}),
        ({"employee_id": "a/b"}, "employee_id"),
        forbidden=(MEMBER, {"employee_id": "reset"}),
        missing=(ADMIN, {"employee_id": "nobody"}),
    ),
    "org.tree": Row(
        "version departments employees",
        (MEMBER, {"department_id": "d-kept"}),
        ({"limit": 5_001}, "limit"),
        missing=(MEMBER, {"department_id": "nowhere"}),
    ),
    "department.create": Row(
        "department_id name parent_id sort_order created_at",
        (ADMIN, {"name": "New", "department_id": "d-new", "parent_id": "d-kept"}),
        ({"name": ["New"]}, "name"),
        forbidden=(MEMBER, {"name": "New"}),
        missing=(ADMIN, {"name": "New", "parent_id": "nowhere"}),
    ),
    "department.update": Row(
        "department_id updated_at",
        (ADMIN, {"department_id": "d-kept", "updates": {"sort_order": 2}}),
        ({"department_id": "d-kept", "updates": []}, "updates"),
        forbidden=(MEMBER, {"department_id": "d-kept", "updates": {"sort_order": 2}}),
        missing=(ADMIN, {"department_id": "nowhere", "updates": {"sort_order": 2}}),
    ),
    "department.delete": Row(
        "department_id deleted_at",
        (ADMIN, {"department_id": "d-gone"}),
        ({"department_id": "$SYS"}, "department_id"),
        forbidden=(MEMBER, {"department_id": "d-gone"}),
        missing=(ADMIN, {"department_id": "nowhere"}),
        sensitive=True,
    ),
    "department.get": Row(
        "department_id name parent_id sort_order created_at updated_at",
        (MEMBER, {"department_id": "d-kept"}),
        ({"department_id": None}, "department_id"),
        missing=(MEMBER, {"department_id": "nowhere"}),
    ),
    "department.list": Row(
        "departments",
        (MEMBER, {"parent_id": "d-kept"}),
        ({"limit": 0}, "limit"),
        missing=(MEMBER, {"parent_id": "nowhere"}),
    ),
    "group.create": Row(
        "group_id name member_ids created_at",
        (ADMIN, {"name": "New", "member_ids": [OWNER], "group_id": "g-new"}),
        ({"name": "New", "member_ids": OWNER}, "member_ids"),
        forbidden=(OWNER, {"name": "New", "member_ids": []}),
        hears=(f"mchat/inbox/{OWNER}", {"action": "group_created", "group_id": "g-new"}),
    ),
    "group.update": Row(
        "group_id updated_at",
        (OWNER, {"group_id": "g-kept", "updates": {"description": "x"}}),
        ({"group_id": "g-kept", "updates": {"owner": MEMBER}}, "updates.owner"),
        forbidden=(MEMBER, {"group_id": "g-kept", "updates": {"description": "x"}}),
        missing=(ADMIN, {"group_id": "g-none", "updates": {"description": "x"}}),
    ),
    "group.dismiss": Row(
        "group_id dismissed_at",
        (OWNER, {"group_id": "g-gone"}),
        ({"group_id": "+"}, "group_id"),
        forbidden=(MEMBER, {"group_id": "g-gone"}),
        missing=(ADMIN, {"group_id": "g-none"}),
        hears=(f"mchat/inbox/{OWNER}", {"action": "group_dismissed", "group_id": "g-gone"}),
    ),
    "group.member_add": Row(
        "group_id added_ids current_member_count",
        (OWNER, {"group_id": "g-more", "member_ids": [OUTSIDER]}),
        ({"group_id": "g-more", "member_ids": []}, "member_ids"),
        forbidden=(MEMBER, {"group_id": "g-more", "member_ids": [OUTSIDER]}),
        missing=(ADMIN, {"group_id": "g-none", "member_ids": [OUTSIDER]}),
    ),
    "group.member_remove": Row(
        "group_id removed_ids current_member_count revocation",
        (OWNER, {"group_id": "g-less", "member_ids": [MEMBER]}),
        ({"group_id": "g-less", "member_ids": {MEMBER: 1}}, "member_ids"),
        forbidden=(MEMBER, {"group_id": "g-less", "member_ids": [OWNER]}),
        missing=(ADMIN, {"group_id": "g-none", "member_ids": [MEMBER]}),
    ),
    "group.member_role": Row(
        "group_id employee_id role",
        (OWNER, {"group_id": "g-role", "employee_id": MEMBER, "role": "admin"}),
        ({"group_id": "g-role", "employee_id": MEMBER, "role": "king"}, "role"),
        forbidden=(MEMBER, {"group_id": "g-role", "employee_id": MEMBER, "role": "owner"}),
        missing=(ADMIN, {"group_id": "g-none", "employee_id": MEMBER, "role": "admin"}),
    ),
    "group.list": Row(
        "groups", (MEMBER, {"limit": 2}), ({"all": 1}, "all"), forbidden=(MEMBER, {"all": True})
    ),
    "group.get": Row(
        "group_id name creator_employee_id description avatar created_at updated_at member_count members",
        (MEMBER, {"group_id": "g-kept"}),
        ({"group_id": "g-kept", "cursor": 7}, "cursor"),
        forbidden=(OUTSIDER, {"group_id": "g-kept"}),
        missing=(ADMIN, {"group_id": "g-none"}),
    ),
    "msg.send_private": Row(
        "msg_id to_employee_id sent_at",
        (MEMBER, {"to_employee_id": OWNER, "content": "hi"}),
        ({"to_employee_id": OWNER, "content": {"type": "video", "body": "x"}}, "content"),
        forbidden=(MEMBER, {"to_employee_id": "off", "content": "hi"}),
        missing=(MEMBER, {"to_employee_id": "nobody", "content": "hi"}),
        hears=(f"mchat/inbox/{OWNER}", {"type": "private", "from_employee_id": MEMBER, "content": "hi"}),
    ),
    "msg.send_group": Row(
        "msg_id group_id sent_at",
        (MEMBER, {"group_id": "g-kept", "content": {"type": "text", "body": "hi"}}),
        ({"group_id": "g-kept", "content": 7}, "content"),
        forbidden=(OUTSIDER, {"group_id": "g-kept", "content": "hi"}),
        hears=("mchat/group/g-kept", {"type": "group", "from_employee_id": MEMBER, "is_ai_agent": False}),
    ),
    "msg.read_ack": Row(
        "",
        (MEMBER, {"msg_id": "m-read", "conversation_type": "private", "peer_employee_id": OWNER}),
        ({"msg_id": "m-read", "conversation_type": "private"}, "peer_employee_id"),
        forbidden=(
            OUTSIDER,
            {
                "msg_id": "m",
                "conversation_type": "group",
                "group_id": "g-kept",
                "author_employee_id": OWNER,
            },
        ),
        missing=(MEMBER, {"msg_id": "m", "conversation_type": "private", "peer_employee_id": "nobody"}),
        hears=(
            f"mchat/inbox/{OWNER}",
            {"type": "read_ack", "msg_id": "m-read", "reader_employee_id": MEMBER},
        ),
    ),
    "agent.capability_list": Row(
        "skill agent_ids agent_profiles", (MEMBER, {"skill": "none"}), ({"skill": 7}, "skill")
    ),
    "config.server": Row("broker storage service version limits", (MEMBER, {}), None),
    "audit.query": Row(
        "entries", (ADMIN, {"limit": 2}), ({"from": "yesterday"}, "from"), forbidden=(MEMBER, {})
    ),
    "system.notify": Row(
        "notify_id created_at",
        (ADMIN, {"title": "At noon", "body": "x"}),
        ({"title": "At noon"}, "body"),
        forbidden=(MEMBER, {"title": "At noon", "body": "x"}),
        hears=("mchat/system/notify", {"title": "At noon", "type": "notice"}),
    ),
}


async def found(database: Database) -> None:
    """Make who and what the walk is about, beside the administrator."""
    async with database.change("test", now_ms()) as change:
        for name in (OWNER, MEMBER, OUTSIDER, "off", "gone", "reset"):
            await people.add(change, name=name, employee_id=name)
            await credentials.add_token(change, name, token_digest(token_of(name)))
        await people.set_status(change, "off", "disabled")
        for name in ("d-kept", "d-gone"):
            await departments.add(change, name=name, department_id=name)
        for name in GROUPS:
            await groups.create(change, name=name, creator=OWNER, group_id=name, member_ids=[MEMBER])
