"""What actions on people share: whom they find, whom they may change, and who hears of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from directory import credentials, groups, people
from directory.instants import iso
from directory.people import Person
from directory.secret import new_token, token_digest
from gateway import grouping, profile, views
from gateway.errors import MISSING, Refused
from gateway.permissions import PEOPLE, forbidden
from gateway.unit_of_work import Work

_LABEL: Final = "mchat gateway"
"""What a credential that was given over MQTT is called."""

_IN_TREE: Final = frozenset({"name", "department_id", "manager_id", "skills_badge", "status"})
_OF_AGENTS: Final = frozenset({"name", "agent_profile", "skills_badge", "status"})


async def find(connection: AsyncConnection, employee_id: str, *, deleted: bool = False) -> Person:
    """Find a person.

    Args:
        connection: Of the database.
        employee_id: Who.
        deleted: Whether deleted people are found too.

    Raises:
        Refused: 404, the person is deleted.
        directory.errors.NotFound: There is none.
    """
    found = await people.get(connection, employee_id)
    if found.status == "deleted" and not deleted:
        raise Refused(MISSING, f"employee {employee_id!r} is deleted: see employee.list")
    return found


async def managed(connection: AsyncConnection, employee_id: str) -> Person:
    """Find a person who may be changed over MQTT: a service, like the gateway itself, may not.

    Raises:
        Refused: 404, the person is deleted; 403, it is a service.
        directory.errors.NotFound: There is none.
    """
    found = await find(connection, employee_id)
    if found.role not in PEOPLE:
        raise forbidden(f"employee {employee_id!r} is a service: it is changed with `mchat person` only")
    return found


async def join(work: Work, employee_id: str, group_ids: Iterable[str]) -> None:
    """Let an agent into groups, and tell it.

    Raises:
        directory.errors.NotFound: There is no such group, or it is dismissed.
    """
    for group_id in sorted(set(group_ids)):
        if await groups.add_members(work.change, group_id, [employee_id]):
            group = await groups.get(work.connection, group_id)
            grouping.tell(work, "member_joined", group_id, group.name, [employee_id])


async def give_credential(work: Work, employee_id: str) -> str:
    """Give a person a token and return it; only its SHA-256 is stored."""
    token = new_token()
    await credentials.add_token(work.change, employee_id, token_digest(token), label=_LABEL)
    return token


def announce(work: Work, before: Person, after: Person, fields: Collection[str]) -> None:
    """Leave word of what changed of a person: on the profile topic, in the tree, and where agents are looked for.

    Args:
        work: The transaction.
        before: The person as it was.
        after: As it is now.
        fields: What changed.
    """
    employee_id = after.employee_id
    work.deliver(
        work.topics.profile(employee_id),
        {
            "employee_id": employee_id,
            "event": "updated",
            "fields": list(fields),
            "profile": views.person(after, admin=False),
            "updated_at": iso(after.updated_at),
        },
    )
    if not _IN_TREE.isdisjoint(fields):
        work.org_changed(employee_id)
    if after.is_ai_agent and not _OF_AGENTS.isdisjoint(fields):
        touched = [profile.skills(one.agent_profile) for one in (before, after) if one.status == "active"]
        for skill in sorted(frozenset[str]().union(*touched)):
            work.capability_changed(skill, employee_id)
