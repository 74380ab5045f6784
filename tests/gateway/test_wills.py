"""What a kick publishes, and whoever else asks with rights that just ended, has no effect."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from directory import people
from directory.database import Database
from gateway.exchange import Arrival
from tests.gateway.stage import Stage, join, staged

WILLS: list[dict[str, Any]] = [
    {"action": "department.create", "name": "By a will"},
    {"action": "system.notify", "title": "By a will", "body": "x"},
]


@pytest.fixture
async def stage(database: Database) -> AsyncIterator[Stage]:
    await join(database, "root", "boss", role="admin")
    async with staged(database) as running:
        yield running


def _will(number: int, seq: str) -> Arrival:
    payload = json.dumps(WILLS[number % len(WILLS)]).encode()
    return Arrival(f"mchat/msg/req/boss/{seq}", payload, time.monotonic())


async def test_a_will_of_who_was_disabled_has_no_effect_200_times(stage: Stage) -> None:
    # Memory has the person as active: it is what must not be believed.
    assert (await stage.send("boss", "auth.bind")).code == 0
    for number in range(20):
        async with stage.database.change("hr", 2_000) as change:
            await people.set_status(change, "boss", "disabled")
        # Before memory hears of it, perhaps, and after.
        replies = await asyncio.gather(
            *(stage.dispatcher.handle(_will(number + late, f"will{number}-{late}")) for late in range(10))
        )
        assert [json.loads(reply.response or b"")["code"] for reply in replies] == [401] * 10
        async with stage.database.change("hr", 2_000) as change:
            await people.set_status(change, "boss", "active")
    assert await stage.count("department") == 0
    assert stage.messages() == []
    # The twin: the same while it is active.
    reply = await stage.dispatcher.handle(_will(0, "alive"))
    assert json.loads(reply.response or b"")["code"] == 0
    assert await stage.count("department") == 1


async def test_either_the_action_or_the_disabling_comes_first(stage: Stage) -> None:
    """Whatever the order, nothing is done for who is disabled already."""
    done = 0
    for number in range(10):
        disabled = asyncio.Event()

        async def disable(disabled: asyncio.Event = disabled) -> None:
            async with stage.database.change("hr", 2_000) as change:
                await people.set_status(change, "boss", "disabled")
            disabled.set()

        disabling = asyncio.create_task(disable())
        if number % 2:
            await disabled.wait()
        before = await stage.count("department")
        reply = await stage.dispatcher.handle(_will(0, f"race{number}"))
        code = json.loads(reply.response or b"")["code"]
        await disabling
        assert code in (0, 401) and (not number % 2 or code == 401)
        assert await stage.count("department") - before == (code == 0)
        done += code == 0
        async with stage.database.change("hr", 2_000) as change:
            await people.set_status(change, "boss", "active")
    assert done <= 5


async def test_a_role_that_just_ended_is_believed_of_the_rows_not_of_memory(stage: Stage) -> None:
    assert (await stage.send("boss", "department.create", name="D")).code == 0
    async with stage.database.change("hr", 2_000) as change:
        await people.set_role(change, "boss", "employee")
    assert (await stage.send("boss", "department.create", name="E")).code == 403
    assert await stage.count("department") == 1
