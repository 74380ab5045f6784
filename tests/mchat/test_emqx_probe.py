"""`mchat emqx check --probe` on the laptop broker with real hooks: all as it should be, and what is planted shows."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from directory import people
from directory.database import Database
from emqx.check.trials import KINDS
from mchat.emqx_probe import PERSON, visitor
from tests.acl_service.serving import now_ms
from tests.mchat.probing import Stack, stack

NAMES = [kind.code.removeprefix("probe.") for kind in KINDS]
NO_MQTT_5 = {"receive_maximum"}


@pytest.fixture
async def database(sqlite_url: str) -> AsyncIterator[Database]:
    opened = Database.open(sqlite_url)
    yield opened
    await opened.close()


def jumping() -> Callable[[], float]:
    """A clock on which every patience ends at once."""
    count = itertools.count(step=1_000)
    return lambda: float(next(count))


@pytest.mark.parametrize("service", ["", "acme"])
async def test_all_comes_out_as_it_should(database: Database, service: str) -> None:
    prefix = f"{service}/" if service else ""
    excludes = (f"{prefix}mchat/group/#",)
    async with stack(database, service=service, laptop={"cache_excludes": excludes}) as running:
        found = await running.outcomes(prefix=prefix, excluded=excludes[0])
        assert list(found) == NAMES
        tried = {name: outcome for name, outcome in found.items() if not outcome.left_out}
        assert tried.keys() == set(NAMES) - NO_MQTT_5
        assert {name: outcome.got for name, outcome in tried.items() if not outcome.good} == {}
        assert [outcome.finding() for outcome in found.values() if outcome.finding()] == []
        assert (await running.api.user_rules.page()).data == ()
    async with database.read() as connection:
        person = await people.get(connection, PERSON)
    assert (person.status, person.role) == ("disabled", "employee")


async def test_it_can_be_done_again(database: Database) -> None:
    async with stack(database) as running:
        for _ in range(2):
            assert all(outcome.good for outcome in (await running.outcomes()).values())


async def test_whoever_is_interrupted_leaves_nobody_behind(database: Database) -> None:
    with pytest.raises(KeyboardInterrupt):
        async with visitor(database, now_ms):
            raise KeyboardInterrupt
    async with database.read() as connection:
        assert (await people.get(connection, PERSON)).status == "disabled"


async def without_authenticator(running: Stack) -> None:
    await running.api.authentication.delete("password_based:http")


async def everything_allowed(running: Stack) -> None:
    settings = (await running.api.authorization.settings()).writable(no_match="allow")
    await running.api.authorization.delete("http")
    await running.api.authorization.put_settings(settings)


async def nothing_excluded(running: Stack) -> None:
    settings = await running.api.authorization.settings()
    cache = settings.writable()["cache"] | {"excludes": []}
    await running.api.authorization.put_settings(settings.writable(cache=cache))


async def other_order(running: Stack) -> None:
    await running.api.authorization.put_order(["http", "built_in_database"])


async def no_events(running: Stack) -> None:
    await running.api.rules.delete("mchat_events")


async def nobody_is_asked(running: Stack) -> None:
    await running.api.authorization.delete("http")


async def caches_stay(running: Stack) -> None:
    async def kept(client_id: str) -> bool:
        return True

    monkey: Any = running.api.caches  # a broker that forgets nothing
    monkey.clear = kept


STRANGERS = {"unknown_user", "no_credential", "wrong_secret", "wildcard_id", "foreign_id"}
OPEN = {"everything", "foreign_subscribe", "foreign_publish", "retained", "database_retain", "excludes"}

PLANTED: list[tuple[Callable[[Stack], Awaitable[None]], set[str], dict[str, Any]]] = [
    # Without an answer there are no rules and no end either: what is not asked is not told.
    (without_authenticator, {*STRANGERS, "told_subscribe", "foreign_publish", "revoked"}, {}),
    (everything_allowed, OPEN, {}),
    (nothing_excluded, {"excludes"}, {}),
    (other_order, {"database", "cache_clear", "excludes"}, {}),
    (no_events, {"events"}, {}),
    (nobody_is_asked, {"told_subscribe", "foreign_publish", "told_publish"}, {"connect_rules": False}),
    (caches_stay, {"cache_clear"}, {}),
]


@pytest.mark.parametrize(("plant", "failing", "settings"), PLANTED, ids=[row[0].__name__ for row in PLANTED])
async def test_what_is_planted_shows(
    database: Database,
    plant: Callable[[Stack], Awaitable[None]],
    failing: set[str],
    settings: dict[str, Any],
) -> None:
    async with stack(database, **settings) as running:
        await plant(running)
        clock = jumping() if {"events", "revoked"} & failing else None
        found = await running.outcomes(clock, patience_s=0.5)
        assert failing <= {name for name, outcome in found.items() if not outcome.good}
        for name in failing:
            finding = found[name].finding()
            assert finding is not None and finding.severity == "danger"
            assert finding.code == f"probe.{name}"


@asynccontextmanager
async def mqtt_5(*properties: int) -> AsyncIterator[int]:
    """A listener that takes every client of MQTT 5 and says this in its CONNACK; gives the port."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1_024)
        writer.write(bytes((0x20, 3 + len(properties), 0, 0, len(properties), *properties)))
        await reader.read()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize(
    ("properties", "got"),
    [((0x21, 0x00, 0x20), "32"), ((0x21, 0x04, 0x00), "1024 or more"), ((), "1024 or more")],
)
async def test_how_much_the_gateway_may_have_in_hand(
    database: Database, properties: tuple[int, ...], got: str
) -> None:
    async with stack(database) as running, mqtt_5(*properties) as port:
        outcome = (await running.outcomes(gateway=("127.0.0.1", port)))["receive_maximum"]
    assert (outcome.got, outcome.good) == (got, got != "32")


async def test_what_speaks_no_mqtt_5_or_is_not_there_is_left_out(database: Database) -> None:
    async with stack(database) as running:
        gateway = ("127.0.0.1", running.broker.tcp_port)
        outcome = await running.outcomes(gateway=gateway, has_database=False, excluded=None)
    assert "refused MQTT 5" in outcome["receive_maximum"].left_out
    left = {name for name, one in outcome.items() if one.left_out}
    rules = {"excludes", "cache_clear", "database", "database_retain", "told_publish", "retained"}
    assert left == rules | {"receive_maximum"}
    assert all(one.good for one in outcome.values())


async def test_a_broker_with_another_secret_lets_nobody_in(database: Database) -> None:
    async with stack(database, laptop={"hook_secret": "of somebody else"}) as running:
        found = await running.outcomes()
    assert [name for name, one in found.items() if not one.good] == ["known"]
    after = NAMES[NAMES.index("known") + 1 :]
    assert all(found[name].left_out == "the known client did not come in" for name in after)


def test_each_trial_was_seen_to_fail() -> None:
    elsewhere = {"known", "receive_maximum"}
    assert set().union(*(failing for _, failing, _ in PLANTED)) | elsewhere == set(NAMES)
