"""Sessions over real sockets: take-over, persistence, delivery and its order (MQTT 3.1.1 section 4)."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from emqx.laptop.server import LaptopBroker
from tests.emqx import raw
from tests.emqx.mchat import FakeMChat
from tests.emqx.mqtt import Clients
from tests.emqx.raw import RawClients
from tests.emqx.waiting import until


def subscribed(qos: int = 1) -> bytes:
    return b"\x90\x03\x00\x01" + bytes((qos,))


async def test_offline_session_keeps_subscriptions_and_messages(clients: Clients) -> None:
    subscriber = await clients.connected("s", clean_session=False)
    await subscriber.subscribe("t/#")
    await subscriber.disconnect()
    publisher = await clients.connected("p")
    for qos in (0, 1, 2):
        await publisher.publish(f"t/{qos}", qos=qos)
    back = await clients.connected("s", clean_session=False)
    assert back.session_present == [True]
    assert [(m.topic, m.qos) for m in await back.gets(3)] == [("t/0", 0), ("t/1", 1), ("t/2", 1)]
    await publisher.publish("t/live")
    assert (await back.gets(4))[3].topic == "t/live"


async def test_clean_session_forgets(clients: Clients, bare: RawClients) -> None:
    first = await bare.connected("s", clean=False)
    await first.ask(raw.subscribe("t"))
    await first.close()
    second = await bare.connected("s", clean=True)
    second.send(raw.DISCONNECT)
    assert await second.closed()
    third = await bare.connected("s", clean=False, present=False)
    assert await third.ask(raw.publish("t", qos=1)) == raw.puback(1)
    assert await third.silent()


async def test_unacknowledged_comes_again_with_dup_in_order(mchat: FakeMChat, bare: RawClients) -> None:
    first = await bare.connected("s", clean=False)
    await first.ask(raw.subscribe("t", qos=2))
    publisher = await bare.connected("p")
    for number in range(40):
        publisher.send(raw.publish("t", b"%d" % number, 1, number + 1))
    seen = [await first.receive() for _ in range(32)]
    assert [raw.payload_of(packet) for packet in seen] == [b"%d" % number for number in range(32)]
    first.send(raw.puback(raw.packet_id_of(seen[0])))
    assert raw.payload_of(await first.receive()) == b"32"
    await first.close()
    second = await bare.connected("s", clean=False, present=True)
    again = [await second.receive() for _ in range(32)]
    assert [raw.payload_of(packet) for packet in again] == [b"%d" % number for number in range(1, 33)]
    assert all(packet[0] & 0x08 for packet in again)
    for packet in again:
        second.send(raw.puback(raw.packet_id_of(packet)))
    rest = [await second.receive() for _ in range(7)]
    assert [raw.payload_of(packet) for packet in rest] == [b"%d" % number for number in range(33, 40)]
    assert not any(packet[0] & 0x08 for packet in rest)


async def test_qos_2_is_published_once(mchat: FakeMChat, bare: RawClients) -> None:
    watcher = await bare.connected("w")
    await watcher.ask(raw.subscribe("t"))
    first = await bare.connected("p", clean=False)
    assert await first.ask(raw.publish("t", b"1", 2, 9)) == raw.packet(0x50, raw.number(9))
    await first.close()
    second = await bare.connected("p", clean=False, present=True)
    dup = raw.publish("t", b"1", 2, 9, flags=0x08)
    assert await second.ask(dup) == raw.packet(0x50, raw.number(9))
    assert await second.ask(raw.packet(0x62, raw.number(9))) == raw.packet(0x70, raw.number(9))
    assert await second.ask(raw.publish("t", b"2", 2, 9)) == raw.packet(0x50, raw.number(9))
    assert [raw.payload_of(await watcher.receive()) for _ in range(2)] == [b"1", b"2"]
    assert await watcher.silent()


async def test_session_expires(start: Callable[..., Any], mchat: FakeMChat) -> None:
    broker, _ = await start(session_expiry=0.05)
    clients = RawClients(broker.tcp_port)
    first = await clients.connected("s", clean=False)
    await first.close()
    await mchat.event_of("client.disconnected", "s")
    await until(lambda: "s" not in broker.broker._sessions)
    await clients.connected("s", clean=False, present=False)
    await clients.stop()


async def test_queue_of_an_offline_session_drops_the_oldest(start: Callable[..., Any]) -> None:
    broker, _ = await start(max_queued=2)
    clients = RawClients(broker.tcp_port)
    first = await clients.connected("s", clean=False)
    await first.ask(raw.subscribe("t"))
    first.send(raw.DISCONNECT)
    assert await first.closed()
    publisher = await clients.connected("p")
    for payload in (b"1", b"2", b"3"):
        assert await publisher.ask(raw.publish("t", payload, 1)) == raw.puback(1)
    second = await clients.connected("s", clean=False, present=True)
    assert [raw.payload_of(await second.receive()) for _ in range(2)] == [b"2", b"3"]
    assert await second.silent()
    await clients.stop()


@pytest.mark.parametrize(("clean", "reason"), [(False, "takenover"), (True, "discarded")])
async def test_take_over(mchat: FakeMChat, bare: RawClients, clean: bool, reason: str) -> None:
    older = await bare.connected("c", clean=clean)
    await older.ask(raw.subscribe("t"))
    newer = await bare.connected("c", clean=clean, present=not clean)
    assert await older.closed()
    gone = await mchat.event_of("client.disconnected", "c")
    assert gone["reason"] == reason
    assert gone["connected_at"] == (await mchat.event_of("client.connected", "c"))["connected_at"]
    order = [body["event"] for body in mchat.events("client.connected", "client.disconnected")]
    await mchat.event_of("client.connected", "c", 2)
    assert order[:2] == ["client.connected", "client.disconnected"]
    publisher = await bare.connected("p")
    assert await publisher.ask(raw.publish("t", b"1", 1)) == raw.puback(1)
    if clean:
        assert await newer.silent()
    else:
        assert raw.payload_of(await newer.receive()) == b"1"


async def test_older_client_that_waits_for_an_answer_is_taken_over_at_once(
    mchat: FakeMChat, bare: RawClients
) -> None:
    older = await bare.connected("c", clean=False)
    mchat.hold("/emqx/authz")
    older.send(raw.publish("t", qos=1))
    await until(lambda: mchat.asked("authz"))
    await bare.connected("c", clean=False, present=True)
    assert await older.closed()
    mchat.release()


async def test_parallel_connects_end_with_one_client_online(
    laptop: tuple[LaptopBroker, Clients], mchat: FakeMChat, bare: RawClients
) -> None:
    crowd = [await bare.make() for _ in range(12)]
    for number, client in enumerate(crowd):
        client.send(raw.connect("c", clean=number % 2 == 0))
    answers = await asyncio.gather(*(client.receive() for client in crowd))
    assert all(answer[0] == 0x20 and answer[3] == 0 for answer in answers)
    await mchat.event_of("client.connected", "c", 12)
    told = [body["event"] for body in mchat.events("client.connected", "client.disconnected")]
    assert told == ["client.connected", *["client.disconnected", "client.connected"] * 11]
    assert len(laptop[0].broker._online) == len(laptop[0].broker._sessions) == 1


async def test_kick_ends_a_session_online_or_not(
    laptop: tuple[LaptopBroker, Clients], mchat: FakeMChat, bare: RawClients
) -> None:
    broker = laptop[0].broker
    online = await bare.connected("c", clean=False)
    assert await broker.kick("c")
    assert await online.closed()
    assert (await mchat.event_of("client.disconnected", "c"))["reason"] == "kicked"
    offline = await bare.connected("c", clean=False, present=False)
    await offline.close()
    await mchat.event_of("client.disconnected", "c", 2)
    assert await broker.kick("c")
    assert not await broker.kick("c")
    await bare.connected("c", clean=False, present=False)


async def test_sessions_are_bounded(start: Callable[..., Any]) -> None:
    broker, _ = await start(max_sessions=1)
    clients = RawClients(broker.tcp_port)
    await clients.connected("a")
    assert await (await clients.make()).ask(raw.connect("b")) == b"\x20\x02\x00\x03"
    await clients.connected("a")
    await clients.stop()


async def test_resubscribing_replaces_and_unsubscribing_ends(mchat: FakeMChat, bare: RawClients) -> None:
    client = await bare.connected("c")
    assert await client.ask(raw.subscribe("t", qos=2)) == subscribed(2)
    assert await client.ask(raw.subscribe("t", qos=0)) == subscribed(0)
    client.send(raw.publish("t", b"1", 0))
    assert (await client.receive())[0] == 0x30
    assert await client.silent()
    assert await client.ask(raw.unsubscribe("t", "never")) == b"\xb0\x02\x00\x01"
    client.send(raw.publish("t", b"2", 0))
    assert await client.silent()
    await mchat.event_of("session.unsubscribed", "c")
    await mchat.event_of("message.dropped", "c")
    assert len(mchat.events("session.unsubscribed")) == 1


async def test_order_of_a_publisher_is_kept_through_questions(clients: Clients, bare: RawClients) -> None:
    subscriber, publisher = await clients.connected("s"), await bare.connected("p")
    await subscriber.subscribe("t/#", qos=1)
    publisher.send(*(raw.publish(f"t/{n}", b"%d" % n, n % 3, n + 1) for n in range(200)))
    got = await subscriber.gets(200)
    assert [message.payload for message in got] == [b"%d" % n for n in range(200)]
