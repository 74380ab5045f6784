"""Retained messages over real sockets (MQTT 3.1.1 section 3.3.1.3)."""

from tests.emqx import raw
from tests.emqx.mchat import FakeMChat, allow, deny
from tests.emqx.mqtt import Clients
from tests.emqx.raw import RawClients


async def test_new_subscription_gets_it_with_the_flag(clients: Clients) -> None:
    publisher, early = await clients.connected("p"), await clients.connected("early")
    await early.subscribe("t/+")
    await publisher.publish("t/1", b"kept", retain=True)
    late = await clients.connected("late")
    await late.subscribe("t/#", qos=0)
    (live,), (kept,) = await early.gets(1), await late.gets(1)
    assert (live.payload, live.retain) == (b"kept", False)
    assert (kept.payload, kept.retain, kept.qos) == (b"kept", True, 0)


async def test_only_the_subscriber_s_own_new_filter_counts(mchat: FakeMChat, bare: RawClients) -> None:
    """amqtt sends a client what matches anybody's filter; here not even its own older ones."""
    publisher = await bare.connected("p")
    for topic in ("private/1", "mine/1", "other/1"):
        assert await publisher.ask(raw.publish(topic, topic.encode(), 1, flags=1)) == raw.puback(1)
    somebody = await bare.connected("somebody")
    await somebody.ask(raw.subscribe("private/#"))
    me = await bare.connected("me", clean=False)
    await me.ask(raw.subscribe("mine/#"))
    assert raw.payload_of(await me.receive()) == b"mine/1"
    me.send(raw.subscribe("other/#"))
    assert (await me.receive())[0] == 0x90
    assert raw.payload_of(await me.receive()) == b"other/1"
    assert await me.silent()
    await me.close()
    again = await bare.connected("me", clean=False, present=True)
    assert [raw.payload_of(await again.receive()) for _ in range(2)] == [
        b"mine/1",
        b"other/1",
    ]  # unacknowledged
    assert await again.silent()


async def test_refused_filter_gets_nothing(mchat: FakeMChat, bare: RawClients) -> None:
    publisher = await bare.connected("p")
    await publisher.ask(raw.publish("secret", b"x", 1, flags=1))
    mchat.authz = lambda body: allow() if body["topic"] == "open" else deny()
    client = await bare.connected("c")
    assert await client.ask(raw.subscribe("secret", "open")) == b"\x90\x04\x00\x01\x80\x01"
    assert await client.silent()


async def test_refused_publish_is_not_kept(mchat: FakeMChat, bare: RawClients) -> None:
    publisher = await bare.connected("p")
    mchat.authz = lambda body: deny() if body["action"] == "publish" else allow()
    assert await publisher.ask(raw.publish("t", b"x", 1, flags=1)) == raw.puback(1)
    await publisher.ask(raw.subscribe("t"))
    assert await publisher.silent()


async def test_empty_payload_clears_and_is_delivered(bare: RawClients) -> None:
    publisher, early = await bare.connected("p"), await bare.connected("early")
    await early.ask(raw.subscribe("t", qos=0))
    await publisher.ask(raw.publish("t", b"1", 1, flags=1))
    await publisher.ask(raw.publish("t", b"", 1, flags=1))
    assert [raw.payload_of(await early.receive()) for _ in range(2)] == [b"1", b""]
    late = await bare.connected("late")
    await late.ask(raw.subscribe("t"))
    assert await late.silent()


async def test_subscribing_again_gets_it_again_and_a_share_never(bare: RawClients) -> None:
    client = await bare.connected("c")
    await client.ask(raw.publish("t", b"1", 1, flags=1))
    for _ in range(2):
        await client.ask(raw.subscribe("t", qos=0))
        assert raw.payload_of(await client.receive()) == b"1"
    await client.ask(raw.subscribe("$share/g/t"))
    await client.ask(raw.subscribe("$queue/t"))
    assert await client.silent()


async def test_wildcards_do_not_get_dollar_topics(bare: RawClients) -> None:
    client = await bare.connected("c")
    await client.ask(raw.publish("$own/t", b"1", 1, flags=1))
    await client.ask(raw.subscribe("#", "+/t"))
    client.send(raw.publish("$own/t", b"2"))
    assert await client.silent()
    await client.ask(raw.subscribe("$own/#"))
    assert raw.payload_of(await client.receive()) == b"1"
