"""The broker's API fails in its ways: nothing is lost, health says so and then that all is well, hooks go on."""

import asyncio

import pytest

from directory.database import Database
from emqx.api.wire import Answer, ConnectionBroke, Request
from tests.acl_service.enforcement.stage import BROKEN, ON_SQLITE, Fault, Stage, stage, until

pytestmark = ON_SQLITE

TEAM = "mchat/group/team"
IMPATIENT = {"circuit_failures": 3, "circuit_rest": 0.05, "read_timeout": 0.2, "call_timeout": 0.3}


async def fails(request: Request) -> Answer:
    return BROKEN


async def hangs(request: Request) -> Answer:
    await asyncio.Event().wait()
    raise AssertionError("it hangs")


async def refuses(request: Request) -> Answer:
    raise ConnectionBroke("connection refused", sent=False)


async def ill(stage: Stage, check: str) -> str | None:
    return await stage.service.checks[check]()


@pytest.mark.parametrize("fault", [fails, hangs, refuses])
async def test_work_waits_for_the_broker_and_is_not_lost(
    database: Database, company: dict[str, str], fault: Fault
) -> None:
    async with stage(database, api=IMPATIENT) as running:
        running.tokens = company
        async with running.working():
            bob = await running.come("bob", None, TEAM)
            alice = await running.come("alice", None, TEAM)
            await running.pushed("alice_pc", "bob_pc")
            await running.settled()
            assert (await ill(running, "broker"), await ill(running, "enforcement")) == (None, None)

            running.wire.fault = fault
            await running.leave("team", "bob")

            async def tried_again() -> bool:
                (row,) = await running.work()
                return row.attempts >= 2 and row.last_error != ""

            await until(tried_again)
            await until(lambda: ill(running, "broker"))
            running.clock.ahead_ms = 6_000
            overdue = await ill(running, "enforcement")
            assert overdue is not None and "1 changes are not in force" in overdue
            assert running.metric("mchat_enforcement_failures_total") >= 1
            # The hooks answer meanwhile: others come in, and what is asked is decided by the rights of now.
            carol = await running.come("carol", None, "mchat/inbox/carol")
            assert await carol.subscribe(TEAM) == [128]
            phone = await running.come("bob", "bob_phone")
            assert await phone.subscribe(TEAM, "mchat/inbox/bob") == [128, 1]

            running.wire.fault = None
            await running.settled()
            await running.pushed("carol_pc")
            assert (running.topics("bob_pc"), running.topics("bob_phone")) == (set(), {"mchat/inbox/bob"})
            assert TEAM not in running.rules("bob_pc")
            assert (running.topics("alice_pc"), TEAM in running.rules("alice_pc")) == ({TEAM}, True)
            assert [one.closed for one in (alice, bob, carol, phone)] == [0, 0, 0, 0]
            assert (await ill(running, "broker"), await ill(running, "enforcement")) == (None, None)


async def test_rules_that_cannot_be_written_do_not_hold_up_the_end_of_subscriptions(live: Stage) -> None:
    await live.come("bob", None, TEAM)
    await live.pushed("bob_pc")

    async def no_rules(request: Request) -> Answer | None:
        return BROKEN if "/rules/clients/" in request.path and request.method != "GET" else None

    live.wire.fault = no_rules
    await live.leave("team", "bob")
    await until(lambda: live.topics("bob_pc") == set())
    assert TEAM in live.rules("bob_pc")
    assert [row.enforced_at for row in await live.work()] == [None]
    live.wire.fault = None
    await live.settled()
    assert TEAM not in live.rules("bob_pc")


async def test_one_client_that_the_broker_fails_on_does_not_hold_up_others_work(live: Stage) -> None:
    for name in ("alice", "bob"):
        await live.come(name, None, TEAM)
    await live.pushed("alice_pc", "bob_pc")

    async def not_bob(request: Request) -> Answer | None:
        return BROKEN if "bob_pc" in request.path.split("/") else None

    live.wire.fault = not_bob
    await live.leave("team", "bob")
    await live.join("team", "carol")
    carol = await live.come("carol", None, TEAM)

    # carol's work waits for bob as far as his rules speak of her, and no further: it is in force.
    async def in_force() -> bool:
        return all(row.enforced_at is not None for row in await live.work() if row.subject == "carol")

    await until(in_force)
    live.wire.fault = None
    await live.settled()
    assert (live.topics("bob_pc"), live.topics("carol_pc"), carol.closed) == (set(), {TEAM}, 0)
