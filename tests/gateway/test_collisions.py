"""Requests that meet in the database: each is answered as if it had come after the other."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import text

from directory import groups
from directory.database import Database
from tests.gateway.stage import Answer, Stage, join, staged

ADMINS = [f"root{number}" for number in range(4)]


@pytest.fixture
async def stage(database: Database) -> AsyncIterator[Stage]:
    await join(database, *ADMINS, role="admin")
    async with staged(database) as running:
        yield running


SAME_ID: dict[str, dict[str, Any]] = {
    "group.create": {"name": "G", "member_ids": [], "group_id": "same"},
    "department.create": {"name": "D", "department_id": "same"},
    "employee.create": {"name": "E", "employee_id": "same"},
}


@pytest.mark.parametrize("action", SAME_ID)
async def test_of_those_who_make_one_id_at_once_one_does_and_the_others_are_refused_for_good(
    stage: Stage, action: str
) -> None:
    for _ in range(3):
        # Each has a connection by now: they come at the same moment.
        await asyncio.gather(*(stage.send(one, "group.list") for one in ADMINS))
    ends = await asyncio.gather(*(stage.send(one, action, seq="s", **SAME_ID[action]) for one in ADMINS))
    assert sorted(one.code for one in ends) == [0, 409, 409, 409]
    refused = [one for one in ends if one.code]
    # What the database says of it names its tables.
    assert all("'same'" in one.message or "ask anew" in one.message for one in refused)
    assert sorted(row.code for row in await stage.audited() if row.code is not None) == [0, 409, 409, 409]
    # The refusals are stored like any other.
    for one, end in zip(ADMINS, ends, strict=True):
        again = await stage.send(one, action, seq="s", **SAME_ID[action])
        assert again.code == end.code and (action == "employee.create" or again.raw == end.raw)


async def _waits(stage: Stage, asked: "asyncio.Task[Answer]") -> None:
    """Wait until a request stands before a lock of the database; on SQLite all who write do, one behind another."""
    if stage.database.dialect == "sqlite":
        return
    async with asyncio.timeout(10):
        waiting = False
        while not (waiting or asked.done()):
            async with stage.database.read() as connection:
                waiting = bool(
                    await connection.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted"))
                )


async def test_who_is_losing_a_role_in_a_group_at_the_moment_acts_by_it_no_more(stage: Stage) -> None:
    await join(stage.database, "owner", "li", "wang", "zhao")
    async with stage.database.change("hr", 1) as change:
        await groups.create(change, name="G", creator="owner", group_id="g", member_ids=["li", "wang"])
        await groups.set_member_role(change, "g", "li", "admin")
    params: dict[str, Any] = {"group_id": "g", "member_ids": ["zhao"]}
    async with stage.database.change("hr", 2) as change:
        await groups.set_member_role(change, "g", "li", "member")
        asked = asyncio.create_task(stage.send("li", "group.member_add", **params))
        await _waits(stage, asked)
    assert (await asked).code == 403
    # The twin: who has the role still.
    assert (await stage.send("owner", "group.member_add", **params)).code == 0
