import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from emqx.laptop.connection import Connection
from emqx.laptop.server import LaptopBroker
from emqx.listeners import ListenerSettings
from tests.emqx import raw
from tests.emqx.mchat import FakeMChat, allow, deny
from tests.emqx.mqtt import Clients
from tests.emqx.raw import RawClients
from tests.emqx.waiting import until

ACCEPTED = b"\x20\x02\x00\x00"


@pytest.mark.parametrize("transport", ["tcp", "websockets"])
async def test_paho_publishes_and_gets(laptop: tuple[LaptopBroker, Clients], transport: str) -> None:
    broker, clients = laptop
    port = broker.ws_port if transport == "websockets" else broker.tcp_port
    subscriber = await clients.connected("sub", transport=transport, port=port)
    publisher = await clients.connected("pub", transport=transport, port=port)
    assert await subscriber.subscribe("房间/+", qos=2) == [2]
    for qos in (0, 1, 2):
        await publisher.publish(f"房间/{qos}", b"\x00\xff" * 40_000, qos)
    got = await subscriber.gets(3)
    assert [(message.topic, message.qos) for message in got] == [(f"房间/{qos}", qos) for qos in range(3)]
    assert all(message.payload == b"\x00\xff" * 40_000 for message in got)


async def test_mqtt_5_is_told_so_in_its_own_words(bare: RawClients) -> None:
    client = await bare.make()
    assert await client.ask(raw.connect(level=5)) == b"\x20\x03\x00\x84\x00"
    assert await client.closed()


@pytest.mark.parametrize(("protocol", "level"), [("MQIsdp", 3), ("MQTT", 6)])
async def test_other_versions_get_return_code_1(
    laptop: tuple[LaptopBroker, Clients], bare: RawClients, mchat: FakeMChat, protocol: str, level: int
) -> None:
    client = await bare.make()
    assert await client.ask(raw.connect(protocol=protocol, level=level)) == b"\x20\x02\x00\x01"
    assert await client.closed()
    assert mchat.requests == []


async def test_bridge_bit_is_authenticated_as_3_1_1(mchat: FakeMChat, bare: RawClients) -> None:
    await bare.connected("bridge", level=0x84)
    assert (await mchat.event_of("client.connected", "bridge"))["is_bridge"] is True


@pytest.mark.parametrize(
    "first",
    [
        raw.connect(protocol="mqtt"),
        raw.publish("t"),
        raw.PINGREQ,
        raw.DISCONNECT,
        raw.connect(will=("a/+", b"x", 0, False)),
        b"GET / HTTP/1.1\r\n" + b"accept: x\r\n" * 8,
    ],
)
async def test_closed_without_a_word(bare: RawClients, mchat: FakeMChat, first: bytes) -> None:
    client = await bare.make()
    client.send(first)
    assert await client.closed()
    assert mchat.requests == []


@pytest.mark.parametrize(
    ("packets", "reason"),
    [
        (raw.connect(), "protocol_error"),
        (raw.publish("a/#"), "protocol_error"),
        (raw.subscribe("$share//t"), "protocol_error"),
        (raw.subscribe("$share/+/t"), "protocol_error"),
        (raw.subscribe("$share/g/$share/h/t"), "protocol_error"),
        (raw.subscribe("$share/g/$queue/t"), "protocol_error"),
        (raw.subscribe("good", "a/#/b"), "protocol_error"),
        (raw.unsubscribe("a/#/b"), "protocol_error"),
        (raw.packet(0xF0), "malformed_packet"),
        (raw.publish("t", bytes(5000)), "packet_too_large"),
        (raw.DISCONNECT, "normal"),
        (raw.DISCONNECT + raw.publish("t"), "normal"),
    ],
)
async def test_end_and_its_reason(
    start: Callable[..., Any], mchat: FakeMChat, packets: bytes, reason: str
) -> None:
    broker, _ = await start(max_packet_size=4096)
    clients = RawClients(broker.tcp_port)
    client = await clients.connected("c")
    client.send(packets)
    assert await client.closed()
    assert (await mchat.event_of("client.disconnected", "c"))["reason"] == reason
    assert mchat.asked("authz") == []
    await clients.stop()


async def test_connect_has_to_come_in_time(start: Callable[..., Any], mchat: FakeMChat) -> None:
    broker, _ = await start(connect_timeout=0.1)
    clients = RawClients(broker.tcp_port)
    silent, slow = await clients.make(), await clients.make()
    slow.send(raw.connect()[:10])
    assert await silent.closed()
    assert await slow.closed()
    assert mchat.requests == []
    await clients.stop()


async def test_keepalive_counts_from_the_last_packet(mchat: FakeMChat, bare: RawClients) -> None:
    client = await bare.connected("c", keepalive=1)
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert await client.silent()
    assert await client.closed()
    assert 1.4 < loop.time() - began < 5
    assert (await mchat.event_of("client.disconnected", "c"))["reason"] == "keepalive_timeout"


async def test_keepalive_does_not_run_while_a_question_is_open(mchat: FakeMChat, bare: RawClients) -> None:
    client = await bare.connected("c", keepalive=1)
    mchat.hold("/emqx/authz")
    client.send(raw.publish("t", qos=1))
    assert await client.receive(seconds=10) == raw.puback(1)  # after authz_timeout, 3 s
    assert mchat.events("client.disconnected") == []


async def test_packets_wait_for_an_open_question(mchat: FakeMChat, bare: RawClients) -> None:
    client = await bare.connected("c")
    mchat.authz = lambda body: allow() if body["topic"] != "no" else deny()
    client.send(
        raw.subscribe("no", packet_id=1),
        raw.subscribe("yes", "no", packet_id=2),
        raw.publish("yes", b"1", 1, 3),
        raw.unsubscribe("yes", packet_id=4),
        raw.PINGREQ,
    )
    got = [await client.receive() for _ in range(6)]
    assert got[0] == b"\x90\x03\x00\x01\x80"
    assert got[1] == b"\x90\x04\x00\x02\x01\x80"
    assert sorted(got[2:4]) == sorted([raw.publish("yes", b"1", 1, 1), raw.puback(3)])
    assert got[4:] == [b"\xb0\x02\x00\x04", b"\xd0\x00"]


async def test_reader_that_does_not_read_is_cut(start: Callable[..., Any], mchat: FakeMChat) -> None:
    broker, _ = await start(send_timeout=0.3)
    clients = RawClients(broker.tcp_port)
    deaf, speaker = await clients.connected("deaf"), await clients.connected("speaker")
    assert await deaf.ask(raw.subscribe("t", qos=0)) == b"\x90\x03\x00\x01\x00"
    for _ in range(24):
        assert await speaker.ask(raw.publish("t", bytes(1_000_000), 1)) == raw.puback(1)
    gone = await mchat.event_of("client.disconnected", "deaf")
    assert gone["reason"] == "send_timeout"
    await clients.stop()


async def test_connections_are_bounded(start: Callable[..., Any]) -> None:
    broker, _ = await start(max_connections=1)
    clients = RawClients(broker.tcp_port)
    await clients.connected("a")
    assert await (await clients.make()).closed()
    await clients.stop()


async def test_slow_reader_gets_everything_in_order(bare: RawClients) -> None:
    slow, speaker = await bare.connected("slow"), await bare.connected("speaker")
    await slow.ask(raw.subscribe("t", qos=0))
    payloads = [b"%02d" % number + bytes(500_000) for number in range(60)]
    for payload in payloads:
        assert await speaker.ask(raw.publish("t", payload, 1)) == raw.puback(1)
    got = [(await slow.receive())[7:9] for _ in payloads]
    assert got == [payload[:2] for payload in payloads]


class StuckLink:
    """A client that asks and asks, and takes no more than its CONNACK."""

    peer = socket = ("127.0.0.1", 1)

    def __init__(self) -> None:
        self.reads = 0
        self._gone = asyncio.Event()

    async def receive(self) -> bytes:
        self.reads += 1
        await asyncio.sleep(0)
        return raw.connect("stuck") if self.reads == 1 else raw.PINGREQ * 10_000

    async def send(self, data: bytes) -> None:
        if data != ACCEPTED:
            await self._gone.wait()
            raise ConnectionError

    async def close(self) -> None:
        self._gone.set()


async def test_client_that_takes_no_answers_is_read_no_more(laptop: tuple[LaptopBroker, Clients]) -> None:
    link = StuckLink()
    connection = Connection(laptop[0].broker, link, ListenerSettings(bind="127.0.0.1:0"))
    running = asyncio.create_task(connection.run())
    await until(lambda: connection.congested)
    reads = link.reads
    for _ in range(200):
        await asyncio.sleep(0)
    assert link.reads == reads
    assert len(connection._outgoing) < 300_000
    connection.stop("kicked")
    await running
