"""Rules under client ids: one writer at a time, the newest rights at the end, and what there is room for."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from acl_service.enforcement.acls import Given
from acl_service.enforcement.scope import Scope
from acl_service.enforcement.sessions import Session
from acl_service.principals import Client
from directory import client_acls, groups, leases
from directory.client_acls import Claim, Written
from directory.database import Database
from emqx.api.built_in_rules import BuiltInRule
from emqx.api.wire import Answer, Request
from tests.acl_service.enforcement.stage import (
    NOT_FOUND,
    ON_SQLITE,
    RecordedWire,
    Stage,
    Worker,
    another,
    stage,
    until,
)

TEAM = "mchat/group/team"
BOB = "bob_pc"
PUT = f"PUT /authorization/sources/built_in_database/rules/clients/{BOB}"
EVERYTHING = {TEAM, "mchat/status/bob", "mchat/status/alice"}


async def pair(worker: Stage | Worker) -> list[tuple[Session, Client]]:
    await worker.service.feed.catch_up()
    sessions = await worker.enforcement.roster.of_clients([BOB])
    return [(one, await worker.service.memory.find_client(one.client_id)) for one in sessions]


async def give(worker: Stage | Worker, *, look: bool = False) -> Given:
    return await worker.enforcement.acls.give(await pair(worker), look=look)


@asynccontextmanager
async def held(wire: RecordedWire) -> AsyncIterator[tuple[asyncio.Event, Callable[[], bool]]]:
    """Writes of bob's rules stop just before they leave, until the event is set."""
    go, arrived = asyncio.Event(), asyncio.Event()

    async def wait(request: Request) -> Answer | None:
        if request.call == PUT:
            arrived.set()
            await go.wait()
        return None

    wire.fault = wait
    yield go, arrived.is_set
    wire.fault = None


@ON_SQLITE
async def test_rules_are_written_once_and_again_when_they_change(stood: Stage) -> None:
    await stood.come("bob")
    assert (await give(stood)).written == {BOB}
    assert stood.rules(BOB) == EVERYTHING
    assert (await give(stood)).written == (await give(stood, look=True)).written == set()
    assert stood.wire.writes() == [PUT]
    await stood.leave("team", "bob")
    assert (await give(stood)).written == {BOB}
    assert stood.rules(BOB) == {"mchat/status/bob"}


async def test_a_client_id_has_one_writer_at_a_time(stood: Stage) -> None:
    await stood.come("bob")
    async with another(stood) as other, held(stood.wire) as (go, arrived):
        writing = asyncio.create_task(give(stood))
        await until(arrived)
        assert await give(other) == Given(held={BOB})
        assert other.wire.writes() == []
        go.set()
        assert await writing == Given(written={BOB})
        # Free again, and nothing left to write.
        assert await give(other) == Given()


async def test_a_late_writer_of_older_rights_neither_repeats_nor_says_that_all_is_well(stood: Stage) -> None:
    await stood.come("bob")
    async with another(stood) as other, held(stood.wire) as (go, arrived):
        late = asyncio.create_task(give(stood))
        await until(arrived)
        # It stops for longer than its claim holds; meanwhile another worker takes the newer rights to the broker.
        version = await stood.leave("team", "bob")
        stood.clock.ahead_ms = 5_001
        assert await give(other) == Given(written={BOB})
        assert stood.rules(BOB) == {"mchat/status/bob"}
        go.set()
        assert await late == Given(lost={BOB})
    assert stood.rules(BOB) == EVERYTHING, "the older rules stand for a moment"
    row = await stood.row(BOB)
    assert row is not None and (row.stale, row.version) == (True, version)
    assert stood.wire.writes() == [PUT]
    # Whoever looks next writes them anew, without looking at what the broker has.
    assert await give(stood) == Given(written={BOB})
    assert stood.rules(BOB) == {"mchat/status/bob"}


async def test_the_broker_ends_at_the_newest_rights_with_two_workers(stood: Stage) -> None:
    """As above, with all parts at work: the late one looks at its session again by itself."""
    await stood.come("bob", None, TEAM)
    async with another(stood) as other, held(stood.wire) as (go, arrived), AsyncExitStack() as stack:
        await stack.enter_async_context(stood.working())
        await until(arrived)
        await stood.leave("team", "bob")
        stood.clock.ahead_ms = 5_001
        await stack.enter_async_context(stood.working(other.enforcement))
        # The first worker waits and tries again meanwhile, with pauses that grow: the other finds its turn in between.
        await until(lambda: stood.rules(BOB) == {"mchat/status/bob"}, 80)
        go.set()
        await stood.settled()
        await until(lambda: stood.rules(BOB) == {"mchat/status/bob"})
    row = await stood.row(BOB)
    assert row is not None and not row.stale
    assert (stood.rules(BOB), stood.topics(BOB)) == ({"mchat/status/bob"}, set())


async def test_rules_are_those_of_the_version_that_they_are_noted_with(
    stood: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rights that change while peers are looked up are not written under the newer version."""
    await stood.come("bob")
    pairs = await pair(stood)
    peers = stood.enforcement.acls._peers
    left: list[int | None] = []

    class Slow:
        async def of(self, clients: Collection[Client]) -> Mapping[str, tuple[str, ...]]:
            found = await peers.of(clients)
            if not left:
                left.append(await stood.leave("team", "bob"))
                await stood.service.feed.catch_up()
            return found

    monkeypatch.setattr(stood.enforcement.acls, "_peers", Slow())
    assert await stood.enforcement.acls.give(pairs) == Given(written={BOB})
    row = await stood.row(BOB)
    assert row is not None and row.version == left[0]
    assert stood.rules(BOB) == {"mchat/status/bob"}


@ON_SQLITE
async def test_what_a_writer_that_died_may_have_told_the_broker_is_written_anew(stood: Stage) -> None:
    """He claimed the client id and told the broker, and did not come to say so; the client has no rights now."""
    await stood.come("bob")
    async with stood.database.write() as connection:
        claim = Claim(BOB, "bob", 1)
        await client_acls.claim(
            connection, [claim], holder="dead", now_ms=stood.clock() - 9_000, hold_ms=5_000
        )
    await stood.api.client_rules.put(BOB, [BuiltInRule(topic=TEAM, permission="allow", action="subscribe")])
    stood.enforcement.acls.push = False
    await give(stood)
    assert stood.rules(BOB) == set()


@ON_SQLITE
async def test_own_groups_come_before_ones_own_status_and_others_last(
    database: Database, company: dict[str, str]
) -> None:
    async with stage(database, push_rules=2) as running:
        running.tokens = company
        await running.change(lambda change: groups.create(change, name="g", creator="bob", group_id="zoo"))
        async with running.working():
            await running.come("bob")
            await running.come("carol")
            await running.pushed(BOB, "carol_pc")
            assert running.rules(BOB) == {TEAM, "mchat/group/zoo"}
            assert running.rules("carol_pc") == {"mchat/status/carol"}
            row = await running.row(BOB)
            assert row is not None
            assert "mchat/status/bob" in row.left_out
            # What was left out is asked, and holds.
            alice = await running.come("alice", None, "mchat/status/bob", "mchat/status/alice")
            await running.settled()
            assert alice.closed == 0
            assert len(running.topics("alice_pc")) == 2


@ON_SQLITE
async def test_push_off_takes_away_what_stands(database: Database, company: dict[str, str]) -> None:
    async with stage(database) as on:
        on.tokens = company
        async with on.working():
            bob = await on.come("bob", None, TEAM)
            await on.pushed(BOB)
            await on.settled()
        async with another(on, push=False) as off:
            foreign = BuiltInRule(topic="theirs", permission="allow", action="publish")
            await on.api.user_rules.put("somebody", [foreign])
            async with on.working(off.enforcement):
                await until(lambda: on.rules(BOB) == set())
                await on.leave("team", "bob")
                await on.settled()
            assert on.topics(BOB) == set()
            assert bob.closed == 0
            assert not any(call.startswith("PUT") for call in off.wire.writes())
            assert await on.api.user_rules.get("somebody") == (foreign,)


@ON_SQLITE
async def test_without_the_built_in_source_a_revocation_is_carried_out_all_the_same(live: Stage) -> None:
    bob = await live.come("bob", None, TEAM)
    await live.pushed(BOB)
    await live.api.authorization.delete("built_in_database")
    await live.leave("team", "bob")
    await until(lambda: live.topics(BOB) == set())
    await live.settled()
    assert bob.closed == 0
    fault = await live.service.checks["broker"]()
    assert fault is not None and "built_in_database" in fault


@ON_SQLITE
async def test_rules_that_the_broker_does_not_take_are_left_for_later(stood: Stage) -> None:
    await stood.come("bob", None, TEAM)

    async def missing(request: Request) -> Answer | None:
        return NOT_FOUND if request.call == PUT else None

    stood.wire.fault = missing
    assert (await give(stood)).written == {BOB}
    assert stood.enforcement.acls.unsupported
    stood.wire.fault = None
    # The source is back, empty: a look finds it.
    assert (await give(stood, look=True)).written == {BOB}
    assert (stood.rules(BOB), stood.enforcement.acls.unsupported) == (EVERYTHING, "")


async def test_a_worker_that_stops_gives_its_claims_back(stood: Stage) -> None:
    """Nobody waits for the end of a claim whose holder is gone, nor takes for written what may not be."""
    await stood.come("bob")
    async with another(stood) as other, held(stood.wire) as (_, arrived):
        writing = asyncio.create_task(give(stood))
        await until(arrived)
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        row = await stood.row(BOB)
        assert row is not None and (row.claimed_by, row.stale) == (None, True)
        assert await give(other) == Given(written={BOB})


async def test_what_is_written_late_for_a_session_that_ended_is_taken_back(stood: Stage) -> None:
    """The next owner of the client id must not find it there."""
    bob = await stood.come("bob")
    async with another(stood) as other, held(stood.wire) as (go, arrived):
        bring = stood.enforcement.enforcer._effects.bring(Scope(clients=frozenset((BOB,))))
        late = asyncio.create_task(bring)
        await until(arrived)
        await bob.disconnect()
        stood.clock.ahead_ms = 5_001
        assert await other.enforcement._pusher.ended([BOB]) == 1
        assert await stood.row(BOB) is None
        go.set()
        await late
    assert PUT in stood.wire.writes()
    assert (stood.rules(BOB), await stood.row(BOB)) == (set(), None)


@ON_SQLITE
async def test_a_worker_that_stops_leaves_the_sessions_to_another_at_once(stood: Stage) -> None:
    async def leads(holder: str) -> bool:
        async with stood.database.write() as connection:
            return await leases.acquire(
                connection, "enforcement.sessions", holder=holder, now_ms=stood.clock(), hold_ms=1_000
            )

    async with stood.working():
        await stood.come("bob")
        await stood.pushed(BOB)
        assert not await leads("another")
    assert await leads("another")


async def test_rules_that_were_written_between_the_look_and_the_claim_are_not_taken_for_ones_own(
    stood: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """bob left and came back; who has heard of both finds the row as it should be, and then the first is written."""
    await stood.come("bob")
    await give(stood)
    version = await stood.leave("team", "bob")
    await stood.join("team", "bob")
    pairs = await pair(stood)
    acls, between = stood.enforcement.acls, [version or 0]
    write = acls._write

    async def late(*values: Any, **named: Any) -> Given:
        own = BuiltInRule(topic="mchat/status/bob", permission="allow", action="subscribe")
        async with stood.database.write() as connection:
            claim = Claim(BOB, "bob", between[0])
            assert await client_acls.claim(connection, [claim], holder="other", now_ms=1, hold_ms=1)
            row = Written(BOB, "bob", between[0], "[]", "[]")
            await client_acls.written(connection, [row], holder="other", now_ms=2)
        await stood.api.client_rules.put(BOB, [own])
        return await write(*values, **named)

    monkeypatch.setattr(acls, "_write", late)
    assert await acls.give(pairs) == Given(written={BOB})
    assert stood.rules(BOB) == EVERYTHING


async def test_nobody_is_asked_without_rest_while_another_worker_writes(stood: Stage) -> None:
    await stood.come("bob")
    async with stood.database.write() as connection:
        claim = Claim(BOB, "bob", 0)
        await client_acls.claim(connection, [claim], holder="other", now_ms=stood.clock(), hold_ms=60_000)
    stood.enforcement._pusher.expect([BOB])
    assert await stood.enforcement._pusher.push() == 0
    stood.clock.ahead_ms = 60_001
    assert await stood.enforcement._pusher.push() == 1
    assert stood.rules(BOB) == EVERYTHING
