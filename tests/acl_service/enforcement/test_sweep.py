"""The sweep finds what the broker has and should not, and what it has not and should; a good broker it leaves alone."""

import asyncio
from collections.abc import AsyncIterator
from itertools import groupby

import pytest

from acl_service.enforcement.sweep import Findings
from directory import client_acls, registrations
from directory.client_acls import Claim, Written
from emqx.api.built_in_rules import BuiltInRule
from emqx.api.wire import Answer, Request
from tests.acl_service.enforcement.stage import ON_SQLITE, Stage, until

pytestmark = ON_SQLITE

TEAM = "mchat/group/team"
WIDE = BuiltInRule(topic="mchat/#", permission="allow", action="subscribe")


@pytest.fixture
async def still(stood: Stage) -> AsyncIterator[Stage]:
    """alice and bob are there with their rules; nobody enforces any more."""
    async with stood.working():
        for name in ("alice", "bob"):
            await stood.come(name, None, TEAM)
        await stood.pushed("alice_pc", "bob_pc")
        await stood.settled()
    stood.wire.requests.clear()
    yield stood


async def sweep(stage: Stage) -> Findings:
    await stage.service.feed.catch_up()
    return await stage.enforcement._sweeper.sweep()


async def follow(stage: Stage) -> None:
    """Look at those whom the sweep left to the events."""
    while stage.enforcement._pusher._waiting:
        await stage.enforcement._pusher.push()


async def test_nothing_on_a_good_broker(still: Stage) -> None:
    found = await sweep(still)
    assert found == Findings(sessions=2, rules=2)
    assert still.wire.writes() == []


async def test_rules_that_were_changed_behind_our_back_are_put_right(still: Stage) -> None:
    right = still.rules("bob_pc")
    await still.api.client_rules.put("bob_pc", [WIDE])
    assert (await sweep(still)).wrong == {"bob_pc"}
    assert still.rules("bob_pc") == right
    await still.api.client_rules.delete("bob_pc")
    assert (await sweep(still)).wrong == {"bob_pc"}
    assert still.rules("bob_pc") == right
    assert not any("alice_pc" in call for call in still.wire.writes())
    assert await sweep(still) == Findings(sessions=2, rules=2)


async def test_leftovers_of_sessions_that_ended_go(still: Stage) -> None:
    # Of one that nobody knows of, and of one whose row is there.
    await still.api.client_rules.put("ghost", [WIDE])
    await still.api.client_rules.put("carol_pc", [WIDE])
    async with still.database.write() as connection:
        claim = Claim("carol_pc", "carol", 1)
        await client_acls.claim(connection, [claim], holder="h", now_ms=1, hold_ms=1)
        row = Written("carol_pc", "carol", 1, "[]", "[]")
        await client_acls.written(connection, [row], holder="h", now_ms=1)
    # Somebody else's, by user name and for all, are not ours to take.
    await still.api.user_rules.put("ghost", [WIDE])
    await still.api.common_rules.put([WIDE])
    assert (await sweep(still)).ended == {"ghost", "carol_pc"}
    assert still.rules("ghost") == still.rules("carol_pc") == set()
    assert await still.row("carol_pc") is None
    assert await still.api.user_rules.get("ghost") == await still.api.common_rules.get() == (WIDE,)


async def test_a_session_without_rules_or_row_is_given_some(still: Stage) -> None:
    await still.come("carol")
    assert (await sweep(still)).unwritten == {"carol_pc"}
    assert still.rules("carol_pc") == {"mchat/status/carol"}
    assert await sweep(still) == Findings(sessions=3, rules=3)


async def test_a_writer_that_vanished_is_made_up_for(still: Stage) -> None:
    async with still.database.write() as connection:
        claim = Claim("bob_pc", "bob", 99)
        await client_acls.claim(connection, [claim], holder="dead", now_ms=1, hold_ms=1)
    assert (await sweep(still)).wrong == {"bob_pc"}
    row = await still.row("bob_pc")
    assert row is not None and row.claimed_by is None
    assert await sweep(still) == Findings(sessions=2, rules=2)


async def test_a_session_of_somebody_who_does_not_own_its_client_id_is_ended(still: Stage) -> None:
    """The row by which it would have been known was lost with a hook process."""
    await still.change(lambda change: registrations.add(change, "lobby", "exact", "bob"))
    lobby = await still.come("bob", "lobby", TEAM)

    async def moved(change: object) -> None:
        await registrations.remove(change, "lobby")  # type: ignore[arg-type]
        await registrations.add(change, "lobby", "exact", "carol")  # type: ignore[arg-type]

    await still.change(moved)
    found = await sweep(still)
    assert found.foreign == {"lobby"}
    await lobby.was_closed()
    assert still.rules("lobby") == set()
    assert still.topics("alice_pc") == still.topics("bob_pc") == {TEAM}


async def test_who_comes_while_it_sweeps_keeps_the_rules(still: Stage) -> None:
    """The list of the broker is older than the client: what looks left over is not."""
    await still.api.client_rules.put("carol_pc", [WIDE])
    taking = asyncio.Event()

    async def come(request: Request) -> Answer | None:
        if request.method == "DELETE" and request.path.endswith("/carol_pc") and not taking.is_set():
            taking.set()
            await still.come("carol")
        return None

    still.wire.fault = come
    assert (await sweep(still)).ended == {"carol_pc"}
    await follow(still)
    assert still.rules("carol_pc") == {"mchat/status/carol"}


async def test_sweeps_and_writes_at_the_same_time_do_not_fight(stood: Stage) -> None:
    async with stood.working():
        bob = await stood.come("bob", None, TEAM)
        await stood.pushed("bob_pc")
        await stood.settled()
        stood.wire.requests.clear()
        changes = 6
        over = asyncio.Event()
        sweeping = asyncio.create_task(_sweeps(stood, over))
        for number in range(changes):
            await (stood.leave if number % 2 == 0 else stood.join)("team", "bob")
            await stood.enforced()
        over.set()
        await sweeping
        await stood.settled()
        await until(lambda: TEAM in stood.rules("bob_pc"))
    written = [
        TEAM.encode() in (one.content or b"")
        for one in stood.wire.requests
        if one.method == "PUT" and one.path.endswith("/bob_pc")
    ]
    assert len(list(groupby(written))) <= changes, "no sweep takes back what a change wrote"
    assert bob.closed == 0
    assert await sweep(stood) == Findings(sessions=1, rules=1)


async def _sweeps(stage: Stage, over: asyncio.Event) -> None:
    while not over.is_set():
        await stage.enforcement._sweeper.sweep()
