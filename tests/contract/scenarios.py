"""What the recorded clients of EMQX 5.8.9 did, done to the laptop broker with paho clients of MQTT 3.1.1."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from starlette.responses import Response

from emqx.laptop.server import LaptopBroker
from tests.emqx.conftest import laptop_settings
from tests.emqx.mchat import Body, FakeMChat, allow, answer, deny, serving
from tests.emqx.mqtt import Clients, MqttClient, clients_of
from tests.emqx.waiting import until


class Stage:
    """A broker on the recorded settings, and the stand-in that answers as the recorded service did."""

    def __init__(self, broker: LaptopBroker, mchat: FakeMChat, clients: Clients) -> None:
        self.broker = broker
        self.mchat = mchat
        self.clients = clients


def authenticate(body: Body) -> Response:
    match body["clientid"], body["password"]:
        case _, "bad":
            return deny()
        case _, "ign":
            return answer({"result": "ignore"})
        case "acl-1", _:
            return allow(
                acl=[
                    {"permission": "allow", "action": "publish", "topic": "mchat/msg/req/acl-1/+"},
                    {"permission": "allow", "action": "subscribe", "topic": "eq mchat/msg/resp/acl-1/+"},
                ],
                client_attrs={"employee": "e1"},
            )
        case "exp-1", _:
            return allow(expire_at=int(time.time()) + 1)
    return allow(is_superuser=False)


@asynccontextmanager
async def staged() -> AsyncIterator[Stage]:
    mchat = FakeMChat(
        authn=authenticate, authz=lambda body: deny() if body["topic"].startswith("deny/") else allow()
    )
    async with serving(mchat):
        settings = laptop_settings(
            mchat.url, authz_body="recorded", cache_excludes=(), node="laptop@127.0.0.1"
        )
        async with LaptopBroker(settings) as broker:
            with clients_of(broker.tcp_port) as clients:
                yield Stage(broker, mchat, clients)


async def come_and_go(stage: Stage, client_id: str, **options: Any) -> None:
    client = await stage.clients.connected(client_id, **options)
    await client.disconnect()


async def refused(stage: Stage, client_id: str, **options: Any) -> None:
    assert await stage.clients.make(client_id, **options).connect() == 5


async def publish(stage: Stage, client_id: str) -> None:
    client = await stage.clients.connected(client_id)
    await client.publish("t/pub/0", qos=0)
    await client.publish("t/pub/1", qos=1)
    await client.publish("t/pub/2", qos=2)
    await client.publish("t/pub/r", retain=True)
    await client.publish("t/pub/r", b"", retain=True)
    await client.publish("deny/x")
    await client.disconnect()


async def publish_again(stage: Stage, client_id: str) -> None:
    client = await stage.clients.connected(client_id)
    for _ in range(3):
        await client.publish("t/cached")
    await client.disconnect()


async def subscribe(stage: Stage, client_id: str) -> None:
    client = await stage.clients.connected(client_id)
    for text in ("t/plain", "t/+/x", "t/#", "#", "$share/g1/t/shared", "$queue/t/queued"):
        assert await client.subscribe(text) == [1]
    assert await client.subscribe("$exclusive/t/excl") == [0x80]
    for text in ("$share/g2/t/+", "$SYS/#"):
        assert await client.subscribe(text) == [1]
    assert await client.subscribe("deny/sub") == [0x80]
    assert await subscribe_mixed(client, ("t/m1", 0), ("t/m2", 1), ("deny/m3", 1)) == [0, 1, 0x80]
    await client.unsubscribe("t/plain")
    await client.disconnect()


async def subscribe_mixed(client: MqttClient, *filters: tuple[str, int]) -> list[int]:
    _, packet_id = client.paho.subscribe(list(filters))
    assert packet_id is not None
    await until(lambda: packet_id in client.granted)
    return client.granted[packet_id]


async def delayed(stage: Stage, client_id: str) -> None:
    client = await stage.clients.connected(client_id)
    await client.publish("$delayed/1/t/late")
    await client.publish("$delayed/1/deny/late")
    await client.disconnect()
    await stage.mchat.event_of("message.dropped", client_id)


async def leave_will(stage: Stage, client_id: str) -> None:
    will = ("mchat/status/e1", b'{"status": "offline"}', 1, True)
    client = await stage.clients.connected(client_id, will=will)
    await client.publish("mchat/status/e1", b'{"status": "online"}', retain=True)
    client.cut()


async def leave_denied_will(stage: Stage, client_id: str) -> None:
    client = await stage.clients.connected(client_id, will=("deny/will", b"x", 1, False))
    client.cut()


async def kicked(stage: Stage, client_id: str) -> None:
    client = await stage.clients.connected(client_id)
    assert await stage.broker.broker.kick(client_id)
    await client.was_closed()


async def taken_over(stage: Stage, client_id: str) -> None:
    await again(stage, client_id, clean_session=False)


async def discarded(stage: Stage, client_id: str) -> None:
    await again(stage, client_id, clean_session=True)


async def again(stage: Stage, client_id: str, clean_session: bool) -> None:
    older = await stage.clients.connected(client_id, clean_session=clean_session)
    newer = await stage.clients.connected(client_id, clean_session=clean_session)
    await older.was_closed()
    await newer.disconnect()


async def fall_silent(stage: Stage, client_id: str) -> None:
    client = await stage.clients.connected(client_id, keepalive=1)
    client.paho.loop_stop()
    await stage.mchat.event_of("client.disconnected", client_id)


async def by_rules(stage: Stage, client_id: str) -> None:
    client = await stage.clients.connected(client_id)
    await client.publish("mchat/msg/req/acl-1/s1", b"{}")
    await client.subscribe("mchat/msg/resp/acl-1/+")
    await client.subscribe("mchat/msg/resp/acl-1/#")
    await client.subscribe("mchat/group/g1")
    await client.publish("mchat/msg/req/other/s1", b"{}")
    await client.disconnect()


async def expired(stage: Stage, client_id: str) -> None:
    older = await stage.clients.connected(client_id)
    await older.was_closed()
    newer = await stage.clients.connected(client_id)
    newer.cut()
    await stage.mchat.event_of("client.disconnected", client_id, 2)


Scenario = Callable[..., Awaitable[None]]

SCENARIOS: list[tuple[str, Scenario, dict[str, Any], set[str]]] = [
    ("c-v5", come_and_go, {}, set()),
    ("c-v3", come_and_go, {"clean_session": False}, set()),
    ("c-anon", come_and_go, {"username": None}, set()),
    ("c-ws", come_and_go, {"transport": "websockets"}, set()),
    ("c-bad", refused, {"password": "bad"}, set()),
    ("c-bad3", refused, {"password": "bad"}, set()),
    ("c-ign", refused, {"password": "ign"}, set()),
    ("客户端-1", come_and_go, {"username": "张三", "password": "密码"}, set()),
    ("evil/+/#", come_and_go, {}, set()),
    ("c-pub", publish, {}, set()),
    ("c-pub2", publish_again, {}, set()),
    ("c-sub", subscribe, {}, set()),
    ("c-delay", delayed, {}, set()),
    ("c-lwt", leave_will, {}, set()),
    ("c-lwt2", leave_denied_will, {}, set()),
    ("c-kick", kicked, {}, set()),
    ("c-take", taken_over, {}, {"conn_props"}),
    ("c-disc", discarded, {}, set()),
    ("c-ka", fall_silent, {}, {"keepalive"}),
    ("acl-1", by_rules, {}, set()),
    ("exp-1", expired, {}, set()),
]
