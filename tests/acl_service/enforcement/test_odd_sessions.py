"""Sessions that are not like the others: mounted ones, ones that the API cannot reach or name, ones by a JWT."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from acl_service.enforcement import roster, scope
from directory import groups
from directory.database import Database
from emqx.api.wire import Answer, Request
from tests.acl_service.enforcement.stage import NOBODY, ON_SQLITE, Stage, stage, until
from tests.acl_service.identity.issuer import AUDIENCE, ISSUER, SECRET, claims, token
from tests.acl_service.serving import activate_profile, add_person
from tests.emqx.mqtt import MqttClient, clients_of

pytestmark = ON_SQLITE

TEAM = "mchat/group/team"
ZONED = """
name = "zoned"
queues = []

[zones.inner]
mountpoint = "u/${username}/"

[spaces]
group = "group/${group_id}"
news = "news"

[roles.employee]
permissions = [
  { action = "subscribe", space = "group", zone = "inner", reason = "of one's groups" },
  { action = "subscribe", space = "news", zone = "inner", reason = "for all" },
]
"""


async def test_a_session_by_a_jwt_is_found_without_user_name_or_row(
    database: Database, company: dict[str, str]
) -> None:
    """A hook process died before it wrote the row; nothing but the client id tells whose it is."""
    keys: dict[str, Any] = {"jwt_secret": SECRET.decode(), "jwt_issuer": ISSUER, "jwt_audience": AUDIENCE}
    async with stage(database, **keys) as running:
        running.tokens = company
        signed = token(claims(sub="bob"), "HS256")
        await running.clients.connected("bob_1", username="", password=signed)
        # Somebody else, whose id begins so, is not looked at.
        other = await add_person(database, "bobby")
        await running.clients.connected("bobby_1", username="bobby", password=other)
        assert [one.client_id for one in await running.enforcement.roster.of_people(["bob"])] == ["bob_1"]
        found = await running.enforcement.roster.of_people(["bob", "bobby"])
        assert {one.client_id for one in found} == {"bob_1", "bobby_1"}


@pytest.fixture
async def mounted(
    database: Database, company: dict[str, str]
) -> AsyncIterator[tuple[Stage, MqttClient, MqttClient]]:
    """alice and bob behind a listener that puts their names before their topics."""
    await activate_profile(database, text=ZONED)
    listener = {"bind": "127.0.0.1:0", "zone": "inner", "mountpoint": "u/${username}/"}
    async with stage(database, laptop={"listeners": (listener,)}) as running:
        running.tokens = company
        with clients_of(running.laptop.ports[2]) as clients:
            inner = [
                await clients.connected(f"{name}_pc", username=name, password=company[name])
                for name in ("alice", "bob")
            ]
            async with running.working():
                await running.settled()
                yield running, inner[0], inner[1]


async def test_a_mounted_subscription_is_ended_by_its_topic_without_the_mountpoint(
    mounted: tuple[Stage, MqttClient, MqttClient],
) -> None:
    running, alice, bob = mounted
    # A share group that is called like the beginning of the mountpoint.
    for client in (alice, bob):
        assert await client.subscribe("group/team", "$share/u/group/team", "news") == [1, 1, 1]
    await running.leave("team", "bob")
    await running.settled()
    assert running.topics("bob_pc") == {"u/bob/news"}
    assert running.topics("alice_pc") == {"u/alice/group/team", "$share/u/u/alice/group/team", "u/alice/news"}
    assert (alice.closed, bob.closed, running.rules("bob_pc")) == (0, 0, set())


async def test_a_session_that_is_listed_and_has_no_subscriptions_to_list_is_ended(live: Stage) -> None:
    """A durable session whose client is away; whoever may stay, and can be reached, does."""
    durable = await live.come("bob", "bob_phone", TEAM, clean_session=False)
    bob = await live.come("bob", "bob_pc", TEAM)
    await live.pushed("bob_phone", "bob_pc")
    await durable.disconnect()

    async def unreachable(request: Request) -> Answer | None:
        return NOBODY if request.path.startswith("/clients/bob_phone/") else None

    live.wire.fault = unreachable
    await live.leave("team", "bob")
    await until(lambda: live.laptop.broker.session("bob_phone") is None)
    await live.settled()
    assert (bob.closed, live.topics("bob_pc")) == (0, set())
    assert live.metric("mchat_sessions_kicked_total") == 1


async def test_a_session_between_two_connections_is_not_taken_for_one(live: Stage) -> None:
    """It was not there when its subscriptions were asked for, and is a moment later."""
    bob = await live.come("bob", None, TEAM)
    await live.pushed("bob_pc")
    answers = 0

    async def once(request: Request) -> Answer | None:
        nonlocal answers
        if request.path == "/clients/bob_pc/subscriptions":
            answers += 1
            return NOBODY if answers == 1 else None
        return None

    live.wire.fault = once
    await live.leave("team", "bob")
    await until(lambda: live.topics("bob_pc") == set())
    await live.settled()
    assert bob.closed == 0


async def test_members_that_are_too_many_to_name_are_found_in_the_whole_list(
    live: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (roster, scope):
        monkeypatch.setattr(module, "MOST_NAMED", 1)
    alice = await live.come("alice", None, TEAM)
    bob = await live.come("bob", None, TEAM)
    carol = await live.come("carol", None, "mchat/inbox/carol")
    await live.pushed("alice_pc", "bob_pc", "carol_pc")
    await live.change(lambda change: groups.dismiss(change, "team"))
    await live.settled()
    assert live.topics("alice_pc") == live.topics("bob_pc") == set()
    assert live.topics("carol_pc") == {"mchat/inbox/carol"}
    assert [one.closed for one in (alice, bob, carol)] == [0, 0, 0]
