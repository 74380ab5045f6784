"""What people and AI agents can do: their profiles and the words about their skills; neither gives rights."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from directory.changes import Change, Subject
from directory.errors import InvalidValue, NotFound
from directory.ids import check_text
from directory.people import Person, person_of
from directory.schema import employee

MAX_SKILLS: Final = 50
"""Words about the skills of one person."""


def check_skills(skills_badge: Sequence[str]) -> list[str]:
    """Return words about skills, each once, if they can stand: at most `MAX_SKILLS`, each of 1 to 100 characters.

    Raises:
        InvalidValue: They cannot; names the word.
    """
    if len(skills_badge) > MAX_SKILLS:
        raise InvalidValue(
            f"skills_badge has {len(skills_badge)} words, more than {MAX_SKILLS}: leave some out"
        )
    return [check_text("skills_badge", word, 100) for word in dict.fromkeys(skills_badge)]


async def set_skills(change: Change, employee_id: str, skills_badge: Sequence[str]) -> None:
    """Give a person other words about skills.

    Raises:
        InvalidValue: They are too many, or one is not allowed.
        NotFound: There is no such person.
    """
    await _locked(change, employee_id)
    await _update(change, employee_id, "employee.skills", skills_badge=check_skills(skills_badge))


async def set_profile(change: Change, employee_id: str, agent_profile: Mapping[str, Any]) -> None:
    """Say what an AI agent can do.

    Raises:
        InvalidValue: It is no AI agent.
        NotFound: There is no such person.
    """
    if not await _locked(change, employee_id):
        raise InvalidValue(f"employee {employee_id!r} is no AI agent: only those have an agent_profile")
    await _update(change, employee_id, "employee.agent_profile", agent_profile=dict(agent_profile))


async def agents(connection: AsyncConnection, *, after: str = "", limit: int = 500) -> Sequence[Person]:
    """List the active AI agents by id: those after `after`."""
    rows = await connection.execute(
        select(employee)
        .where(employee.c.is_ai_agent, employee.c.status == "active", employee.c.employee_id > after)
        .order_by(employee.c.employee_id)
        .limit(limit)
    )
    return [person_of(row) for row in rows]


async def _locked(change: Change, employee_id: str) -> bool:
    """Hold a person's row against other writers, and tell whether it is an AI agent."""
    is_ai_agent: bool | None = await change.connection.scalar(
        select(employee.c.is_ai_agent).where(employee.c.employee_id == employee_id).with_for_update()
    )
    if is_ai_agent is None:
        raise NotFound(f"employee {employee_id!r} does not exist: see the list of people")
    return is_ai_agent


async def _update(change: Change, employee_id: str, action: str, **values: Any) -> None:
    await change.connection.execute(
        update(employee)
        .where(employee.c.employee_id == employee_id)
        .values(**values, updated_at=change.now_ms)
    )
    change.touch(Subject("org", employee_id))
    change.audit(action, employee_id)
