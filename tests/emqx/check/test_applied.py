"""A laptop broker over a real socket: open as a fresh EMQX, then set up by `apply`, then spoilt."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from emqx.api.broker import BrokerApi
from emqx.apply.deeds import apply
from emqx.apply.plan import plan
from emqx.check.case import Case
from emqx.check.findings import APPLY, Finding
from emqx.check.inspection import inspect
from emqx.check.state import read
from emqx.check.strangers import strangers
from tests.emqx.apply.stage import KNOWN, STRANGER, Stage, staged


async def found(stage: Stage) -> tuple[Finding, ...]:
    return inspect(Case(await read(stage.api), stage.wanted, strangers=await strangers(stage.api)))


async def dangers(stage: Stage) -> list[str]:
    return [finding.code for finding in await found(stage) if finding.severity == "danger"]


@pytest.fixture
async def applied() -> AsyncIterator[Stage]:
    async with staged() as stage:
        await apply(stage.api, plan(await stage.present(), stage.wanted), stage.wanted)
        yield stage


async def test_an_open_broker_and_who_came_in_meanwhile() -> None:
    async with staged() as stage:
        await stage.clients.connected(username=STRANGER)
        there = await dangers(stage)
    assert {"authn.none", "authz.file_allow_all", "authz.no_match", "authz.missing"} <= set(there)
    assert "session.stranger" in there


async def test_after_apply_there_is_nothing_to_say(applied: Stage) -> None:
    await applied.clients.connected(username=KNOWN)
    assert [(one.severity, one.code) for one in await found(applied)] == [("note", "zone.unread")]


async def test_what_check_says_of_a_laptop_broker_apply_takes_away() -> None:
    async with staged(fresh=False) as stage:
        before = await found(stage)
        assert "gateway.listener" in [one.code for one in before]
        assert {one.kind.remedy for one in before if one.severity != "note"} == {APPLY}
        await apply(stage.api, plan(await stage.present(), stage.wanted), stage.wanted)
        assert [(one.severity, one.code) for one in await found(stage)] == [("note", "zone.unread")]


async def no_authenticator(api: BrokerApi) -> None:
    await api.authentication.delete("password_based:http")


async def disabled(api: BrokerApi) -> None:
    (one,) = await api.authentication.all()
    await api.authentication.put(one.id, one.writable(enable=False))


async def other_secret(api: BrokerApi) -> None:
    source = await api.authorization.get("http")
    headers = {"authorization": "Bearer other", "content-type": "application/json"}
    await api.authorization.put("http", source.writable(headers=headers))


async def masked_secret(api: BrokerApi) -> None:
    """Written back as it was read, so that it is the same."""
    await api.authorization.put("http", await api.authorization.get("http"))


async def remembered(api: BrokerApi) -> None:
    settings = await api.authorization.settings()
    await api.authorization.put_settings(settings.writable(cache={"excludes": []}))


async def slow(api: BrokerApi) -> None:
    action = await api.actions.get("http:mchat_events")
    options = action.writable()["resource_opts"] | {"health_check_interval": "15s"}
    await api.actions.put(action.id, action.writable(resource_opts=options))


async def mounted(api: BrokerApi) -> None:
    body = {"type": "tcp", "name": "theirs", "bind": "127.0.0.1:0", "mountpoint": "x/"}
    await api.listeners.create(body)


PLANTED: list[tuple[Callable[[BrokerApi], Awaitable[None]], list[str]]] = [
    (no_authenticator, ["authn.none"]),
    (disabled, ["authn.disabled"]),
    (other_secret, ["authz.secret"]),
    (masked_secret, []),
    (remembered, ["cache.group_denies"]),
    (slow, ["events.health_check"]),
    (mounted, ["listener.mountpoint"]),
]


@pytest.mark.parametrize(("plant", "codes"), PLANTED, ids=[row[0].__name__ for row in PLANTED])
async def test_what_is_planted_is_found(
    applied: Stage, plant: Callable[[BrokerApi], Awaitable[None]], codes: list[str]
) -> None:
    await plant(applied.api)
    assert await dangers(applied) == codes
