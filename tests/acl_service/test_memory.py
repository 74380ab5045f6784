"""Memory against the database: never staler than the feed, whatever comes in between."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from acl_service import memory as memory_module
from acl_service.bounds import MemoryBounds
from acl_service.memory import LOOK_UPS, Memory
from acl_service.policy.decide import Request, decide
from acl_service.policy.rules import Action
from directory import departments, groups, people, registrations, rules
from directory.database import Database
from directory.errors import Conflict, NotFound
from directory.feed import Feed
from directory.principals import Principals
from directory.principals import load as load_principals
from tests.acl_service.serving import activate_profile, add_group, add_person, join, leave, now_ms

CLIENTS = ("alice_pc", "bob_pc", "carol_pc", "alice_b_pc", "dev-1", "dev-1-x", "stray")
ASKED = (
    (Action.SUBSCRIBE, "mchat/group/team"),
    (Action.SUBSCRIBE, "mchat/group/other"),
    (Action.SUBSCRIBE, "mchat/status/alice"),
    (Action.SUBSCRIBE, "mchat/status/carol"),
    (Action.SUBSCRIBE, "mchat/status/+"),
    (Action.SUBSCRIBE, "extra/a"),
    (Action.PUBLISH, "extra/a"),
    (Action.SUBSCRIBE, "mchat/msg/req/+/+"),
)


async def answers(memory: Memory, client_id: str) -> list[object]:
    """What memory says of a client id: whose it is, and what it may do; looked up as the hooks do."""
    client = await memory.find_client(client_id)
    said: list[object] = [client.owner, client.blocked]
    if client.person is None or client.grants is None:
        return said
    said += [client.person.status, client.person.role]
    for action, topic in ASKED:
        for _ in range(LOOK_UPS):
            decision = decide(client.grants, Request(action, topic, 1, False, "default"), now_ms())
            if decision.missing is None:
                break
            await memory.look_up((decision.missing,))
        said.append((topic, decision.allowed, decision.reason))
    return said


async def fed(database: Database, memory: Memory) -> Feed:
    feed = Feed(database, on_change=memory.apply)
    await feed.start()
    memory.apply(feed.version, None)
    return feed


@pytest.mark.parametrize("seed", range(4))
async def test_after_any_changes_memory_says_what_a_fresh_one_says(database: Database, seed: int) -> None:
    chance = random.Random(seed)
    await activate_profile(database)
    for name in ("alice", "bob", "carol"):
        await add_person(database, name)
    await add_group(database, "team", "alice", ["bob"])
    await add_group(database, "other", "bob")
    async with database.change("test", now_ms()) as change:
        await departments.add(change, name="Sales", department_id="sales")
    memory = Memory(database)
    feed = await fed(database, memory)
    try:
        for step in range(30):
            await one_change(database, chance)
            if chance.random() < 0.5:
                # Some steps go unasked, so that several changes meet one cached row.
                continue
            await feed.catch_up()
            fresh = Memory(database)
            for client_id in chance.sample(CLIENTS, 3):
                assert await answers(memory, client_id) == await answers(fresh, client_id), (step, client_id)
            await fresh.close()
    finally:
        await feed.stop()
        await memory.close()


async def one_change(database: Database, chance: random.Random) -> None:
    """Some change of rights; one that the directory refuses is no change."""
    who = chance.choice(("alice", "bob", "carol"))
    group = chance.choice(("team", "other"))
    changes: list[Callable[[Any], Awaitable[object]]] = [
        lambda change: groups.add_members(change, group, [who]),
        lambda change: groups.remove_members(change, group, [who]),
        lambda change: people.set_status(change, who, chance.choice(("active", "disabled"))),
        lambda change: people.set_role(change, who, chance.choice(("employee", "security", "service"))),
        lambda change: people.set_department(change, who, chance.choice(("sales", None))),
        lambda change: registrations.add(change, chance.choice(("dev-", "dev-1-")), "prefix", who),
        lambda change: registrations.remove(change, chance.choice(("dev-", "dev-1-"))),
        lambda change: people.add(change, name="x", employee_id="alice_b", force=True),
        lambda change: rules.add(
            change,
            subject_kind=(
                kind := chance.choice(("employee", "group", "department", "role", "everyone", "client"))
            ),
            subject_id={
                "employee": who,
                "group": group,
                "department": "sales",
                "role": "employee",
                "everyone": "",
                "client": f"{who}_pc",
            }[kind],
            effect=chance.choice(("allow", "deny")),
            action="all",
            filter=chance.choice(("extra/a", "extra/+", "mchat/group/+")),
            priority=chance.choice((0, 1)),
            reason="chance",
        ),
        lambda change: rules.remove(change, chance.randrange(1, 10)),
    ]
    try:
        async with database.change("test", now_ms()) as change:
            await chance.choice(changes)(change)
    except (Conflict, NotFound):
        pass


async def test_a_snapshot_older_than_an_applied_change_is_not_kept(
    database: Database, company: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The race that loses a revocation: read before it, stored after it was applied."""
    read, let_go = asyncio.Event(), asyncio.Event()

    async def slow(*arguments: Any) -> Principals:
        found = await load_principals(*arguments)
        read.set()
        await let_go.wait()
        return found

    monkeypatch.setattr(memory_module, "load", slow)
    memory = Memory(database)
    feed = await fed(database, memory)
    looking = asyncio.create_task(memory.look_up((), ("bob_pc",)))
    await read.wait()
    await leave(database, "team", "bob")
    await feed.catch_up()
    let_go.set()
    await looking
    assert memory.person("bob") is None, "it was read before the removal, which has been applied"
    await memory.look_up((), ("bob_pc",))
    person = memory.person("bob")
    assert person is not None
    assert "team" not in person.groups
    await feed.stop()
    await memory.close()


async def test_a_snapshot_newer_than_the_feed_is_kept_through_the_changes_it_has_seen(
    database: Database, company: dict[str, str]
) -> None:
    memory = Memory(database)
    version = await join(database, "team", "carol")
    await memory.look_up((), ("carol_pc",))
    memory.apply(version, [])
    person = memory.person("carol")
    assert person is not None
    assert "team" in person.groups


async def test_the_version_told_to_the_broker_is_one_that_the_grants_have_seen(
    database: Database, company: dict[str, str]
) -> None:
    memory = Memory(database)
    feed = await fed(database, memory)
    await memory.look_up((), ("bob_pc",))
    client = memory.bound("bob_pc")
    assert client is not None
    assert memory.grants_version(client) == feed.version
    version = await join(database, "team", "carol")
    await feed.catch_up()
    client = memory.bound("bob_pc")
    assert client is not None
    assert memory.grants_version(client) == version, "nothing of bob's changed: his grants are as of now"
    await feed.stop()
    await memory.close()


async def test_memory_is_bounded(database: Database) -> None:
    await activate_profile(database)
    async with database.change("test", now_ms()) as change:
        for number in range(40):
            await people.add(change, name="n", employee_id=f"p{number}")
    memory = Memory(database, bounds=MemoryBounds(people=20, clients=20, unknown=5))
    for number in range(40):
        await memory.look_up((f"nobody{number}",), (f"p{number}_pc", f"stray{number}"))
    sizes = memory.sizes
    assert sizes["people"] <= 20
    assert sizes["clients"] <= 20
    assert sizes["unknown_people"] <= 5
    assert sizes["unproven_clients"] <= 5
    client = await memory.find_client("p0_pc")
    assert client.grants is not None


async def test_who_only_knocks_does_not_push_out_who_has_come_in(database: Database) -> None:
    """Client ids of real people can be named without end by anybody: `alice_1`, `alice_2` …"""
    await activate_profile(database)
    await add_person(database, "alice")
    memory = Memory(database, bounds=MemoryBounds(people=20, clients=20, unknown=5))
    memory.prove(await memory.find_client("alice_pc"))
    for number in range(100):
        await memory.find_client(f"alice_{number}")
    rounds = memory.rounds
    assert memory.bound("alice_pc") is not None
    assert memory.rounds == rounds
    assert memory.sizes["clients"] == 1
    assert memory.sizes["unproven_clients"] == 5


async def test_after_a_restored_database_nothing_known_before_is_kept(database: Database) -> None:
    """The feed goes back to a lower version: rows read at a higher one are of another history."""
    await activate_profile(database)
    await add_person(database, "alice")
    memory = Memory(database)
    feed = await fed(database, memory)
    memory.prove(await memory.find_client("alice_pc"))
    assert memory.bound("alice_pc") is not None
    memory.apply(1, None)
    assert memory.bound("alice_pc") is None
    assert memory.person("alice") is None
    async with database.change("test", now_ms()) as change:
        await people.set_status(change, "alice", "disabled")
    client = await memory.find_client("alice_pc")
    assert client.person is not None
    assert not client.person.active
    await feed.stop()
