"""The profiles of the three other systems, end to end: real hooks, the laptop broker, and MQTT clients.

Each seed's flow works, and each attack fails beside the allowed thing that it was made from.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from acl_service.policy import profiles
from directory import registrations
from directory.database import Database
from emqx.laptop.server import LaptopBroker
from tests.acl_service.serving import HOOK_SECRET, activate_profile, add_group, add_person, now_ms, serving
from tests.emqx.conftest import laptop_settings
from tests.emqx.mqtt import Clients, MqttClient, clients_of

REFUSED = 0x80
CHAT = {"bind": "127.0.0.1:0", "zone": "mchat_chat", "mountpoint": "u/${username}/"}


class Stage:
    """A broker that asks MChat, and people who connect to it."""

    def __init__(self, broker: LaptopBroker, clients: Clients, tokens: dict[str, str]) -> None:
        self.ports = broker.ports
        self._clients = clients
        self._tokens = tokens

    def make(
        self, who: str, client_id: str | None = None, *, listener: int = 0, **options: Any
    ) -> MqttClient:
        """A client of a person on a listener; `username` may be another form of the name."""
        return self._clients.make(
            client_id or f"{who}_1",
            **{"username": who, "password": self._tokens[who], "port": self.ports[listener], **options},
        )

    async def connected(self, who: str, client_id: str | None = None, **options: Any) -> MqttClient:
        client = self.make(who, client_id, **options)
        assert await client.connect() == 0
        return client


@pytest.fixture
async def database(sqlite_url: str) -> AsyncIterator[Database]:
    """One kind of database is enough: what is tested lies in front of it."""
    opened = Database.open(sqlite_url)
    yield opened
    await opened.close()


@asynccontextmanager
async def staged(
    database: Database,
    profile: str,
    people: dict[str, str],
    *listeners: dict[str, str],
    text: str | None = None,
    **settings: Any,
) -> AsyncIterator[Stage]:
    """The service with a profile in force, people by name and role, and a broker with further listeners."""
    await activate_profile(database, profile, text)
    tokens = {name: await add_person(database, name, role=role) for name, role in people.items()}
    async with serving(database, **settings) as served:
        url = str(served.hooks.base_url)
        options = laptop_settings(url, hook_secret=HOOK_SECRET, listeners=listeners)
        async with LaptopBroker(options) as broker:
            with clients_of(broker.tcp_port) as clients:
                yield Stage(broker, clients, tokens)


def heard(client: MqttClient) -> list[tuple[str, bytes]]:
    return [(message.topic, message.payload) for message in client.received]


async def test_chatroom(database: Database) -> None:
    people = {"ann": "employee", "bob": "employee", "room": "service", "sensors": "agent"}
    async with staged(database, "chatroom", people) as stage:
        await add_group(database, "dev", "ann")
        await add_group(database, "users", "bob")
        async with database.change("test", now_ms()) as change:
            await registrations.add(change, "esp32_sensor_001", "exact", "sensors")
        room = await stage.connected("room")
        inputs = (
            "chatroom/messages/in",
            "chatroom/users/join",
            "chatroom/users/leave",
            "chatroom/+/messages/in",
        )
        assert await room.subscribe(*inputs) == [1] * 4
        assert await room.subscribe("chatroom/#", "chatroom/+/messages/+") == [REFUSED] * 2

        ann = await stage.connected("ann", will=("chatroom/users/leave", b"ann", 1, False))
        bob = await stage.connected("bob")
        sensor = await stage.connected("sensors", "esp32_sensor_001")
        for client in (ann, bob, sensor):
            assert await client.subscribe("chatroom/messages/out", "chatroom/system") == [1, 1]
        # Nobody listens to what the service alone takes in, nor beyond the rooms.
        assert (
            await bob.subscribe(*inputs[:3], "chatroom/#", "#", "$share/g/chatroom/messages/in")
            == [REFUSED] * 6
        )

        await ann.publish("chatroom/users/join", b"ann")
        await sensor.publish("chatroom/messages/in", b"23.5")
        assert [one.topic for one in await room.gets(2)] == ["chatroom/users/join", "chatroom/messages/in"]
        # Bob speaks as the room, then to it; the room repeats what it took in, and the AI answers.
        await bob.publish("chatroom/messages/out", b"forged")
        await bob.publish("chatroom/system", b"forged", retain=True)
        await bob.publish("chatroom/messages/in", b"hello")
        assert (await room.gets(3))[-1].payload == b"hello"
        await room.publish("chatroom/messages/out", b"hello")
        await room.publish("chatroom/messages/out", b"answer")
        for client in (ann, bob, sensor):
            await client.gets(2)
            assert heard(client) == [
                ("chatroom/messages/out", b"hello"),
                ("chatroom/messages/out", b"answer"),
            ]

        # A notice is kept for those who come later; nobody else's is.
        await room.publish("chatroom/system", b"welcome", retain=True)
        late = await stage.connected("bob", "bob_2")
        await late.subscribe("chatroom/system")
        assert [(one.payload, one.retain) for one in await late.gets(1)] == [(b"welcome", True)]

        # A further room is its group's; a group called as a topic is no room.
        assert await ann.subscribe("chatroom/dev/messages/out") == [1]
        assert await bob.subscribe("chatroom/dev/messages/out", "chatroom/+/messages/out") == [REFUSED] * 2
        assert await bob.subscribe("chatroom/users/messages/out", "chatroom/users/system") == [REFUSED] * 2
        await bob.publish("chatroom/dev/messages/in", b"stranger")
        await bob.publish("chatroom/users/messages/in", b"no room")
        await ann.publish("chatroom/dev/messages/in", b"member")
        ann.cut()
        await room.gets(5)
        assert heard(room)[3:] == [("chatroom/dev/messages/in", b"member"), ("chatroom/users/leave", b"ann")]


async def test_chat(database: Database) -> None:
    people = {"ann": "employee", "bob": "employee", "ai": "service"}
    async with staged(database, "chat", people, CHAT, {**CHAT, "ws": "true"}, service="acme") as stage:
        ai = await stage.connected("ai")
        asked = ("u/+/chat/send", "u/+/chat/session/create", "u/+/connection/client")
        assert await ai.subscribe(*asked) == [1] * 3
        assert await ai.subscribe("u/#", "u/+/chat/receive", "chat/send") == [REFUSED] * 3

        # The seed's browser comes by WebSocket; it sees the seed's topics unchanged.
        will = ("connection/client", b"gone", 1, False)
        ann = await stage.connected("ann", listener=3, transport="websockets", will=will)
        bob = await stage.connected("bob", listener=2)
        for client in (ann, bob):
            assert await client.subscribe("chat/receive", "chat/status", "chat/session/list") == [1] * 3
            assert await client.subscribe("chat/#", "#", "u/ann/chat/receive", "chat/send") == [REFUSED] * 4
        await ann.publish("chat/session/create", b"s1")
        await ann.publish("chat/send", b"question of ann")
        await bob.publish("chat/send", b"question of bob")
        await ai.gets(3)
        assert heard(ai) == [
            ("u/ann/chat/session/create", b"s1"),
            ("u/ann/chat/send", b"question of ann"),
            ("u/bob/chat/send", b"question of bob"),
        ]
        # Bob answers in the AI's place, to ann and to himself, in every way he can write it.
        for forged in ("chat/receive", "u/ann/chat/receive", "../ann/chat/receive", "/u/ann/chat/receive"):
            await bob.publish(forged, b"forged")
        await ai.publish("u/ann/chat/receive", b"answer for ann")
        await ai.publish("u/bob/chat/receive", b"answer for bob")
        await ann.gets(1)
        await bob.gets(1)
        assert heard(ann) == [("chat/receive", b"answer for ann")]
        assert heard(bob) == [("chat/receive", b"answer for bob")]
        ann.cut()
        assert [(one.topic, one.payload) for one in (await ai.gets(4))[3:]] == [
            ("u/ann/connection/client", b"gone")
        ]


async def test_chat_from_anywhere_else(database: Database) -> None:
    """Other names, other zones, and listeners that are set up wrongly."""
    listeners = (
        CHAT,
        {**CHAT, "mountpoint": "${clientid}/"},
        {"bind": "127.0.0.1:0", "zone": "mchat_chat"},
        {**CHAT, "zone": "default"},
        {**CHAT, "zone": "mchat_chat2"},
    )
    people = {"ann": "employee", "bob": "employee", "ai": "service"}
    async with staged(database, "chat", people, *listeners, service="acme") as stage:
        ai = await stage.connected("ai")
        assert await ai.subscribe("u/+/chat/send") == [1]
        # A name that MChat takes elsewhere would be another mountpoint.
        assert await stage.make("bob", listener=2, username="bob@acme").connect() == 5
        assert await stage.make("bob", listener=2, username="bob@other").connect() == 5
        assert await stage.make("bob", listener=2, username="").connect() == 5
        assert await stage.make("bob", listener=2, username=None).connect() == 5
        assert await stage.make("bob", listener=2, username="ann").connect() == 5
        assert await stage.make("bob", listener=0, username="bob@acme").connect() == 0
        # The right listener, and all the others.
        bob = await stage.connected("bob", listener=2)
        assert await bob.subscribe("chat/receive") == [1]
        for listener in (0, 3, 4, 5, 6):
            astray = await stage.connected("bob", f"bob_{listener}", listener=listener)
            assert await astray.subscribe("chat/receive", "u/bob/chat/receive") == [REFUSED] * 2, listener
            await astray.publish("chat/send", b"astray")
            await astray.publish("u/ann/chat/send", b"astray")
        # The service belongs on an ordinary listener: behind a mountpoint its topics are others, and it hears nothing.
        misplaced = [
            await stage.connected("ai", f"ai_{listener}", listener=listener) for listener in (2, 5, 6)
        ]
        for mounted in misplaced:
            await mounted.subscribe("u/+/chat/send")
        await bob.publish("chat/send", b"at home")
        await ai.gets(1)
        assert heard(ai) == [("u/bob/chat/send", b"at home")]
        assert [heard(mounted) for mounted in misplaced] == [[], [], []]


async def test_webrtc(database: Database) -> None:
    people = {"web-ui": "employee", "bot": "agent", "media": "service"}
    async with staged(database, "webrtc", people) as stage:
        async with database.change("test", now_ms()) as change:
            for prefix in ("webrtc_client_", "mcp-ai-web-ui-"):
                await registrations.add(change, prefix, "prefix", "web-ui")
        media = await stage.connected("media")
        assert await media.subscribe("$webrtc/+/multimedia_proxy", "$message/+") == [1, 1]
        assert await media.subscribe("$webrtc/#", "$webrtc/+") == [REFUSED] * 2
        mine, other = [await stage.connected("web-ui", f"webrtc_client_{name}") for name in "ab"]
        assert await mine.subscribe("$webrtc/webrtc_client_a", "$message/webrtc_client_a") == [1, 1]
        # Another browser of the same account listens to the first and speaks for it.
        assert await other.subscribe("$webrtc/webrtc_client_a", "$message/webrtc_client_a") == [REFUSED] * 2
        assert await other.subscribe("$webrtc/+", "$message/#", "#", "$share/g/$message/+") == [REFUSED] * 4
        assert await other.subscribe("$webrtc/webrtc_client_b", "$message/webrtc_client_b") == [1, 1]
        await other.publish("$webrtc/webrtc_client_a/multimedia_proxy", b"forged offer")
        await other.publish("$webrtc/webrtc_client_a", b"forged answer")
        await other.publish("$message/webrtc_client_a", b"forged words")
        await mine.publish("$webrtc/webrtc_client_a/multimedia_proxy", b"offer")
        await media.gets(1)
        assert heard(media) == [("$webrtc/webrtc_client_a/multimedia_proxy", b"offer")]
        await media.publish("$webrtc/webrtc_client_a", b"answer")
        await media.publish("$message/webrtc_client_a", b"words")
        await mine.gets(2)
        assert heard(mine) == [("$webrtc/webrtc_client_a", b"answer"), ("$message/webrtc_client_a", b"words")]
        assert heard(other) == []
        # Client ids that are registered for nobody, and for somebody else.
        assert await stage.make("web-ui", "webrtc_other_a").connect() == 5
        assert await stage.make("bot", "webrtc_client_c").connect() == 5


async def test_mcp_over_mqtt(database: Database) -> None:
    people = {"web-ui": "employee", "bot": "agent", "media": "service", "presence": "employee"}
    async with staged(database, "webrtc", people) as stage:
        async with database.change("test", now_ms()) as change:
            await registrations.add(change, "mcp-ai-web-ui-", "prefix", "web-ui")
        server, name = "mcp-ai-web-ui-1", "home/hall/camera"
        control, presence = f"$mcp-server/{server}/{name}", f"$mcp-server/presence/{server}/{name}"
        calls = f"$mcp-rpc/bot_1/{server}/{name}"
        browser = await stage.connected("web-ui", server, will=(presence, b"", 1, True))
        assert await browser.subscribe(control, f"$mcp-rpc/+/{server}/{name}") == [1, 1]
        await browser.publish(presence, b"online", retain=True)

        # The agent finds the camera, initialises, and is answered.
        bot = await stage.connected("bot", "bot_1", will=("$mcp-client/presence/bot_1", b"gone", 1, False))
        assert await bot.subscribe("$mcp-server/presence/+/#") == [1]
        assert [(one.topic, one.retain) for one in await bot.gets(1)] == [(presence, True)]
        assert await bot.subscribe(f"$mcp-server/capability/{server}/{name}", calls) == [1, 1]
        await bot.publish(control, b"initialise")
        await browser.gets(1)
        assert await browser.subscribe("$mcp-client/presence/bot_1", "$mcp-client/capability/bot_1") == [1, 1]
        await browser.publish(calls, b"initialised")
        assert (await bot.gets(2))[-1][:2] == (calls, b"initialised")
        # No Local is MQTT 5: here the browser hears its own answer on the topic of calls, too.
        await browser.gets(2)

        # Another browser, and one whose client id is a topic's word, drive no camera and forge nothing.
        for who, client_id in (("web-ui", "mcp-ai-web-ui-2"), ("presence", "presence")):
            stranger = await stage.connected(who, client_id)
            for topic in (control, calls, f"$mcp-rpc/{client_id}/{server}/{name}"):
                await stranger.publish(topic, b"forged call")
            for topic in (presence, f"$mcp-server/capability/{server}/{name}"):
                await stranger.publish(topic, b"forged", retain=True)
                await stranger.publish(topic, b"forged")
            wanted = (control, calls, "$mcp-server/presence/+/#", presence, "$mcp-server/#", "$mcp-rpc/#")
            assert await stranger.subscribe(*wanted) == [REFUSED] * 6
            # What it may, by the same kind of topic: be a server of its own, unless its name is a topic's word.
            own = [1] if who == "web-ui" else [REFUSED]
            assert await stranger.subscribe(f"$mcp-server/{client_id}/{name}") == own
        # Nor does an agent speak for a server, or as another agent.
        for topic in (presence, f"$mcp-server/capability/{server}/{name}", f"$mcp-rpc/bot_2/{server}/{name}"):
            await bot.publish(topic, b"forged")
        await bot.publish(calls, b"call")
        await browser.gets(3)
        assert heard(browser) == [(control, b"initialise"), (calls, b"initialised"), (calls, b"call")]
        await bot.gets(3)
        assert heard(bot) == [(presence, b"online"), (calls, b"initialised"), (calls, b"call")]

        # Each hears that the other is gone; the retained presence goes with the browser.
        bot.cut()
        assert (await browser.gets(4))[-1][:2] == ("$mcp-client/presence/bot_1", b"gone")
        media = await stage.connected("media")
        await media.subscribe("$mcp-server/presence/+/#")
        await media.gets(1)
        browser.cut()
        await media.gets(2)
        assert heard(media) == [(presence, b"online"), (presence, b"")]
        late = await stage.connected("media", "media_2")
        await late.subscribe("$mcp-server/presence/+/#")
        again = await stage.connected("web-ui", server)
        await again.publish(presence, b"online again", retain=True)
        assert [(one.payload, one.retain) for one in await late.gets(1)] == [(b"online again", False)]


async def test_a_profile_that_states_a_mountpoint_of_its_own(database: Database) -> None:
    """The same for any policy: mchat behind a mountpoint of the client id."""
    text = profiles.read("mchat") + '\n[zones.inner]\nmountpoint = "t/${clientid}/"\n'
    inner = {"bind": "127.0.0.1:0", "zone": "inner", "mountpoint": "t/${clientid}/"}
    people = {"ann": "employee"}
    async with staged(database, "inner", people, inner, {**inner, "zone": "outer"}, text=text) as stage:
        ann = await stage.connected("ann", listener=2)
        assert await ann.subscribe("mchat/inbox/ann") == [1]
        assert await ann.subscribe("mchat/inbox/bob") == [REFUSED]
