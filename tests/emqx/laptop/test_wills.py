"""Wills are published when a client is lost, and only if it might publish them (MQTT 3.1.1 section 3.1.2.5)."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from emqx.laptop.server import LaptopBroker
from tests.emqx import raw
from tests.emqx.mchat import Body, FakeMChat, allow, deny
from tests.emqx.mqtt import Clients
from tests.emqx.raw import RawClient, RawClients

WILL = ("will/c", b"gone", 1, False)


async def watching(bare: RawClients) -> RawClient:
    watcher = await bare.connected("watcher")
    await watcher.ask(raw.subscribe("will/#"))
    return watcher


async def cut(laptop: LaptopBroker, bare: RawClients, client: RawClient) -> None:
    await client.close()


async def break_the_protocol(laptop: LaptopBroker, bare: RawClients, client: RawClient) -> None:
    client.send(raw.packet(0xF0))


async def fall_silent(laptop: LaptopBroker, bare: RawClients, client: RawClient) -> None:
    """The keep-alive of the test is one second."""


async def take_over(laptop: LaptopBroker, bare: RawClients, client: RawClient) -> None:
    await bare.connected("c", clean=False, present=True)


async def discard(laptop: LaptopBroker, bare: RawClients, client: RawClient) -> None:
    await bare.connected("c")


async def kick(laptop: LaptopBroker, bare: RawClients, client: RawClient) -> None:
    await laptop.broker.kick("c")


@pytest.mark.parametrize("end", [cut, break_the_protocol, fall_silent, take_over, discard, kick])
async def test_published_after(
    laptop: tuple[LaptopBroker, Clients],
    mchat: FakeMChat,
    bare: RawClients,
    end: Callable[[LaptopBroker, RawClients, RawClient], Awaitable[None]],
) -> None:
    watcher = await watching(bare)
    client = await bare.connected("c", keepalive=1, will=WILL)
    await end(laptop[0], bare, client)
    assert raw.payload_of(await watcher.receive()) == b"gone"
    (question,) = [body for body in mchat.asked("authz") if body["action"] == "publish"]
    assert (question["clientid"], question["topic"], question["qos"]) == ("c", "will/c", "1")
    told = [body["event"] for body in mchat.events(client_id="c")]
    assert told.count("client.disconnected") <= 1


async def test_not_published_after_disconnect(mchat: FakeMChat, bare: RawClients) -> None:
    watcher = await watching(bare)
    client = await bare.connected("c", will=WILL)
    client.send(raw.DISCONNECT)
    assert await client.closed()
    await mchat.event_of("client.disconnected", "c")
    assert await watcher.silent()
    assert [body for body in mchat.asked("authz") if body["action"] == "publish"] == []


async def test_not_published_when_the_broker_stops(start: Callable[..., Any], mchat: FakeMChat) -> None:
    broker, _ = await start()
    clients = RawClients(broker.tcp_port)
    await clients.connected("c", will=WILL)
    await broker.stop()
    assert mchat.asked("authz") == []
    assert (await mchat.event_of("client.disconnected", "c"))["reason"] == "server_shutting_down"
    await clients.stop()


@pytest.mark.parametrize(
    ("authz", "acl"),
    [
        (lambda body: deny(), None),
        (lambda body: allow(), [{"permission": "deny", "action": "publish", "topic": "will/c"}]),
    ],
)
async def test_refused_will_is_never_published(
    mchat: FakeMChat, bare: RawClients, authz: Callable[[Body], Any], acl: list[object] | None
) -> None:
    watcher = await watching(bare)
    mchat.authz = authz
    if acl is not None:
        mchat.authn = lambda body: allow(acl=acl)
    client = await bare.connected("c", will=WILL)
    await client.close()
    await mchat.event_of("client.disconnected", "c")
    assert await watcher.silent()


async def test_retained_will_is_asked_where_the_rule_says_without_retain(
    mchat: FakeMChat, bare: RawClients
) -> None:
    rule = {"permission": "allow", "action": "publish", "topic": "will/c", "retain": False}
    mchat.authn = lambda body: allow(acl=[rule])
    plain = await bare.connected("c", will=WILL)
    await plain.close()
    await mchat.event_of("client.disconnected", "c")
    assert mchat.asked("authz") == []
    retained = await bare.connected("c", will=(*WILL[:3], True))
    assert mchat.asked("authz") == []  # never at connect
    await retained.close()
    await mchat.event_of("client.disconnected", "c", 2)
    assert [(body["topic"], body["retain"]) for body in mchat.asked("authz")] == [("will/c", "true")]


async def test_will_comes_before_the_disconnection_and_names_no_peer(
    mchat: FakeMChat, bare: RawClients
) -> None:
    client = await bare.connected("c", will=("mchat/status/e1", b"offline", 1, True))
    await client.close()
    await mchat.event_of("client.disconnected", "c")
    told = [body["event"] for body in mchat.events(client_id="c")]
    assert told.index("message.publish") < told.index("client.disconnected")
    (published,) = mchat.events("message.publish")
    assert (published["peername"], published["peerhost"]) == ("undefined", "undefined")
