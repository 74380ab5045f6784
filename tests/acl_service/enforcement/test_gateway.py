"""The gateway's session is not ended to change its rights: it is told to reconnect, and ended only if it is deaf."""

from collections.abc import AsyncIterator

import pytest

from acl_service.policy import profiles
from directory import outbox, people, policies, replicas
from directory.changes import Change
from directory.database import Database
from directory.replicas import Replica
from tests.acl_service.enforcement.stage import ON_SQLITE, Stage, stage, until
from tests.acl_service.serving import add_person

pytestmark = ON_SQLITE

REQUESTS = "mchat/msg/req/+/+"
NARROWER = profiles.read("mchat").replace(
    '  { action = "publish", space = "skills", reason = "the gateway tells what agents can do" },\n', ""
)


@pytest.fixture
async def house(database: Database, company: dict[str, str]) -> AsyncIterator[Stage]:
    """The stage at work, with the gateway's person."""
    company["gate"] = await add_person(database, "gate", role="service")
    async with stage(database) as running:
        running.tokens = company
        async with running.working():
            await running.settled()
            yield running


async def activate(stage: Stage, text: str) -> None:
    async def activated(change: Change) -> None:
        version = await policies.add(change, name="mchat", document=text, reason="test")
        await policies.activate(change, version)

    await stage.change(activated)


async def behind(stage: Stage, *, gone: bool = False) -> None:
    """A replica that has heard of nothing since now, or is no more."""
    async with stage.database.write() as connection:
        if gone:
            await replicas.leave(connection, "lagging")
        else:
            now = stage.clock()
            await replicas.beat(
                connection, Replica("lagging", "hooks", stage.service.memory.version, now, now)
            )


async def told(stage: Stage) -> list[str]:
    """The client ids that were told to reconnect, as often as they were."""
    async with stage.database.read() as connection:
        return [row.payload["client_id"] for row in await outbox.pending(connection, "gateway")]


async def test_a_gateway_with_too_wide_rights_is_told_and_not_kicked(house: Stage) -> None:
    gate = await house.come("gate", "gate_1", REQUESTS)
    await house.pushed("gate_1")
    await activate(house, NARROWER)
    await house.enforced()
    assert await told(house) == ["gate_1"]
    house.clock.ahead_ms = 29_000
    await until(lambda: len([one for one in house.wire.about("gate_1") if one.startswith("GET")]) > 3)
    assert [row.kind for row in await house.work()] == ["policy_activated"]
    assert (gate.closed, house.topics("gate_1")) == (0, {REQUESTS})
    # It does as it was told, and that is the end of it.
    await gate.disconnect()
    gate = await house.come("gate", "gate_1", REQUESTS)
    house.clock.ahead_ms = 33_000
    await house.settled()
    assert gate.closed == 0
    assert "DELETE /clients/gate_1" not in house.wire.writes()


async def test_a_deaf_gateway_is_ended_after_thirty_seconds(house: Stage) -> None:
    gate = await house.come("gate", "gate_1", REQUESTS)
    await house.pushed("gate_1")
    await activate(house, NARROWER)
    await house.enforced()
    house.clock.ahead_ms = 31_000
    await gate.was_closed()
    house.clock.ahead_ms = 34_000
    await house.settled()


async def test_older_work_that_waits_for_something_else_does_not_end_a_gateway_just_told(
    house: Stage,
) -> None:
    """The work on alice is in force for long; the gateway has its thirty seconds from its own."""
    gate = await house.come("gate", "gate_1", REQUESTS)
    await house.pushed("gate_1")
    # A replica that is still behind keeps the work open.
    await behind(house)
    await house.leave("team", "bob")
    await activate(house, profiles.read("mchat") + "\n# the same\n")
    await house.enforced()
    assert await told(house) == []
    house.clock.ahead_ms = 40_000
    await activate(house, NARROWER)
    await house.enforced()
    await behind(house, gone=True)
    assert set(await told(house)) == {"gate_1"}
    house.clock.ahead_ms = 45_000

    async def others_are_done() -> bool:
        return {row.kind for row in await house.work()} == {"policy_activated"}

    await until(others_are_done)
    # Both are looked at, and again.
    for _ in range(4):
        house.clock.ahead_ms += 2_000
        seen = len(house.wire.about("gate_1"))
        await until(lambda seen=seen: len(house.wire.about("gate_1")) > seen + 3)  # type: ignore[misc]
    assert gate.closed == 0
    assert "DELETE /clients/gate_1" not in house.wire.writes()


async def test_a_disabled_gateway_is_out_at_once(house: Stage) -> None:
    gate = await house.come("gate", "gate_1", REQUESTS)
    await house.pushed("gate_1")
    await house.change(lambda change: people.set_status(change, "gate", "disabled"))
    await gate.was_closed()
    await house.settled()
    assert await told(house) == []
