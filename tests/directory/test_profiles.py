"""What people and AI agents can do."""

import pytest

from directory import people, profiles
from directory.database import Database
from directory.errors import DirectoryError, InvalidValue, NotFound
from tests.directory.company import enforced, hire, touched, version_of


@pytest.fixture
async def company(database: Database) -> Database:
    """Person a, agents r and s, and agent x who is disabled."""
    await hire(database, "a")
    async with database.change("hr", 1_000) as change:
        for one in ("s", "r", "x"):
            await people.add(change, name=one, employee_id=one, role="agent", is_ai_agent=True)
        await people.set_status(change, "x", "disabled")
    return database


async def test_skills_and_profiles_are_kept_and_touch_nobodys_rights(company: Database) -> None:
    before = await version_of(company)
    async with company.change("hr", 2_000) as change:
        await profiles.set_skills(change, "a", ["⚡实时响应", "⚡实时响应", "sql"])
        await profiles.set_profile(change, "r", {"capabilities": ["sum"]})
    async with company.read() as connection:
        a, r = await people.get(connection, "a"), await people.get(connection, "r")
    assert (a.skills_badge, a.updated_at) == (("⚡实时响应", "sql"), 2_000)
    assert r.agent_profile == {"capabilities": ["sum"]}
    assert await touched(company, before) == [("org", "a"), ("org", "r")]
    assert await enforced(company, before) == []


@pytest.mark.parametrize(
    ("employee_id", "skills", "error", "says"),
    [
        ("nobody", ["a"], NotFound, "nobody"),
        ("a", [""], InvalidValue, "empty"),
        ("a", ["a\nb"], InvalidValue, "U\\+000A"),
        ("a", ["a" * 101], InvalidValue, "101"),
        ("a", [str(number) for number in range(51)], InvalidValue, "51 words"),
    ],
)
async def test_skills_that_cannot_be_are_refused(
    company: Database, employee_id: str, skills: list[str], error: type[DirectoryError], says: str
) -> None:
    with pytest.raises(error, match=says):
        async with company.change("hr", 2_000) as change:
            await profiles.set_skills(change, employee_id, skills)


async def test_only_agents_have_a_profile(company: Database) -> None:
    for employee_id, error in (("a", InvalidValue), ("nobody", NotFound)):
        with pytest.raises(error, match=employee_id):
            async with company.change("hr", 2_000) as change:
                await profiles.set_profile(change, employee_id, {})


async def test_active_agents_are_listed_by_id(company: Database) -> None:
    async with company.read() as connection:
        assert [one.employee_id for one in await profiles.agents(connection)] == ["r", "s"]
        assert [one.employee_id for one in await profiles.agents(connection, after="r")] == ["s"]
        assert [one.employee_id for one in await profiles.agents(connection, limit=1)] == ["r"]
