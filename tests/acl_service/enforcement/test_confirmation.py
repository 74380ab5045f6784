"""Work is done only when nobody answers by older rights any more, and until then its sessions are looked at again."""

from collections.abc import AsyncIterator

import httpx
import pytest
from sqlalchemy import select

from directory import blocks, registrations, replicas, schema
from directory.changes import Change
from directory.replicas import Replica
from tests.acl_service.enforcement.stage import ON_SQLITE, Stage, until

pytestmark = ON_SQLITE

TEAM = "mchat/group/team"
AGAIN_MS = 2_000


class Lagging:
    """A replica that has heard of nothing since it was made; it says so, or is silent."""

    def __init__(self, stage: Stage, kind: str = "hooks") -> None:
        self._stage = stage
        self._kind = kind
        self._version = stage.service.memory.version

    async def beat(self) -> None:
        await self._write(self._version)

    async def catches_up(self) -> None:
        await self._write(self._stage.service.memory.version)

    async def leaves(self) -> None:
        async with self._stage.database.write() as connection:
            await replicas.leave(connection, "lagging")

    async def _write(self, version: int) -> None:
        now_ms = self._stage.clock()
        async with self._stage.database.write() as connection:
            await replicas.beat(connection, Replica("lagging", self._kind, version, now_ms, now_ms))


@pytest.fixture
async def lagging(stood: Stage) -> AsyncIterator[Lagging]:
    """The enforcement takes in work by its own loop, and looks again when a test lets time pass."""
    async with stood.working():
        await stood.settled()
        replica = Lagging(stood)
        await replica.beat()
        yield replica


async def let_in(stage: Stage, client_id: str, topic: str) -> None:
    """A subscription as a replica with older rights allows it: through the broker itself, past us."""
    url = f"http://127.0.0.1:{stage.laptop.api_port}/api/v5/clients/{client_id}/subscribe"
    transport = stage.api._transport._wire
    async with httpx.AsyncClient(auth=transport._http.auth, trust_env=False) as http:
        answer = await http.post(url, json={"topic": topic, "qos": 1})
    assert answer.status_code == 200, answer.text


async def later(stage: Stage, replica: Lagging | None) -> None:
    """Two seconds later, in which a replica has said that it still knows no better."""
    stage.clock.ahead_ms += AGAIN_MS
    if replica is not None:
        await replica.beat()


async def test_what_a_replica_lets_back_in_is_ended_again_until_it_has_heard(
    stood: Stage, lagging: Lagging
) -> None:
    bob = await stood.come("bob", None, TEAM)
    alice = await stood.come("alice", None, TEAM)
    await stood.pushed("bob_pc", "alice_pc")
    await stood.leave("team", "bob")
    await stood.enforced()
    for _ in range(2):
        assert stood.topics("bob_pc") == set()
        await let_in(stood, "bob_pc", TEAM)
        assert stood.topics("bob_pc") == {TEAM}
        await later(stood, lagging)
        await until(lambda: stood.topics("bob_pc") == set())
    assert [row.kind for row in await stood.work()] == ["member_removed"]
    await lagging.catches_up()
    stood.clock.ahead_ms += AGAIN_MS
    await stood.settled()
    assert (bob.closed, alice.closed, stood.topics("alice_pc")) == (0, 0, {TEAM})
    took = stood.metric("mchat_revocation_confirmed_seconds_sum", kind="member_removed")
    assert took >= 2 * AGAIN_MS / 1000


async def test_a_session_that_came_in_by_older_rights_is_seen_too(stood: Stage, lagging: Lagging) -> None:
    """It was not there when the change was carried out."""
    await stood.leave("team", "bob")
    await stood.enforced()
    await stood.come("bob")
    await let_in(stood, "bob_pc", TEAM)
    await later(stood, lagging)
    await until(lambda: stood.topics("bob_pc") == set())
    await lagging.catches_up()
    stood.clock.ahead_ms += AGAIN_MS
    await stood.settled()


async def test_a_silent_replica_counts_when_it_can_serve_nobody_from_memory_any_more(
    stood: Stage, lagging: Lagging
) -> None:
    await stood.leave("team", "bob")
    await stood.enforced()
    # MCHAT_FEED_STALE of the stage, and the grace of an outage.
    silence_ms = 50 + int(stood.service.settings.outage_grace * 1000)
    stood.clock.ahead_ms = silence_ms - 10_000
    stood.wire.requests.clear()
    await until(lambda: any("usernames" in str(one) or "username" in str(one) for one in stood.wire.requests))
    assert len(await stood.work()) == 1
    stood.clock.ahead_ms = silence_ms + AGAIN_MS
    await stood.settled()


async def test_a_client_id_stays_blocked_until_every_replica_has_heard(
    stood: Stage, lagging: Lagging
) -> None:
    await stood.change(lambda change: registrations.add(change, "lobby", "exact", "bob"))
    device = await stood.come("bob", "lobby", TEAM)
    await stood.pushed("lobby")

    async def moved(change: Change) -> None:
        await registrations.remove(change, "lobby")
        await registrations.add(change, "lobby", "exact", "carol")

    await stood.change(moved)
    await device.was_closed()
    await stood.enforced()
    await later(stood, lagging)
    stood.wire.requests.clear()
    await until(lambda: any("lobby" in str(one.query) for one in stood.wire.requests))
    assert await _blocked(stood)
    await lagging.catches_up()
    stood.clock.ahead_ms += AGAIN_MS
    await stood.settled()
    assert not await _blocked(stood)
    await stood.come("carol", "lobby")


async def looked(stage: Stage) -> bool:
    """Whether all that is not done was looked at a moment ago, and is to be looked at again."""
    query = select(schema.outbox.c.available_at).where(
        schema.outbox.c.done_at.is_(None), schema.outbox.c.worker == "enforcer"
    )
    async with stage.database.read() as connection:
        return all(row[0] > stage.clock() for row in await connection.execute(query))


async def _blocked(stage: Stage) -> bool:
    async with stage.database.read() as connection:
        return "lobby" in await blocks.of_clients(connection, ["lobby"])


async def test_work_that_waits_for_a_replica_does_not_hold_up_other_work(
    stood: Stage, lagging: Lagging
) -> None:
    bob = await stood.come("bob", None, TEAM)
    await stood.pushed("bob_pc")
    await stood.leave("team", "bob")
    await stood.enforced()
    await stood.join("team", "bob")
    await stood.enforced()
    assert await bob.subscribe(TEAM) == [1]
    # A look for the older work does not take back what the newer gave.
    await later(stood, lagging)
    stood.wire.requests.clear()
    await until(lambda: any(one.path.endswith("/bob_pc/subscriptions") for one in stood.wire.requests))
    await lagging.catches_up()
    stood.clock.ahead_ms += AGAIN_MS
    await stood.settled()
    assert stood.topics("bob_pc") == {TEAM}


@pytest.mark.parametrize("ends", ["leaves", "catches_up"])
async def test_a_gateway_that_lags_is_waited_for(stood: Stage, ends: str) -> None:
    """It relays messages by what it remembers."""
    async with stood.working():
        await stood.settled()
        gateway = Lagging(stood, "gateway")
        await gateway.beat()
        await stood.leave("team", "bob")
        await stood.enforced()
        for _ in range(2):
            await later(stood, gateway)
            await until(lambda: looked(stood))
        assert [row.kind for row in await stood.work()] == ["member_removed"]
        await getattr(gateway, ends)()
        stood.clock.ahead_ms += AGAIN_MS
        await stood.settled()


async def test_a_process_that_answers_nobody_is_not_waited_for(stood: Stage) -> None:
    async with stood.working():
        await stood.settled()
        await Lagging(stood, "worker").beat()
        await stood.leave("team", "bob")
        await stood.enforced()
        stood.clock.ahead_ms += AGAIN_MS
        await stood.settled()
