"""Share groups: who gets what, and what becomes of it when a member goes (emqx-measured)."""

import asyncio

import pytest

from emqx.laptop.server import LaptopBroker
from tests.emqx import raw
from tests.emqx.mchat import FakeMChat
from tests.emqx.mqtt import Clients
from tests.emqx.raw import RawClient, RawClients
from tests.emqx.waiting import until

FILTER = "$share/gateway/req/+"


async def member(bare: RawClients, client_id: str, *, clean: bool = True, present: bool = False) -> RawClient:
    client = await bare.connected(client_id, clean=clean, present=present)
    if not present:
        await client.ask(raw.subscribe(FILTER))
    return client


async def publish(publisher: RawClient, *payloads: bytes) -> None:
    for payload in payloads:
        assert await publisher.ask(raw.publish("req/1", payload, 1)) == raw.puback(1)


async def payloads(client: RawClient, count: int) -> list[bytes]:
    return [raw.payload_of(await client.receive()) for _ in range(count)]


async def offline(broker: LaptopBroker, client_id: str) -> None:
    await until(lambda: client_id not in broker.broker._online)


@pytest.mark.parametrize("filter_text", [FILTER, "$queue/req/+"])
async def test_each_publisher_has_its_member_and_keeps_its_order(
    clients: Clients, bare: RawClients, filter_text: str
) -> None:
    members = [await clients.connected(f"g{n}") for n in range(3)]
    for client in members:
        assert await client.subscribe(filter_text) == [1]
    publishers = [await bare.connected(f"p{n}") for n in range(12)]
    for number in range(10):
        for publisher in publishers:
            publisher.send(raw.publish(f"req/{number}", b"%d" % number, 1, number + 1))
    await until(lambda: sum(len(client.received) for client in members) == 120)
    assert all(len(client.received) % 10 == 0 for client in members)
    assert sum(bool(client.received) for client in members) > 1
    for client in members:
        lots = len(client.received) // 10
        for number in range(10):
            assert [message.payload for message in client.received].count(b"%d" % number) == lots


async def test_what_a_lost_member_had_goes_to_another_in_order(
    laptop: tuple[LaptopBroker, Clients], bare: RawClients
) -> None:
    lost = await member(bare, "g1")
    publisher = await bare.connected("p")
    await publish(publisher, *(b"%d" % number for number in range(40)))
    assert len(await payloads(lost, 32)) == 32  # in hand; eight are queued
    other = await member(bare, "g2")
    await lost.close()
    got = [await other.receive() for _ in range(32)]
    assert [raw.payload_of(packet) for packet in got] == [b"%d" % number for number in range(32)]
    assert not any(packet[0] & 0x08 for packet in got)
    for packet in got:
        other.send(raw.puback(raw.packet_id_of(packet)))
    assert await payloads(other, 8) == [b"%d" % number for number in range(32, 40)]


async def test_what_a_kicked_member_had_is_lost(
    laptop: tuple[LaptopBroker, Clients], bare: RawClients
) -> None:
    await member(bare, "g1")
    publisher = await bare.connected("p")
    await publish(publisher, b"1")
    other = await member(bare, "g2")
    await laptop[0].broker.kick("g1")
    assert await other.silent()


async def test_new_connection_with_clean_session_gives_it_to_another(bare: RawClients) -> None:
    await member(bare, "g1")
    publisher = await bare.connected("p")
    await publish(publisher, b"1")
    other = await member(bare, "g2")
    await bare.connected("g1")
    assert await payloads(other, 1) == [b"1"]


async def test_taken_over_member_gets_all_again(bare: RawClients) -> None:
    await member(bare, "g1")
    publisher = await bare.connected("p")
    await publish(publisher, b"1", b"2")
    again = await member(bare, "g1", clean=False, present=True)
    got = [await again.receive() for _ in range(2)]
    assert [(raw.payload_of(packet), bool(packet[0] & 0x08)) for packet in got] == [
        (b"1", True),
        (b"2", True),
    ]


async def test_unsubscribed_member_ends_what_it_has(bare: RawClients) -> None:
    leaving = await member(bare, "g1")
    publisher = await bare.connected("p")
    await publish(publisher, *(b"%d" % number for number in range(33)))
    first = [await leaving.receive() for _ in range(32)]
    other = await member(bare, "g2")
    assert await leaving.ask(raw.unsubscribe(FILTER)) == b"\xb0\x02\x00\x01"
    leaving.send(raw.puback(raw.packet_id_of(first[0])))
    assert await payloads(leaving, 1) == [b"32"]
    await publish(publisher, b"new")
    assert await payloads(other, 1) == [b"new"]


async def test_offline_member_keeps_its_publishers(
    laptop: tuple[LaptopBroker, Clients], bare: RawClients
) -> None:
    away = await member(bare, "g1", clean=False)
    other = await member(bare, "g2", clean=False)
    publishers = [await bare.connected(f"p{n}") for n in range(12)]
    await away.close()
    await offline(laptop[0], "g1")
    for publisher in publishers:
        await publish(publisher, b"x")
    back = await member(bare, "g1", clean=False, present=True)
    counts = await asyncio.gather(drained(back), drained(other))
    assert sum(counts) == 12
    assert min(counts) > 0


async def drained(client: RawClient) -> int:
    """How many messages came before the answer to a ping."""
    count = 0
    client.send(raw.PINGREQ)
    while (await client.receive())[0] != 0xD0:
        count += 1
    return count


async def test_lost_single_member_leaves_nothing_behind(
    laptop: tuple[LaptopBroker, Clients], mchat: FakeMChat, bare: RawClients
) -> None:
    only = await member(bare, "g1")
    publisher = await bare.connected("p")
    await publish(publisher, b"1")
    await only.close()
    await offline(laptop[0], "g1")
    await publish(publisher, b"2")
    assert (await mchat.event_of("message.dropped", "p"))["payload"] == "2"
    assert await (await member(bare, "g1")).silent()
