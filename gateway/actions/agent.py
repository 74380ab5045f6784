"""AI agents: who they are and what they can do."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct

from directory import profiles
from directory.people import Person
from gateway.caller import Caller
from gateway.pages import page
from gateway.parameters import Cursor, Limit
from gateway.permissions import ANYONE
from gateway.profile import skills
from gateway.reads import Reads
from gateway.router import action


class ListCapabilities(Struct, kw_only=True):
    """Parameters of agent.capability_list.

    Attributes:
        skill: Only agents of this skill: one of their capabilities, or of the words about them.
        limit: Agents in one answer.
        cursor: `next_cursor` of the answer before.
    """

    skill: Annotated[str, Meta(min_length=1, max_length=100)] | None = None
    limit: Limit = 500
    cursor: Cursor | None = None


@action("agent.capability_list", ANYONE, kind="reading")
async def capability_list(caller: Caller, params: ListCapabilities, work: Reads) -> dict[str, Any]:
    """List the active AI agents, and what each can do.

    Returns:
        skill, agent_ids[], agent_profiles[], next_cursor.
    """
    after, found = params.cursor or "", list[Person]()
    async with work.means.database.read() as connection:
        while len(found) <= params.limit:
            read = await profiles.agents(connection, after=after)
            found += [one for one in read if params.skill is None or params.skill in _skills(one)]
            if not read:
                break
            after = read[-1].employee_id
    rows, cursor = page(found[: params.limit + 1], params.limit, _shown, lambda one: one.employee_id)
    shown = found[: len(rows)]
    return {
        "skill": params.skill,
        "agent_ids": [one.employee_id for one in shown],
        "agent_profiles": rows,
    } | cursor


def _skills(agent: Person) -> frozenset[str]:
    return skills(agent.agent_profile) | frozenset(agent.skills_badge)


def _shown(agent: Person) -> dict[str, Any]:
    """Show what everybody may know: never where an agent is called, nor with what."""
    profile = agent.agent_profile or {}
    return {
        "employee_id": agent.employee_id,
        "name": agent.name,
        "capabilities": profile.get("capabilities", []),
        "skills_badge": list(agent.skills_badge),
        "trigger_keywords": profile.get("trigger_keywords", []),
    }
