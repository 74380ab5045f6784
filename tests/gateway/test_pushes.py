"""Word that the organisation or the agents of a skill changed."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec import json

from directory.database import Database
from gateway.exchange import NotConnected, PublishRefused
from gateway.pushes import Pushes
from tests.gateway.stage import Stage, join, staged


class Wire:
    """A publisher that fails as it is told."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Any]] = []
        self.fault: Exception | None = None

    async def publish(self, topic: str, payload: bytes, qos: int = 1, retain: bool = False) -> None:
        if self.fault is not None:
            raise self.fault
        assert qos == 1 and not retain
        self.sent.append((topic, json.decode(payload)))


@pytest.fixture
async def stage(database: Database) -> AsyncIterator[Stage]:
    await join(database, "root", role="admin")
    async with staged(database) as running:
        yield running


def _pushes(stage: Stage, wire: Wire, holder: str = "gw1") -> Pushes:
    return Pushes(stage.database, wire, stage.means.topics, holder, lambda: stage.clock[0], every_s=3.0)


async def test_many_changes_are_one_message_without_content(stage: Stage) -> None:
    wire = Wire()
    pushes = _pushes(stage, wire)
    assert await pushes.step() == 0
    for name in "ab":
        await stage.send("root", "department.create", name="hush", department_id=name)
    await stage.send("root", "department.update", department_id="a", updates={"name": "hush"})
    assert await pushes.step() == 1
    assert wire.sent == [("mchat/org/tree", {"version": stage.house.version, "changed_ids": ["a", "b"]})]
    assert await pushes.step() == 0


async def test_one_instance_does_it_at_a_time_and_another_takes_over(stage: Stage) -> None:
    wire, other = Wire(), Wire()
    await stage.send("root", "department.create", name="A", department_id="a")
    assert await _pushes(stage, wire).step() == 1
    await stage.send("root", "department.create", name="B", department_id="b")
    assert await _pushes(stage, other, "gw2").step() == 0
    stage.clock[0] += 6_001
    assert await _pushes(stage, other, "gw2").step() == 1
    assert [message["changed_ids"] for _, message in wire.sent + other.sent] == [["a"], ["b"]]


async def test_what_is_not_taken_now_is_tried_again_and_what_never_will_is_given_up(stage: Stage) -> None:
    wire = Wire()
    pushes = _pushes(stage, wire)
    await stage.send("root", "department.create", name="A", department_id="a")
    wire.fault = NotConnected("no connection")
    assert await pushes.step() == 0
    wire.fault = None
    assert await pushes.step() == 0
    stage.clock[0] += 3_000
    assert await pushes.step() == 1
    await stage.send("root", "department.create", name="B", department_id="b")
    wire.fault = PublishRefused("too large")
    assert await pushes.step() == 0
    assert await stage.work("gateway", "org") == []


async def test_a_long_list_of_ids_is_several_messages(stage: Stage) -> None:
    wire = Wire()
    ids = [f"e{number}" for number in range(1_500)]
    async with stage.database.change("hr", 1) as change:
        for one in ids:
            change.enqueue("gateway", "org", one, {"changed_id": one})
        for skill in ("go", "翻译"):
            payload = {"skill": skill, "changed_id": "bot"}
            change.enqueue("gateway", "capability", skill, payload)
    assert await _pushes(stage, wire).step() == 4
    topics = [topic for topic, _ in wire.sent]
    assert topics == ["mchat/org/tree"] * 2 + ["mchat/agent/capability/go", "mchat/agent/capability/翻译"]
    assert [one for _, message in wire.sent[:2] for one in message["changed_ids"]] == ids
