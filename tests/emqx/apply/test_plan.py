"""Plans for brokers that the laptop broker cannot be: older, newer, guarded by others, not to be read."""

from dataclasses import replace
from typing import Any

import httpx
import pytest
import respx

from emqx.api.authentication import AuthenticationSettings, Authenticator
from emqx.api.authorization import AuthorizationSettings, AuthorizationSource
from emqx.api.broker import BrokerApi
from emqx.api.caches import NodeCache
from emqx.api.listeners import Listener
from emqx.api.nodes import Node
from emqx.apply.deeds import apply
from emqx.apply.errors import TooOld
from emqx.apply.memory import remember
from emqx.apply.plan import plan
from emqx.apply.present import Present
from emqx.apply.removal import removal
from emqx.apply.steps import Deed, Plan
from emqx.desired.broker import Desired
from tests.emqx.api.conftest import api_settings
from tests.emqx.apply.stage import staged
from tests.emqx.desired.wishes import SECRET

JWT = {"id": "jwt", "mechanism": "jwt", "enable": True, "secret": "******"}
MYSQL = {"type": "mysql", "enable": True, "server": "db:3306", "password": "******"}


_READ: list[tuple[Desired, Present]] = []


@pytest.fixture
async def good() -> tuple[Desired, Present]:
    """A broker as it should be, and what is wanted of it; read once, since they are values."""
    if not _READ:
        async with staged() as stage:
            await apply(stage.api, plan(await stage.present(), stage.wanted), stage.wanted)
            _READ.append((stage.wanted, await stage.present()))
    return _READ[0]


def changed(present: Present, strangers: int = 0, **values: Any) -> Present:
    return replace(present, strangers=strangers, actual=replace(present.actual, **values))


def nodes(*versions: str) -> tuple[Node, ...]:
    return tuple(Node(node=f"n{i}", version=text, node_status="running") for i, text in enumerate(versions))


@pytest.mark.parametrize("versions", [("5.7.2",), ("5.8.9", "5.7.2"), ("5.8.9", "enterprise"), ()])
async def test_what_is_older_than_5_8_is_refused(
    good: tuple[Desired, Present], versions: tuple[str, ...]
) -> None:
    wanted, present = good
    old = changed(present, nodes=nodes(*versions))
    with pytest.raises(TooOld, match="nothing was changed"):
        plan(old, wanted)
    with pytest.raises(TooOld):
        removal(old, wanted, None, to_closed=True)


@pytest.mark.parametrize("versions", [("5.8.0",), ("5.8.9", "5.10.1"), ("6.2.1",)])
async def test_what_is_supported_is_planned_for(
    good: tuple[Desired, Present], versions: tuple[str, ...]
) -> None:
    wanted, present = good
    assert plan(changed(present, nodes=nodes(*versions)), wanted) == Plan(())


async def test_node_caches_and_mounted_questions_are_switched_off_where_the_version_has_them(
    good: tuple[Desired, Present],
) -> None:
    wanted, present = good
    there = present.actual.authorization_settings.writable(include_mountpoint=True)
    later = changed(
        present,
        nodes=nodes("6.2.1"),
        authentication_settings=AuthenticationSettings(
            {"node_cache": {"enable": True, "cache_ttl": "1m"}, "ignore_backend_failures": False}
        ),
        node_cache=NodeCache({"enable": True, "cache_ttl": "1m"}),
        authorization_settings=AuthorizationSettings(there),
    )
    steps = plan(later, wanted).steps
    assert [step.deed for step in steps] == [
        Deed.PUT_AUTHENTICATION_SETTINGS,
        Deed.PUT_NODE_CACHE,
        Deed.PUT_AUTHORIZATION_SETTINGS,
    ]
    assert steps[0].body["node_cache"] == {"enable": False, "cache_ttl": "1m"}
    assert steps[0].body["ignore_backend_failures"] is False
    assert steps[1].body == {"enable": False, "cache_ttl": "1m"}
    assert steps[2].body["include_mountpoint"] is False
    assert "include_mountpoint True → False" in steps[2].line
    with respx.mock(base_url="http://127.0.0.1:18083/api/v5") as emqx:
        caches = [
            emqx.put(path).mock(httpx.Response(204))
            for path in ("/authentication/settings", "/authorization/node_cache")
        ]
        async with BrokerApi(api_settings()) as api:
            await apply(api, Plan(steps[:2]), wanted)
        assert [route.call_count for route in caches] == [1, 1]


async def test_a_precondition_on_our_authenticator_is_taken_away(good: tuple[Desired, Present]) -> None:
    wanted, present = good
    (ours,) = present.actual.authenticators
    skipped = Authenticator(ours.writable() | {"id": ours.id, "precondition": "str_eq(listener,'tcp:x')"})
    (step,) = plan(changed(present, authenticators=(skipped,)), wanted).steps
    assert step.line == "authentication: set precondition of the authenticator that asks MChat"
    assert "precondition" not in step.body


async def test_authenticators_of_others_stay_behind_ours_and_their_clients_too(
    good: tuple[Desired, Present],
) -> None:
    wanted, present = good
    (ours,) = present.actual.authenticators
    guarded = changed(present, strangers=7, authenticators=(Authenticator(JWT), ours))
    made = plan(guarded, wanted)
    assert [(step.deed, step.order) for step in made.steps] == [
        (Deed.ORDER_AUTHENTICATORS, ("password_based:http", "jwt"))
    ]
    assert any("jwt is not ours and stays" in note for note in made.notes)
    # Their clients are nobody's once they are off.
    off = changed(present, strangers=7, authenticators=(ours, Authenticator(JWT | {"enable": False})))
    assert [step.deed for step in plan(off, wanted).steps] == [Deed.KICK_STRANGERS]


async def test_a_listener_with_authenticators_of_its_own_is_told_and_its_clients_stay(
    good: tuple[Desired, Present],
) -> None:
    wanted, present = good
    first, *rest = present.actual.listeners
    chain = [{"mechanism": "jwt", "enable": True}]
    own = changed(present, strangers=3, listeners=(Listener(first.writable(authentication=chain)), *rest))
    made = plan(own, wanted)
    assert made.steps == ()
    assert [note for note in made.notes if first.id in note and "not asked who comes in there" in note]
    # Its good twin: the same strangers where the chain of all holds.
    assert [step.deed for step in plan(changed(present, strangers=3), wanted).steps] == [Deed.KICK_STRANGERS]
    assert plan(present, wanted).notes == ()


async def test_where_others_guard_the_door_ours_is_opened_after_the_rooms_are_closed(
    good: tuple[Desired, Present],
) -> None:
    """A person of MChat's who came in earlier would find what the sources of others allow."""
    wanted, present = good
    allow = present.actual.authorization_settings.writable(no_match="allow")
    guarded = changed(
        present,
        authenticators=(Authenticator(JWT),),
        authorization_settings=AuthorizationSettings(allow),
        sources=(AuthorizationSource(MYSQL), *present.actual.sources),
    )
    deeds = [step.deed for step in plan(guarded, wanted).steps]
    assert deeds == [
        Deed.PUT_AUTHORIZATION_SETTINGS,
        Deed.DELETE_SOURCE,
        Deed.CREATE_AUTHENTICATOR,
        Deed.ORDER_AUTHENTICATORS,
    ]


async def test_sources_of_others_go_the_last_first_after_no_match_is_denied(
    good: tuple[Desired, Present],
) -> None:
    wanted, present = good
    allow_all = {"type": "file", "enable": True, "rules": "{allow, all}."}
    allow = present.actual.authorization_settings.writable(no_match="allow")
    several = (AuthorizationSource(MYSQL), *present.actual.sources, AuthorizationSource(allow_all))
    open_ = changed(present, authorization_settings=AuthorizationSettings(allow), sources=several)
    steps = plan(open_, wanted).steps
    assert [(step.deed, step.target) for step in steps] == [
        (Deed.PUT_AUTHORIZATION_SETTINGS, ""),
        (Deed.DELETE_SOURCE, "file"),
        (Deed.DELETE_SOURCE, "mysql"),
    ]


async def test_sources_in_another_order_are_ordered(good: tuple[Desired, Present]) -> None:
    wanted, present = good
    turned = changed(present, sources=present.actual.sources[::-1])
    (step,) = plan(turned, wanted).steps
    assert (step.deed, step.order) == (Deed.ORDER_SOURCES, ("built_in_database", "http"))


async def test_a_listener_of_the_gateway_that_is_another_is_made_anew(good: tuple[Desired, Present]) -> None:
    wanted, present = good
    listeners = present.actual.listeners
    gateway = next(one for one in listeners if one.id == "tcp:mchat_gateway")
    rest = tuple(one for one in listeners if one is not gateway)
    for wrong in ({"enable_authn": False}, {"mountpoint": "x/"}, {"zone": "default"}, {"bind": "1"}):
        found = changed(present, listeners=(*rest, Listener(gateway.writable(**wrong))))
        deeds = [step.deed for step in plan(found, wanted).steps]
        assert deeds == [Deed.DELETE_LISTENER, Deed.CREATE_LISTENER], wrong


async def test_secrets_that_cannot_be_compared_are_written_and_that_is_said(
    good: tuple[Desired, Present],
) -> None:
    wanted, present = good
    dark = changed(present, roots=None, unreadable="line 3 is not understood")
    made = plan(dark, wanted)
    assert all(step.line.count("the hook secret") for step in made.steps)
    assert len(made.steps) == 3
    assert any("line 3 is not understood" in note for note in made.notes)


async def test_what_was_there_before_the_first_run_stays_remembered(good: tuple[Desired, Present]) -> None:
    wanted, present = good
    mysql = changed(
        present,
        sources=(AuthorizationSource(MYSQL), *present.actual.sources),
        roots={"authorization": {"sources": [MYSQL | {"password": "theirs"}]}},
    )
    first = remember(None, mysql.actual, wanted)
    assert [one["password"] for one in first.sources] == ["theirs"]
    # A run that was killed behind its first steps: the broker does not show them any more.
    assert remember(first, present.actual, wanted) == first
    made = plan(mysql, wanted)
    assert "theirs" not in repr(made)
    assert SECRET not in repr(made)
