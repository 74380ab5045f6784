"""The gateway's session at real brokers: what is answered, cut, sent again, refused."""

import asyncio
import socket
import time
from functools import partial
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes

from emqx.laptop.server import LaptopBroker
from gateway import outgoing
from gateway.exchange import Arrival, Delivery, NotConnected, PublishRefused
from gateway.figures import zone_fault
from gateway.link import Link
from gateway.paho_client import properties_of
from tests.emqx.conftest import laptop_settings
from tests.emqx.mchat import FakeMChat, allow, deny, serving
from tests.emqx.waiting import until
from tests.gateway.brokers import Place, UntouchedSettings
from tests.gateway.echo import Echo, response_topic
from tests.gateway.linked import has_all, seqs, socket_of
from tests.mosquitto import find_mosquitto, running_mosquitto


async def test_a_request_is_answered(place: Place) -> None:
    await place.linked(Echo())
    client = await place.client("a")
    await client.publish(place.request("a", "s1"), b"hello")
    got = await client.gets(1)
    assert [(one.topic, one.payload, one.qos, one.retain) for one in got] == [
        (f"{place.prefix}mchat/msg/resp/a/s1", b"hello", 1, False)
    ]


async def test_deliveries_come_before_the_response(place: Place) -> None:
    echo = Echo()
    inbox = f"{place.prefix}mchat/inbox/b"
    echo.deliveries = lambda arrival: (Delivery(inbox, b"1"), Delivery(inbox, b"2"))
    await place.linked(echo)
    client = await place.client("a")
    await client.subscribe(inbox)
    for seq in seqs(20):
        await client.publish(place.request("a", seq), seq.encode())
    got = await client.gets(60)
    expected = [payload for seq in seqs(20) for payload in (b"1", b"2", seq.encode())]
    assert [one.payload for one in got] == expected


async def test_requests_of_one_client_take_effect_in_order_and_are_answered_in_order(place: Place) -> None:
    echo = Echo()
    await place.linked(echo)
    names = ["a", "b", "c", "d"]
    clients = {name: await place.client(name) for name in names}
    for seq in seqs(40):
        for name in names:
            clients[name].paho.publish(place.request(name, seq), seq.encode(), 1)
    for name in names:
        got = await clients[name].gets(40)
        assert [one.payload.decode() for one in got] == seqs(40)
        assert echo.by_client()[name] == seqs(40)


async def test_a_slow_request_holds_its_own_client_and_nobody_else(place: Place) -> None:
    echo = Echo()
    echo.hold("slow")
    await place.linked(echo)
    slow, quick = await place.client("slow"), await place.client("quick")
    await slow.publish(place.request("slow", "s0"))
    await slow.publish(place.request("slow", "s1"))
    await echo.was_asked(1)
    for seq in seqs(30):
        await quick.publish(place.request("quick", seq))
    await quick.gets(30)
    assert (slow.received, echo.by_client()["slow"]) == ([], ["s0"])
    echo.release("slow")
    assert [one.topic[-2:] for one in await slow.gets(2)] == ["s0", "s1"]


async def test_a_connection_that_is_cut_and_comes_back_loses_nothing(place: Place) -> None:
    echo = Echo()
    echo.hold("a")
    line = await place.line()
    link = await place.linked(echo, port=line.port)
    client = await place.client("a")
    for seq in seqs(3):
        await client.publish(place.request("a", seq), seq.encode())
    await echo.was_asked(1)
    line.down = True
    line.cut()
    await until(lambda: not link.up.is_set())
    await client.publish(place.request("a", "s3"), b"s3")
    line.down = False
    await link.up.wait()
    echo.release("a")
    got = await client.gets(4)
    assert [one.payload.decode() for one in got] == seqs(4)
    # What was in hand comes again, and has to be told apart by whoever handles it; the rest was not begun.
    assert echo.begun == ["s0", *seqs(4)]


async def test_cut_again_and_again_under_load_every_request_is_answered_in_order(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A response that was alone on its way at the wrong moments would be given up: that is another test's.
    monkeypatch.setattr(outgoing, "STRIKES", 100)
    echo = Echo()
    line = await place.line()
    # All that comes again may be in hand: none is answered with 503.
    await place.linked(echo, port=line.port, in_hand=600, in_hand_client=300)
    clients = {name: await place.client(name) for name in ("a", "b")}
    for turn in range(5):
        before = len(echo.asked)
        for seq in seqs(300)[turn * 60 : turn * 60 + 60]:
            for name, client in clients.items():
                client.paho.publish(place.request(name, seq), seq.encode(), 1)
        await echo.was_asked(before + 10)
        line.cut()
    for name, client in clients.items():
        await until(partial(has_all, client, seqs(300)))
        first_times = list(dict.fromkeys(echo.by_client()[name]))
        assert first_times == seqs(300)


async def test_more_than_fits_is_answered_at_once(place: Place) -> None:
    echo = Echo()
    for name in ("a", "b"):
        echo.hold(name)
    link = await place.linked(echo, in_hand=4, in_hand_client=3)
    a, b, c = [await place.client(name) for name in ("a", "b", "c")]
    for seq in seqs(4):
        await a.publish(place.request("a", seq))
    assert [one.payload for one in await a.gets(1)] == [b"503"], "the fourth of one client"
    await b.publish(place.request("b", "s0"))
    await echo.was_asked(2)
    await c.publish(place.request("c", "s0"))
    assert [one.payload for one in await c.gets(1)] == [b"503"], "the fifth of all"
    echo.release("a")
    echo.release("b")
    await a.gets(4)
    await c.publish(place.request("c", "s1"), b"now")
    assert [one.payload for one in await c.gets(2)] == [b"503", b"now"]
    assert (echo.refused, link.figures.overloaded) == ([("s3", 503), ("s0", 503)], 2)


async def test_what_takes_too_long_is_answered_and_not_begun_later(place: Place) -> None:
    now = 100.0
    echo = Echo()
    echo.hold("a")
    link = await place.linked(echo, clock=lambda: now, request_time=10.0)
    client = await place.client("a")
    await client.publish(place.request("a", "s0"))
    await client.publish(place.request("a", "s1"))
    await echo.was_asked(1)
    await until(lambda: link.in_flight.count == 2)
    now += 9.0
    await client.publish(place.request("a", "s2"))
    await until(lambda: link.in_flight.count == 3)
    assert client.received == []
    now += 2.0
    assert [one.payload for one in await client.gets(2)] == [b"503", b"503"]
    echo.release("a")
    got = await client.gets(3)
    assert [one.topic[-2:] for one in got] == ["s0", "s1", "s2"], "what s0 answered too late is thrown away"
    assert (echo.begun, link.figures.overdue) == (["s0", "s2"], 2)


async def test_a_response_that_comes_later_holds_nothing(place: Place) -> None:
    echo = Echo()
    told = asyncio.Event()

    async def later() -> bytes:
        await told.wait()
        return b"later"

    echo.response = lambda arrival: None if arrival.payload == b"wait" else arrival.payload
    echo.after = lambda arrival: later if arrival.payload == b"wait" else None
    await place.linked(echo, receive_maximum=1)
    client = await place.client("a")
    # With one request at once on the wire, the next comes only when this one is acknowledged.
    await client.publish(place.request("a", "s0"), b"wait")
    await client.publish(place.request("a", "s1"), b"next")
    assert [one.payload for one in await client.gets(1)] == [b"next"]
    told.set()
    got = await client.gets(2)
    assert (got[1].topic, got[1].payload) == (f"{place.prefix}mchat/msg/resp/a/s0", b"later")


@pytest.mark.parametrize("topic", ["mchat/inbox/#", "mchat/inbox/+", "", "$SYS/x", "a\0b", "a\ud800"])
async def test_a_topic_that_is_none_is_given_up_and_the_rest_goes_on(place: Place, topic: str) -> None:
    echo = Echo()
    echo.deliveries = lambda arrival: (Delivery(topic, b"x"),) if arrival.payload == b"bad" else ()
    link = await place.linked(echo)
    client = await place.client("a")
    await client.publish(place.request("a", "s0"), b"bad")
    await client.publish(place.request("a", "s1"), b"good")
    assert [one.payload for one in await client.gets(2)] == [b"413", b"good"]
    assert (echo.begun, link.figures.refused, link.figures.connections) == (["s0", "s1"], 1, 1)
    with pytest.raises(PublishRefused):
        await link.publish(topic, b"x")


async def test_an_answer_that_is_too_large_is_said_to_be(place: Place) -> None:
    echo = Echo()
    echo.response = lambda arrival: b"x" * 5_000 if arrival.payload == b"much" else arrival.payload
    link = await place.linked(echo, packet_size=4_096)
    client = await place.client("a")
    await client.publish(place.request("a", "s0"), b"much")
    await client.publish(place.request("a", "s1"), b"little")
    assert [one.payload for one in await client.gets(2)] == [b"413", b"little"]
    assert (link.figures.refused, link.figures.connections) == (1, 1)


async def test_a_delivery_that_is_too_large_is_not_answered_as_if_it_went_out(place: Place) -> None:
    echo = Echo()
    inbox = f"{place.prefix}mchat/inbox/b"
    echo.deliveries = lambda arrival: (Delivery(inbox, b"x" * 5_000 if arrival.payload == b"much" else b"x"),)
    link = await place.linked(echo, packet_size=4_096)
    client, other = await place.client("a"), await place.client("b")
    await other.subscribe(inbox)
    await client.publish(place.request("a", "s0"), b"much")
    await client.publish(place.request("a", "s1"), b"little")
    assert [one.payload for one in await client.gets(2)] == [b"413", b"little"]
    assert [one.payload for one in await other.gets(1)] == [b"x"]
    assert (link.figures.refused, link.figures.connections) == (1, 1)


async def test_publishing_tells_how_it_ended(place: Place) -> None:
    line = await place.line()
    link = await place.linked(Echo(), port=line.port)
    client = await place.client("a")
    topic = f"{place.prefix}mchat/msg/resp/a/s9"
    await link.publish(topic, b"qos1")
    await link.publish(topic, b"qos0", 0)
    assert {one.payload for one in await client.gets(2)} == {b"qos0", b"qos1"}
    line.down = True
    line.cut()
    await until(lambda: not link.up.is_set())
    with pytest.raises(NotConnected, match=topic):
        await link.publish(topic, b"x")


async def test_what_is_retained_on_a_request_topic_is_no_request(place: Place) -> None:
    client = await place.client("a")
    await client.publish(place.request("a", "old"), b"old", retain=True)
    try:
        echo = Echo()
        await place.linked(echo, shared=False)
        await client.publish(place.request("a", "new"), b"new")
        assert [one.payload for one in await client.gets(1)] == [b"new"]
        assert echo.begun == ["new"]
    finally:
        await client.publish(place.request("a", "old"), b"", retain=True)


async def test_two_share_requests_and_one_that_stops_leaves_them_to_the_other(place: Place) -> None:
    first, second = Echo(), Echo()
    links = [await place.linked(first, instance="1"), await place.linked(second, instance="2")]
    names = [f"c{number}" for number in range(12)]
    clients = {name: await place.client(name) for name in names}
    for name, client in clients.items():
        await client.publish(place.request(name, "s0"), b"x")
    for client in clients.values():
        await client.gets(1)
    assert len(first.asked) + len(second.asked) == 12
    assert first.asked, "one of them got none"
    assert second.asked, "one of them got none"
    await links[0].stop()
    before = len(first.asked)
    for name, client in clients.items():
        await client.publish(place.request(name, "s1"), b"x")
    for client in clients.values():
        await client.gets(2)
    assert len(first.asked) == before


async def test_a_name_that_another_uses_is_said(five: Place) -> None:
    first = await five.linked(Echo())
    await five.linked(Echo())
    await until(lambda: "name the instance" in first.figures.fault)


async def test_correlation_data_comes_back_and_the_response_topic_is_told(five: Place) -> None:
    echo = Echo()
    await five.linked(echo)
    got: list[Any] = []
    client = paho.Client(CallbackAPIVersion.VERSION2, f"{five.prefix}v5", protocol=MQTTProtocolVersion.MQTTv5)
    extra = properties_of(PacketTypes.PUBLISH, CorrelationData=b"\0\1", ResponseTopic="else/where")

    def subscribe(*_: Any) -> None:
        client.subscribe(f"{five.prefix}mchat/msg/resp/v5/+", 1)

    def ask(*_: Any) -> None:
        client.publish(five.request("v5", "s0"), b"x", 1, properties=extra)

    client.on_message = lambda client, data, message: got.append(message)
    client.on_connect, client.on_subscribe = subscribe, ask
    client.connect_async("127.0.0.1", five.port)
    client.loop_start()
    try:
        await until(lambda: got)
    finally:
        client.disconnect()
        client.loop_stop()
    assert got[0].properties.CorrelationData == b"\0\1"
    assert (got[0].topic, echo.asked[0].response_topic) == (
        f"{five.prefix}mchat/msg/resp/v5/s0",
        "else/where",
    )


async def test_the_socket_sends_small_answers_at_once(place: Place) -> None:
    link = await place.linked(Echo())
    assert socket_of(link)._sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0


@pytest.fixture
def narrow() -> Any:
    """mosquitto that takes packets of 3,000 bytes, and shows little room."""
    program = find_mosquitto()
    if program is None:
        pytest.skip("mosquitto is not installed")
    with running_mosquitto(program, "max_packet_size 3000", "max_inflight_messages 20") as port:
        yield port


async def test_what_the_broker_says_of_its_limits_is_kept(five: Place, narrow: int) -> None:
    echo = Echo()
    echo.response = lambda arrival: b"x" * 5_000 if arrival.payload == b"much" else arrival.payload
    link = await five.linked(echo, port=narrow)
    greeting = link.figures.greeting
    assert greeting is not None
    assert (greeting.packet_size, greeting.receive_maximum) == (3_000, 20)
    heard: list[tuple[str, int]] = []
    link.outgoing.put("x/y", b"x" * 2_990, lambda error: heard.append((str(error), 1)))
    assert "3000" in heard[0][0]


async def test_a_packet_over_which_the_broker_closes_the_connection_is_given_up(
    place: Place, narrow: int
) -> None:
    """MQTT 3.1.1 tells no limit; the broker answers by closing, and sends the request again."""
    if place.protocol == "5":
        pytest.skip("with MQTT 5 the limit is known")
    echo = Echo()
    echo.response = lambda arrival: b"x" * 5_000 if arrival.payload == b"much" else arrival.payload
    link = await place.linked(echo, port=narrow)
    client = place.clients.make("narrow", port=narrow)
    assert await client.connect() == 0
    await client.subscribe(f"{place.prefix}mchat/msg/resp/+/+")
    client.paho.publish(place.request("a", "s0"), b"much", 1)
    for seq in ("s1", "s2"):
        client.paho.publish(place.request("b", seq), seq.encode(), 1)
    await until(lambda: {one.payload for one in client.received} == {b"413", b"s1", b"s2"})
    assert link.figures.refused == 1
    # Three times, alone at last; what is sent again may come, and end the connection, before it is subscribed.
    assert link.figures.lost in (2, 3)


async def test_no_room_at_the_broker_is_a_fault_that_names_the_zone(five: Place, narrow: int) -> None:
    small = await five.linked(Echo(), port=narrow, instance="3")
    wide = await five.linked(Echo(), instance="4")
    assert small.figures.greeting is not None
    assert wide.figures.greeting is not None
    assert "Receive Maximum is 20" in str(zone_fault(small.figures.greeting, 1_024))
    assert zone_fault(wide.figures.greeting, 1_024) is None


async def test_a_broker_that_is_not_there_is_tried_again(place: Place) -> None:
    line = await place.line()
    line.down = True
    link: Link = place.link(port=line.port)
    link.start(Echo())
    await until(lambda: line.made > 3)
    assert (link.up.is_set(), link.figures.fault != "") == (False, True)
    line.down = False
    await link.up.wait()
    assert link.figures.fault == ""


async def test_a_handler_that_fails_holds_nobody(place: Place) -> None:
    class Failing(Echo):
        def handle(self, arrival: Arrival) -> Any:
            if arrival.payload == b"fail at once":
                raise RuntimeError("no")
            return super().handle(arrival)

        async def answered(self, arrival: Arrival) -> Any:
            if arrival.payload == b"fail":
                raise RuntimeError("no")
            return await super().answered(arrival)

    link = await place.linked(Failing(), receive_maximum=1)
    client = await place.client("a")
    await client.publish(place.request("a", "s0"), b"fail")
    await client.publish(place.request("a", "s1"), b"fail at once")
    await client.publish(place.request("a", "s2"), b"fine")
    got = await client.gets(1)
    assert (got[0].topic, link.figures.unanswered) == (f"{place.prefix}mchat/msg/resp/a/s2", 2)
    assert response_topic(Arrival("a/req/b", b"", 0.0)) == "a/resp/b"


async def test_a_broker_that_says_no_is_told_of_and_asked_again() -> None:
    """First the log-in, then the subscription is refused; then nothing is."""
    may = {"connect": False, "subscribe": False}
    answers = FakeMChat(
        authn=lambda body: allow() if may["connect"] else deny(),
        authz=lambda body: allow() if may["subscribe"] or body["action"] == "publish" else deny(),
    )
    async with (
        serving(answers) as mchat,
        LaptopBroker(laptop_settings(mchat.url, cache_enable=False)) as broker,
    ):
        settings = UntouchedSettings(
            port=broker.tcp_port, protocol="3.1.1", back_off=0.02, back_off_longest=0.05
        )
        link = Link(settings, "ok", prefix="", clock=time.monotonic, random=lambda: 0.5)
        link.start(Echo())
        try:
            await until(lambda: "refuses mchat_gateway_1 as mchat_gateway" in link.figures.fault)
            may["connect"] = True
            await until(lambda: "needs the role service" in link.figures.fault)
            assert not link.up.is_set()
            may["subscribe"] = True
            await link.up.wait()
            assert link.figures.fault == ""
        finally:
            await link.stop()
