"""Zones and mountpoints, statement by statement of emqx-measured, "Zones and mountpoints"."""

from collections.abc import Callable
from typing import Any

import pytest

from emqx.laptop.mountpoints import render
from emqx.laptop.server import LaptopBroker
from emqx.laptop.topics import parse_filter
from tests.emqx.mchat import FakeMChat, allow, deny
from tests.emqx.mqtt import Clients, MqttClient

MOUNTPOINT = "u/${username}/"
LISTENERS = [
    {"bind": "127.0.0.1:0", "zone": "mchat_chat", "mountpoint": MOUNTPOINT},
    {"bind": "127.0.0.1:0", "zone": "mchat_chat", "mountpoint": MOUNTPOINT, "ws": True},
    {"bind": "127.0.0.1:0", "mountpoint": "${clientid}/"},
    {"bind": "127.0.0.1:0", "mountpoint": "pre"},
]


class Stage:
    """A broker with all those listeners, and clients of each."""

    def __init__(self, broker: LaptopBroker, clients: Clients, mchat: FakeMChat) -> None:
        self.mchat = mchat
        self.clients = clients
        self.plain, _, self.user, self.user_ws, self.client, self.text = broker.ports

    async def of(self, username: str | None, port: int | None = None, **options: Any) -> MqttClient:
        """A client, by default behind `u/${username}/`."""
        return await self.clients.connected(
            options.pop("client_id", None), username=username, port=port or self.user, **options
        )

    async def service(self) -> MqttClient:
        return await self.of("chatter", self.plain)


@pytest.fixture
async def stage(start: Callable[..., Any], mchat: FakeMChat) -> Stage:
    # Each question is asked, so that it can be seen.
    broker, clients = await start(listeners=LISTENERS, cache_enable=False)
    return Stage(broker, clients, mchat)


@pytest.mark.parametrize(
    ("template", "username", "rendered"),
    [
        ("", "ann", ""),
        ("u/${username}/", "ann", "u/ann/"),
        ("u/${username}/", "", "u//"),
        # What EMQX makes of a user name that was not sent.
        ("u/${username}/", None, "u/${username}/"),
        ("${clientid}/", None, "c1/"),
        ("${clientid}/${username}", "ann", "c1/ann"),
        ("tenant/", "ann", "tenant/"),
    ],
)
def test_a_mountpoint_is_rendered(template: str, username: str | None, rendered: str) -> None:
    assert render(template, "c1", username) == rendered


@pytest.mark.parametrize(
    ("text", "mounted"),
    [
        ("chat/receive", "u/ann/chat/receive"),
        ("#", "u/ann/#"),
        ("$share/g/chat/error", "$share/g/u/ann/chat/error"),
        ("$queue/chat/error", "$queue/u/ann/chat/error"),
        ("$exclusive/chat/error", "$exclusive/u/ann/chat/error"),
        ("$delayed/1/x", "u/ann/$delayed/1/x"),
        ("$SYS/x", "u/ann/$SYS/x"),
    ],
)
def test_a_filter_is_mounted_behind_its_prefix(text: str, mounted: str) -> None:
    there = parse_filter(text).mounted("u/ann/")
    assert there == parse_filter(mounted)
    assert parse_filter(text).mounted("") == parse_filter(text)


async def test_authn_is_told_the_zone(stage: Stage) -> None:
    await stage.of("ann", client_id="a")
    await stage.of("ann", stage.plain, client_id="b")
    assert {body["clientid"]: body["zone"] for body in stage.mchat.asked("authn")} == {
        "a": "mchat_chat",
        "b": "default",
    }


async def test_authz_is_asked_about_the_topic_as_the_client_writes_it(stage: Stage) -> None:
    stage.mchat.authn = lambda body: allow(client_attrs={"zone": body["zone"]})
    ann = await stage.of("ann")
    await ann.publish("chat/send")
    await ann.publish("$delayed/1/chat/send")
    for text in ("chat/receive", "$share/g/chat/error", "$queue/chat/error", "a/+/#"):
        assert await ann.subscribe(text) == [1]
    # EMQX asks and then refuses: exclusive subscriptions are switched off there.
    assert await ann.subscribe("$exclusive/chat/error") == [0x80]
    asked = stage.mchat.asked("authz")
    assert [(body["action"], body["topic"]) for body in asked] == [
        ("publish", "chat/send"),
        ("publish", "chat/send"),
        ("subscribe", "chat/receive"),
        ("subscribe", "chat/error"),
        ("subscribe", "chat/error"),
        ("subscribe", "a/+/#"),
        ("subscribe", "chat/error"),
    ]
    assert {(body["mountpoint"], body["zone"]) for body in asked} == {("u/ann/", "mchat_chat")}


@pytest.mark.parametrize("variant", ["mchat", "recorded"])
async def test_the_mountpoint_is_in_both_bodies(
    start: Callable[..., Any], mchat: FakeMChat, variant: str
) -> None:
    broker, clients = await start(listeners=LISTENERS, authz_body=variant)
    ann = await clients.connected(port=broker.ports[2], username="ann")
    plain = await clients.connected(username="ann")
    await ann.subscribe("a")
    await plain.subscribe("a")
    assert [body["mountpoint"] for body in mchat.asked("authz")] == ["u/ann/", ""]
    assert ("zone" in mchat.asked("authz")[0]) == (variant == "mchat")


async def test_each_sees_the_same_topics_and_only_its_own_messages(stage: Stage) -> None:
    ann, bob, service = await stage.of("ann"), await stage.of("bob"), await stage.service()
    for client in (ann, bob):
        await client.subscribe("chat/receive")
    await service.subscribe("u/+/chat/send")
    await ann.publish("chat/send", b"from ann")
    await bob.publish("chat/send", b"from bob")
    assert {message.topic: message.payload for message in await service.gets(2)} == {
        "u/ann/chat/send": b"from ann",
        "u/bob/chat/send": b"from bob",
    }
    await service.publish("u/ann/chat/receive", b"for ann")
    await service.publish("u/bob/chat/receive", b"for bob")
    assert [(one.topic, one.payload) for one in await ann.gets(1)] == [("chat/receive", b"for ann")]
    assert [(one.topic, one.payload) for one in await bob.gets(1)] == [("chat/receive", b"for bob")]


async def test_events_show_where_a_topic_is_mounted(stage: Stage) -> None:
    ann = await stage.of("ann", client_id="a")
    await ann.subscribe("chat/receive", "$share/g/chat/error")
    await ann.unsubscribe("chat/receive")
    assert (await stage.mchat.event_of("client.connected", "a"))["mountpoint"] == "u/ann/"
    await stage.mchat.event_of("session.unsubscribed", "a")
    told = [
        (body["event"], body["topic"])
        for body in stage.mchat.events("session.subscribed", "session.unsubscribed", client_id="a")
    ]
    assert told == [
        ("session.subscribed", "u/ann/chat/receive"),
        ("session.subscribed", "$share/g/u/ann/chat/error"),
        ("session.unsubscribed", "u/ann/chat/receive"),
    ]
    await stage.of("ann", stage.plain, client_id="b")
    assert (await stage.mchat.event_of("client.connected", "b"))["mountpoint"] == "undefined"


async def test_what_was_unsubscribed_comes_no_more(stage: Stage) -> None:
    ann, service = await stage.of("ann"), await stage.service()
    await ann.subscribe("chat/receive", "chat/status")
    await ann.unsubscribe("chat/receive")
    await service.publish("u/ann/chat/receive")
    await service.publish("u/ann/chat/status")
    assert [message.topic for message in await ann.gets(1)] == ["chat/status"]


async def test_a_share_is_of_the_mounted_filter(stage: Stage) -> None:
    """The same group of two people is two groups."""
    ann, bob, service = await stage.of("ann"), await stage.of("bob"), await stage.service()
    for client in (ann, bob):
        assert await client.subscribe("$share/g/chat/receive") == [1]
    for _ in range(3):
        await service.publish("u/ann/chat/receive")
    await service.publish("u/bob/chat/receive")
    assert [message.topic for message in await ann.gets(3)] == ["chat/receive"] * 3
    assert [message.topic for message in await bob.gets(1)] == ["chat/receive"]


async def test_retained_messages_are_kept_where_they_are_mounted(stage: Stage) -> None:
    ann = await stage.of("ann")
    await ann.publish("connection/client", b"here", retain=True)
    service, bob, again = await stage.service(), await stage.of("bob"), await stage.of("ann")
    await service.subscribe("u/+/connection/client")
    await again.subscribe("connection/+")
    await bob.subscribe("connection/+", "#")
    assert [(one.topic, one.retain) for one in await service.gets(1)] == [("u/ann/connection/client", True)]
    assert [(one.topic, one.retain) for one in await again.gets(1)] == [("connection/client", True)]
    await service.publish("u/bob/end")
    assert [message.topic for message in await bob.gets(1)] == ["end"]


async def test_a_will_is_asked_about_as_it_is_and_published_mounted(stage: Stage) -> None:
    service = await stage.service()
    await service.subscribe("u/+/connection/client")
    stage.mchat.authz = lambda body: deny() if body["topic"] == "denied" else allow()
    refused = await stage.of("bob", will=("denied", b"gone", 1, False))
    ann = await stage.of("ann", will=("connection/client", b"gone", 1, False))
    refused.cut()
    ann.cut()
    assert [message.topic for message in await service.gets(1)] == ["u/ann/connection/client"]
    wills = [body for body in stage.mchat.asked("authz") if body["action"] == "publish"]
    assert {(body["topic"], body["mountpoint"]) for body in wills} >= {("connection/client", "u/ann/")}


async def test_the_acl_of_the_connect_speaks_of_the_topic_as_the_client_writes_it(stage: Stage) -> None:
    def rules(body: dict[str, Any]) -> list[dict[str, str]]:
        return [
            {"permission": "allow", "action": "subscribe", "topic": "chat/receive"},
            {"permission": "deny", "action": "subscribe", "topic": "u/ann/chat/status"},
        ]

    stage.mchat.authn = lambda body: allow(acl=rules(body))
    ann = await stage.of("ann")
    assert await ann.subscribe("chat/receive") == [1]
    assert stage.mchat.asked("authz") == []
    assert await ann.subscribe("chat/status") == [1]
    assert [body["topic"] for body in stage.mchat.asked("authz")] == ["chat/status"]


async def test_without_a_user_name_all_share_one_mountpoint(stage: Stage) -> None:
    """Which is why MChat lets nobody in there without one."""
    one, other = await stage.of(None, password=None), await stage.of(None, password=None)
    await one.subscribe("chat/receive")
    await other.publish("chat/receive", b"to everybody nameless")
    assert [message.topic for message in await one.gets(1)] == ["chat/receive"]
    assert {body["mountpoint"] for body in stage.mchat.asked("authz")} == {"u/${username}/"}


async def test_other_mountpoints(stage: Stage) -> None:
    service = await stage.service()
    await service.subscribe("c7/a", "prea")
    by_id = await stage.of("ann", stage.client, client_id="c7")
    by_text = await stage.of("ann", stage.text)
    await by_id.publish("a")
    await by_text.publish("a")
    assert sorted(message.topic for message in await service.gets(2)) == ["c7/a", "prea"]


async def test_websocket_listeners_have_theirs(stage: Stage) -> None:
    ann, service = await stage.of("ann", stage.user_ws, transport="websockets"), await stage.service()
    await ann.subscribe("chat/receive")
    await service.publish("u/ann/chat/receive")
    assert [message.topic for message in await ann.gets(1)] == ["chat/receive"]


async def test_a_delayed_message_is_no_such_behind_a_mountpoint(stage: Stage) -> None:
    """EMQX mounts first, and then sees no `$delayed` at the beginning (read in its source, not recorded)."""
    service = await stage.service()
    await service.subscribe("u/ann/#")
    ann = await stage.of("ann")
    await ann.publish("$delayed/3600/chat/send")
    assert [message.topic for message in await service.gets(1)] == ["u/ann/$delayed/3600/chat/send"]


async def test_a_session_keeps_its_topics_when_it_comes_by_another_listener(stage: Stage) -> None:
    ann = await stage.of("ann", client_id="a", clean_session=False)
    await ann.subscribe("chat/receive")
    await ann.disconnect()
    await stage.mchat.event_of("client.disconnected", "a")
    service = await stage.service()
    await service.publish("u/ann/chat/receive")
    elsewhere = await stage.of("ann", stage.plain, client_id="a", clean_session=False)
    assert [message.topic for message in await elsewhere.gets(1)] == ["u/ann/chat/receive"]
    back = await stage.of("ann", client_id="a", clean_session=False)
    await service.publish("u/ann/chat/receive")
    assert [message.topic for message in await back.gets(1)] == ["chat/receive"]
