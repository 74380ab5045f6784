"""`apply` on a broker over a real socket: it ends where it should, twice is as good as once, and nothing is open."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from emqx.apply.deeds import apply
from emqx.apply.errors import Interrupted
from emqx.apply.plan import plan
from emqx.apply.present import CLOSED as BAR
from emqx.apply.steps import Deed, Plan
from tests.emqx.apply.stage import CLOSED, FREE, KNOWN, OUTSIDE, STRANGER, Stage, staged
from tests.emqx.desired.wishes import SECRET, wish
from tests.emqx.waiting import until


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with staged() as made:
        yield made


async def planned(stage: Stage) -> Plan:
    return plan(await stage.present(), stage.wanted)


async def test_a_fresh_broker_is_open_and_then_as_it_should_be(stage: Stage) -> None:
    assert (await stage.freedom()).stranger == FREE
    await apply(stage.api, await planned(stage), stage.wanted)
    assert await stage.freedom() == CLOSED
    assert [one.id for one in await stage.api.authentication.all()] == ["password_based:http"]
    assert [one.type for one in await stage.api.authorization.all()] == ["built_in_database", "http"]
    gateway = await stage.api.listeners.get("tcp:mchat_gateway")
    assert gateway.zone == "mchat_gateway"
    assert stage.broker.broker.zones.limits("mchat_gateway").max_inflight == 1_024
    assert stage.broker.broker.zones.limits("default").max_queued == 5_000
    group = (await stage.api.configuration.root("broker")).get("shared_subscription_group")
    assert group == {"gateway": {"initial_sticky_pick": "random", "strategy": "hash_clientid"}}


async def test_twice_the_second_changes_nothing(stage: Stage) -> None:
    await apply(stage.api, await planned(stage), stage.wanted)
    assert await planned(stage) == Plan(())


async def test_a_broker_that_mchat_set_up_already_needs_little() -> None:
    async with staged(fresh=False) as stage:
        first = await planned(stage)
        assert {step.deed for step in first.steps} <= {
            *(Deed.PUT_CONNECTOR, Deed.PUT_ACTION, Deed.PUT_AUTHENTICATOR, Deed.PUT_SOURCE, Deed.PUT_RULE),
            *(Deed.PUT_AUTHORIZATION_SETTINGS, Deed.MERGE, Deed.CREATE_LISTENER),
        }
        await apply(stage.api, first, stage.wanted)
        assert await planned(stage) == Plan(())


async def test_events_arrive_with_the_secret(stage: Stage) -> None:
    await apply(stage.api, await planned(stage), stage.wanted)
    client = await stage.clients.connected(username=KNOWN)
    assert await client.subscribe("mchat/inbox/alice") == [1]
    await until(
        lambda: {"client.connected", "session.subscribed"} <= {one["event"] for one in stage.mchat.events()}
    )
    assert {one.headers["authorization"] for one in stage.mchat.requests} == {f"Bearer {SECRET}"}


STEPS = 16
"""Of the plan for a fresh broker."""


@pytest.mark.parametrize("killed_after", range(STEPS + 1))
async def test_killed_after_any_step_nothing_is_more_open_and_the_next_run_completes_it(
    stage: Stage, killed_after: int
) -> None:
    first = await planned(stage)
    assert len(first.steps) == STEPS
    before = await stage.freedom()
    await apply(stage.api, Plan(first.steps[:killed_after]), stage.wanted)
    after = await stage.freedom()
    assert after.no_more_than(before), (after, [step.line for step in first.steps[:killed_after]])
    if killed_after > 0:
        # The first step holds the door shut, whatever follows.
        assert after.stranger == OUTSIDE
    await apply(stage.api, await planned(stage), stage.wanted)
    assert await stage.freedom() == CLOSED
    assert await planned(stage) == Plan(())


async def test_each_step_opens_nothing_that_the_one_before_had_closed(stage: Stage) -> None:
    steps = (await planned(stage)).steps
    before = await stage.freedom()
    for step in steps:
        await apply(stage.api, Plan((step,)), stage.wanted)
        after = await stage.freedom()
        assert after.no_more_than(before), step.line
        before = after
    assert before == CLOSED


async def test_who_came_in_while_the_broker_was_open_is_kicked_and_whom_mchat_let_in_is_not(
    stage: Stage,
) -> None:
    intruder = await stage.clients.connected(username=STRANGER)
    assert await intruder.subscribe("mchat/group/g1") == [1]
    steps = (await planned(stage)).steps
    assert steps[-1].deed is Deed.KICK_STRANGERS
    await apply(stage.api, Plan(steps[:-1]), stage.wanted)
    alice = await stage.clients.connected(username=KNOWN)
    last = await planned(stage)
    assert [step.deed for step in last.steps] == [Deed.KICK_STRANGERS]
    await apply(stage.api, last, stage.wanted)
    await intruder.was_closed()
    assert not alice.closed
    assert await alice.subscribe("mchat/inbox/alice") == [1]
    assert await planned(stage) == Plan(())


async def test_a_disabled_authenticator_of_ours_is_enabled_behind_a_shut_door() -> None:
    async with staged(fresh=False) as stage:
        ours = await stage.api.authentication.get("password_based:http")
        await stage.api.authentication.put("password_based:http", ours.writable(enable=False))
        assert (await stage.freedom()).stranger > OUTSIDE
        first = await planned(stage)
        assert first.steps[0].target == BAR
        await apply(stage.api, Plan(first.steps[:1]), stage.wanted)
        assert (await stage.freedom()).stranger == OUTSIDE
        await apply(stage.api, await planned(stage), stage.wanted)
        assert await stage.freedom() == CLOSED
        assert [one.id for one in await stage.api.authentication.all()] == ["password_based:http"]


async def test_another_secret_is_noticed_and_written_although_emqx_shows_neither(stage: Stage) -> None:
    await apply(stage.api, await planned(stage), stage.wanted)
    other = replace(stage.wanted, secret=wish(secret="another-hook-secret").secret)
    changes = plan(await stage.present(), other)
    assert [step.deed for step in changes.steps] == [
        Deed.PUT_SOURCE,
        Deed.PUT_CONNECTOR,
        Deed.PUT_AUTHENTICATOR,
    ]
    assert all("the hook secret" in step.line for step in changes.steps)
    await apply(stage.api, changes, other)
    stage.mchat.requests.clear()
    client = await stage.clients.connected(username=KNOWN)
    await client.subscribe("mchat/inbox/alice")
    await until(lambda: stage.mchat.events("session.subscribed"))
    assert {one.headers["authorization"] for one in stage.mchat.requests} == {"Bearer another-hook-secret"}
    assert plan(await stage.present(), other) == Plan(())


async def test_one_placeholder_more_in_the_authz_body_is_taken_out(stage: Stage) -> None:
    await apply(stage.api, await planned(stage), stage.wanted)
    source = await stage.api.authorization.get("http")
    body = source.get("body")
    assert isinstance(body, dict)
    await stage.api.authorization.put("http", source.writable(body=body | {"listener": "${listener}"}))
    changes = await planned(stage)
    assert [step.line for step in changes.steps] == ["authorization: set body of the source that asks MChat"]
    await apply(stage.api, changes, stage.wanted)
    assert await planned(stage) == Plan(())


async def test_push_off_removes_the_built_in_database(stage: Stage) -> None:
    await apply(stage.api, await planned(stage), stage.wanted)
    without = wish(stage.mchat.url, push=False, gateway_bind="")
    changes = plan(await stage.present(), without)
    assert (
        changes.steps[0].line == "remove the built-in database with its rules: pushing rules is switched off"
    )
    await apply(stage.api, changes, without)
    assert [one.type for one in await stage.api.authorization.all()] == ["http"]
    # No gateway is wanted there either.
    assert "tcp:mchat_gateway" not in [one.id for one in await stage.api.listeners.all()]
    assert plan(await stage.present(), without) == Plan(())


async def test_new_values_of_the_gateways_zone_are_set_although_emqx_shows_none(stage: Stage) -> None:
    await apply(stage.api, await planned(stage), stage.wanted)
    bind = stage.wanted.listener
    assert bind is not None
    larger = wish(stage.mchat.url, gateway_inflight=2_048, gateway_bind=bind["bind"])
    changes = plan(await stage.present(), larger)
    assert [step.deed for step in changes.steps] == [Deed.MERGE, Deed.PUT_CONNECTOR]
    await apply(stage.api, changes, larger)
    assert stage.broker.broker.zones.limits("mchat_gateway").max_inflight == 2_048
    assert plan(await stage.present(), larger) == Plan(())


async def test_a_step_that_fails_says_which_and_what_to_do(stage: Stage) -> None:
    first = await planned(stage)
    begun: list[str] = []
    await stage.api.authentication.create({"mechanism": "password_based", "backend": "built_in_database"})
    with pytest.raises(
        Interrupted, match="step 1 of 16, create authenticator password_based:built_in_database"
    ):
        await apply(stage.api, first, stage.wanted, begun=lambda step: begun.append(step.line))
    assert begun == [first.steps[0].line]


async def test_no_secret_is_in_the_plan(stage: Stage) -> None:
    assert SECRET not in repr(await planned(stage))
