"""What made plain amqtt unfit (design, "The laptop broker"): each scenario fails there and holds here.

Both check passwords ("bad" is refused) and topics ("deny/…" is refused).
"""

import subprocess
import sys
from collections.abc import AsyncIterator, Iterator

import pytest
from amqtt.broker import Broker as AmqttBroker
from starlette.responses import Response

from emqx.laptop.server import LaptopBroker
from tests.emqx import raw
from tests.emqx.conftest import laptop_settings
from tests.emqx.mchat import Body, FakeMChat, allow, deny, serving
from tests.emqx.raw import RawClient, RawClients

REFUSED = b"\x20\x02\x00\x05"
# Long enough for a message between processes, short because plain amqtt is waited for in vain.
PATIENCE = 1.0


@pytest.fixture
def amqtt_port() -> Iterator[int]:
    with subprocess.Popen(
        [sys.executable, "-m", "tests.emqx.plain_amqtt"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline())
        process.kill()


@pytest.fixture(
    params=[
        "laptop",
        pytest.param(
            "amqtt",
            marks=pytest.mark.xfail(strict=True, raises=(AssertionError, TimeoutError), reason="plain amqtt"),
        ),
    ]
)
async def broker(request: pytest.FixtureRequest) -> AsyncIterator[RawClients]:
    async for clients in running(request.param, request):
        yield clients


@pytest.fixture(params=["laptop", "amqtt"])
async def either(request: pytest.FixtureRequest) -> AsyncIterator[RawClients]:
    async for clients in running(request.param, request):
        yield clients


async def running(name: str, request: pytest.FixtureRequest) -> AsyncIterator[RawClients]:
    if name == "amqtt":
        clients = RawClients(request.getfixturevalue("amqtt_port"))
        yield clients
        await clients.stop()
        return

    def authn(body: Body) -> Response:
        return deny() if body["password"] == "bad" else allow()

    def authz(body: Body) -> Response:
        return deny() if body["topic"].startswith("deny/") else allow()

    mchat = FakeMChat(authn=authn, authz=authz)
    async with serving(mchat), LaptopBroker(laptop_settings(mchat.url)) as laptop:
        clients = RawClients(laptop.tcp_port)
        yield clients
        await clients.stop()


async def hears(client: RawClient, payload: bytes) -> None:
    assert raw.payload_of(await client.receive(PATIENCE)) == payload


async def hears_nothing(client: RawClient) -> None:
    client.send(raw.PINGREQ)
    assert await client.receive(PATIENCE) == b"\xd0\x00"


async def publish(clients: RawClients, topic: str, payload: bytes, *, flags: int = 0) -> None:
    publisher = await clients.connected(f"publisher of {topic}")
    publisher.send(raw.publish(topic, payload, 1, 1, flags=flags))
    assert await publisher.receive(PATIENCE) == raw.puback(1)


async def attack(clients: RawClients, client_id: str, *, clean: bool, will: str | None = None) -> None:
    attacker = await clients.make()
    left = None if will is None else (will, b"attacker", 0, False)
    answer = await attacker.ask(raw.connect(client_id, clean=clean, password="bad", will=left))
    assert answer[-1:] in (REFUSED[-1:], b"")


async def test_both_do_the_plain_thing(either: RawClients) -> None:
    """The control: the scenarios below do not fail on amqtt because nothing works there."""
    subscriber = await either.connected("plain subscriber")
    await subscriber.ask(raw.subscribe("plain/+", qos=0))
    await publish(either, "plain/1", b"1")
    await hears(subscriber, b"1")
    await attack(either, "plain nobody", clean=True)


async def test_wrong_password_does_not_end_the_session_of_its_owner(broker: RawClients) -> None:
    victim = await broker.connected("v1")
    await victim.ask(raw.subscribe("v1/t", qos=0))
    await attack(broker, "v1", clean=True)
    await publish(broker, "v1/t", b"1")
    await hears(victim, b"1")


async def test_wrong_password_does_not_cut_the_connection_of_its_owner(broker: RawClients) -> None:
    victim = await broker.connected("v2", clean=False)
    await attack(broker, "v2", clean=False)
    await hears_nothing(victim)


async def test_wrong_password_leaves_no_will(broker: RawClients) -> None:
    watcher = await broker.connected("watcher")
    await watcher.ask(raw.subscribe("v3/will", qos=0))
    victim = await broker.connected("v3", clean=False, will=("v3/will", b"victim", 0, False))
    await attack(broker, "v3", clean=False, will="v3/will")
    await victim.close()
    await hears(watcher, b"victim")


async def test_connecting_brings_nothing_that_others_subscribed(broker: RawClients) -> None:
    await publish(broker, "private/1", b"secret", flags=1)
    owner = await broker.connected("owner")
    await owner.ask(raw.subscribe("private/+", qos=0))
    await hears(owner, b"secret")
    await hears_nothing(await broker.connected("stranger"))


async def test_refused_will_is_not_published(broker: RawClients) -> None:
    watcher = await broker.connected("watcher of wills")
    await watcher.ask(raw.subscribe("+/will", qos=0))
    client = await broker.connected("w1", will=("deny/will", b"forbidden", 0, False))
    await client.close()
    other = await broker.connected("w2", will=("fine/will", b"allowed", 0, False))
    await other.close()
    await hears(watcher, b"allowed")


async def test_new_connection_of_a_taken_over_session_is_served(broker: RawClients) -> None:
    older = await broker.connected("t1", clean=False)
    await older.ask(raw.subscribe("t1/t", qos=0))
    newer = await broker.connected("t1", clean=False, present=True)
    await publish(broker, "t1/t", b"1")
    await hears(newer, b"1")


async def test_publish_to_a_dollar_topic_ends_nothing(broker: RawClients) -> None:
    subscriber = await broker.connected("d1")
    await subscriber.ask(raw.subscribe("d1/t", qos=0))
    publisher = await broker.connected("d2")
    publisher.send(raw.publish("$own/t"), raw.publish("d1/t", b"after"))
    await hears(subscriber, b"after")


async def test_share_is_a_share(broker: RawClients) -> None:
    members = [await broker.connected(f"s{number}") for number in range(2)]
    for member in members:
        await member.ask(raw.subscribe("$share/g/shared/+", qos=0))
    await publish(broker, "shared/1", b"1")
    heard = []
    for member in members:
        member.send(raw.PINGREQ)
        heard.append((await member.receive(PATIENCE))[0] != 0xD0)
    assert sorted(heard) == [False, True]


@pytest.mark.parametrize("names", [{"client_id": b"\xff"}, {"username": b"\xff"}, {"password": b"\xff"}])
async def test_name_that_is_not_utf8_becomes_no_other_name(
    broker: RawClients, names: dict[str, bytes]
) -> None:
    client = await broker.make()
    assert await client.ask(raw.connect(**{"client_id": "u1", **names})) == REFUSED  # type: ignore[arg-type]


async def test_packets_are_bounded(broker: RawClients) -> None:
    client = await broker.connected("big")
    client.send(raw.publish("big/t", bytes(2 * 1024 * 1024), 1))
    assert await client.receive(5) == b""


def test_amqtt_has_neither_kick_nor_reasons() -> None:
    """Here: test_sessions kicks, test_connection and the recordings see each reason."""
    assert not [name for name in dir(AmqttBroker) if "kick" in name or "reason" in name]
