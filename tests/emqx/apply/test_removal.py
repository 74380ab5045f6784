"""`remove`: MChat goes, what was there before comes back, and the broker is never open in between."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from emqx.apply.comparison import allows_everybody
from emqx.apply.deeds import apply
from emqx.apply.errors import WouldOpen
from emqx.apply.memory import Memory, remember
from emqx.apply.plan import plan
from emqx.apply.present import CLOSED as BAR
from emqx.apply.removal import removal
from emqx.apply.steps import Deed, Plan
from tests.emqx.apply.stage import FREE, KNOWN, OUTSIDE, POWERLESS, Stage, staged
from tests.emqx.desired.wishes import SECRET
from tests.emqx.waiting import until


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with staged() as made:
        yield made


async def applied(stage: Stage) -> Memory:
    """Apply as the command does; what was there before is remembered."""
    present = await stage.present()
    memory = remember(None, present.actual, stage.wanted)
    await apply(stage.api, plan(present, stage.wanted), stage.wanted)
    return memory


async def test_it_refuses_to_leave_the_door_open(stage: Stage) -> None:
    memory = await applied(stage)
    with pytest.raises(WouldOpen, match="--to-closed"):
        removal(await stage.present(), stage.wanted, memory, to_closed=False)
    # Its good twin: the same broker, with a door that stays shut.
    assert removal(await stage.present(), stage.wanted, memory, to_closed=True).steps


async def test_another_enabled_authenticator_is_door_enough_and_a_disabled_one_is_not(stage: Stage) -> None:
    memory = await applied(stage)
    other = {"mechanism": "password_based", "backend": "built_in_database"}
    await stage.api.authentication.create(other | {"enable": False})
    for to_closed, words in ((False, "only enabled authenticator"), (True, "is there and disabled")):
        with pytest.raises(WouldOpen, match=words):
            removal(await stage.present(), stage.wanted, memory, to_closed=to_closed)
    await stage.api.authentication.put(BAR, other | {"enable": True})
    steps = removal(await stage.present(), stage.wanted, memory, to_closed=False).steps
    assert Deed.CREATE_AUTHENTICATOR not in [step.deed for step in steps]


async def test_to_closed_leaves_nothing_of_mchat_and_lets_nobody_in(stage: Stage) -> None:
    memory = await applied(stage)
    away = removal(await stage.present(), stage.wanted, memory, to_closed=True)
    await apply(stage.api, away, stage.wanted, memory)
    assert [one.id for one in await stage.api.authentication.all()] == [BAR]
    assert await stage.api.authorization.all() == ()
    assert (await stage.api.authorization.settings()).no_match == "deny"
    assert (await stage.api.connectors.all(), await stage.api.actions.all()) == ((), ())
    assert [rule.id async for rule in stage.api.rules.every()] == []
    assert "tcp:mchat_gateway" not in [one.id for one in await stage.api.listeners.all()]
    freedom = await stage.freedom()
    assert (freedom.stranger, freedom.right) == (OUTSIDE, OUTSIDE)
    zone = stage.broker.broker.zones.limits("default")
    assert (zone.max_queued, zone.session_expiry) == (1_000, 7_200.0)
    again = removal(await stage.present(), stage.wanted, None, to_closed=True)
    assert again.steps == ()


STEPS = 12
"""Of the plan to remove from the stage's broker."""


@pytest.mark.parametrize("killed_after", range(STEPS + 1))
async def test_killed_after_any_step_nothing_is_more_open_and_the_next_run_completes_it(
    stage: Stage, killed_after: int
) -> None:
    memory = await applied(stage)
    away = removal(await stage.present(), stage.wanted, memory, to_closed=True)
    assert len(away.steps) == STEPS
    await apply(stage.api, Plan(away.steps[:killed_after]), stage.wanted, memory)
    after = await stage.freedom()
    assert (after.stranger, after.trespass <= POWERLESS) == (OUTSIDE, True), away.steps[killed_after - 1].line
    rest = removal(await stage.present(), stage.wanted, memory, to_closed=True)
    await apply(stage.api, rest, stage.wanted, memory)
    assert removal(await stage.present(), stage.wanted, None, to_closed=True).steps == ()


async def test_apply_after_remove_takes_the_shut_door_away_again(stage: Stage) -> None:
    memory = await applied(stage)
    await apply(
        stage.api, removal(await stage.present(), stage.wanted, memory, to_closed=True), stage.wanted, memory
    )
    again = plan(await stage.present(), stage.wanted)
    assert Deed.CREATE_SOURCE in [step.deed for step in again.steps]
    await apply(stage.api, again, stage.wanted)
    assert [one.id for one in await stage.api.authentication.all()] == ["password_based:http"]
    assert (await stage.freedom()).right == FREE


async def test_whom_mchat_let_in_is_kicked_and_the_hooks_hear_of_it(stage: Stage) -> None:
    memory = await applied(stage)
    alice = await stage.clients.connected("alice-pc", username=KNOWN)
    away = removal(await stage.present(), stage.wanted, memory, to_closed=True)
    assert any("(1 now)" in step.line for step in away.steps)
    await apply(stage.api, away, stage.wanted, memory)
    await alice.was_closed()
    await until(lambda: stage.mchat.events("client.disconnected", client_id="alice-pc"))


async def test_sources_of_others_come_back_with_their_secrets_and_allow_all_does_not(stage: Stage) -> None:
    """The place of HTTP services is one; another service stood there, and a file that denies."""
    await stage.api.authorization.delete("file")
    narrow = {"type": "file", "enable": True, "rules": '{deny, all, subscribe, ["a/b"]}.'}
    await stage.api.authorization.create(narrow)
    other = {
        "type": "http",
        "method": "post",
        "url": "http://127.0.0.1:9/acl",
        "headers": {"authorization": "Basic x"},
    }
    await stage.api.authorization.create(other)
    present = await stage.present()
    memory = remember(None, present.actual, stage.wanted)
    assert memory.kinds == ("http", "file")
    # A secret of others is kept in clear, and shown to nobody.
    assert memory.sources[0]["headers"]["authorization"] == "Basic x"
    assert "Basic x" not in repr(memory)
    first = plan(present, stage.wanted)
    assert "Basic x" not in repr(first)
    await apply(stage.api, first, stage.wanted)
    away = removal(await stage.present(), stage.wanted, memory, to_closed=True)
    assert "Basic x" not in repr(away)
    assert SECRET not in repr(away)
    await apply(stage.api, away, stage.wanted, memory)
    assert [one.type for one in await stage.api.authorization.all()] == ["http", "file"]
    assert (await stage.api.authorization.get("http")).get("url") == "http://127.0.0.1:9/acl"
    assert "Basic x" in (await stage.api.configuration.hocon("authorization")).get_secret_value()
    assert (await stage.api.authorization.get("file")).get("rules") == narrow["rules"]


async def test_a_file_that_allows_all_would_decide_then_so_it_refuses(stage: Stage) -> None:
    memory = await applied(stage)
    await stage.api.authorization.create({"type": "file", "enable": True, "rules": "{allow, all}."})
    with pytest.raises(WouldOpen, match="allows everybody everything"):
        removal(await stage.present(), stage.wanted, memory, to_closed=True)


@pytest.mark.parametrize(
    ("rules", "all_of_it"),
    [
        ("{allow, all}.", True),
        ('{deny, all, all, ["x"]}.\n{allow,all} .', True),
        ("{allow, {security_profile, legacy}}.", True),
        ('{allow, all, subscribe, ["c/%c"]}. {allow, all}.', True),
        ('{allow, all, all, ["a", "#"]}.', True),
        ('{allow, all, publish, ["#"]}.', True),
        ("% {allow, all}.\n{deny, all}.", False),
        ('{deny, all, all, ["a\\"%"]}. % {allow, all}.', False),
        ('{allow, all, all, [{eq, "a"}, "b/#"]}.', False),
        ('{allow, all, subscribe, ["a"]}.', False),
    ],
)
def test_allow_all_is_known_however_it_is_written(rules: str, all_of_it: bool) -> None:
    assert allows_everybody({"type": "file", "rules": rules}) is all_of_it


async def test_no_match_is_denied_before_the_first_source_goes(stage: Stage) -> None:
    memory = await applied(stage)
    settings = await stage.api.authorization.settings()
    await stage.api.authorization.put_settings(settings.writable(no_match="allow"))
    away = removal(await stage.present(), stage.wanted, memory, to_closed=True)
    deeds = [step.deed for step in away.steps]
    assert deeds.index(Deed.PUT_AUTHORIZATION_SETTINGS) < deeds.index(Deed.DELETE_SOURCE)
    assert "no_match" in away.steps[deeds.index(Deed.PUT_AUTHORIZATION_SETTINGS)].line


async def test_an_http_service_of_others_is_not_ours_to_remove() -> None:
    async with staged(fresh=False) as stage:
        ours = await stage.api.authentication.get("password_based:http")
        await stage.api.authentication.put(
            "password_based:http", ours.writable(url="http://127.0.0.1:9/login", headers={})
        )
        away = removal(await stage.present(), stage.wanted, None, to_closed=False)
        assert Deed.DELETE_AUTHENTICATOR not in [step.deed for step in away.steps]
        assert any("not remembered" in note for note in away.notes)
        # And apply says whom it takes the place of.
        there = plan(await stage.present(), replace(stage.wanted))
        assert "ask MChat instead of http://127.0.0.1:9/login" in "\n".join(step.line for step in there.steps)
