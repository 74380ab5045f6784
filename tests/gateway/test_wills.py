"""What a kick publishes, and whoever else asks with rights that just ended, has no effect."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from directory import people
from directory.database import Database
from directory.participants import Device, Participant
from gateway.exchange import Arrival
from tests.gateway.stage import Stage, connect, join, staged

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


async def _remember_for_ever(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop memory from hearing of anything: it is what must not be believed."""
    person, device = await stage.house.person("boss"), await stage.house.device("boss")

    async def remembered_person(employee_id: str) -> Participant | None:
        return person

    async def remembered_device(client_id: str) -> Device:
        return device

    monkeypatch.setattr(stage.house, "person", remembered_person)
    monkeypatch.setattr(stage.house, "device", remembered_device)


async def test_a_will_of_who_was_disabled_has_no_effect_200_times(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _remember_for_ever(stage, monkeypatch)
    for number in range(20):
        async with stage.database.change("hr", 2_000) as change:
            await people.set_status(change, "boss", "disabled")
        assert (await stage.means.callers.of("boss")).person.status == "active"
        replies = await asyncio.gather(
            *(stage.handle(_will(number + late, f"will{number}-{late}")) for late in range(10))
        )
        assert [json.loads(reply.response or b"")["code"] for reply in replies] == [401] * 10
        async with stage.database.change("hr", 2_000) as change:
            await people.set_status(change, "boss", "active")
    assert await stage.count("department") == 0
    assert stage.messages() == []
    # The twin: the same while it is active.
    reply = await stage.handle(_will(0, "alive"))
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
        reply = await stage.handle(_will(0, f"race{number}"))
        code = json.loads(reply.response or b"")["code"]
        await disabling
        assert code in (0, 401) and (not number % 2 or code == 401)
        assert await stage.count("department") - before == (code == 0)
        done += code == 0
        async with stage.database.change("hr", 2_000) as change:
            await people.set_status(change, "boss", "active")
    assert done <= 5


async def test_a_client_id_that_just_changed_hands_is_judged_by_the_rows_not_by_memory(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await connect(stage.database, root_a_pc="root")
    assert (await stage.send("root_a_pc", "department.create", name="D")).code == 0
    device = await stage.house.device("root_a_pc")

    async def remembered(client_id: str) -> Device:
        return device

    monkeypatch.setattr(stage.house, "device", remembered)
    async with stage.database.change("hr", 2_000) as change:
        await people.add(change, name="x", employee_id="root_a", force=True)
    assert (await stage.send("root_a_pc", "department.create", name="E")).code == 401
    assert await stage.count("department") == 1


async def test_a_role_that_just_ended_is_believed_of_the_rows_not_of_memory(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await _remember_for_ever(stage, monkeypatch)
    assert (await stage.send("boss", "department.create", name="D")).code == 0
    async with stage.database.change("hr", 2_000) as change:
        await people.set_role(change, "boss", "employee")
    assert (await stage.send("boss", "department.create", name="E")).code == 403
    assert await stage.count("department") == 1
