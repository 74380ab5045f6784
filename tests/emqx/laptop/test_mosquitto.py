"""What MQTT 3.1.1 promises, asked of mosquitto and of the laptop broker alike: our expectations are not our own."""

import uuid
from collections.abc import AsyncIterator

import pytest

from emqx.laptop.server import LaptopBroker
from tests.emqx.conftest import laptop_settings
from tests.emqx.mchat import FakeMChat, serving
from tests.emqx.mqtt import Clients, Received, clients_of
from tests.emqx.waiting import until


@pytest.fixture(params=["mosquitto", "laptop"])
async def clients(request: pytest.FixtureRequest) -> AsyncIterator[Clients]:
    if request.param == "mosquitto":
        with clients_of(request.getfixturevalue("mosquitto_port")) as made:
            yield made
        return
    async with serving(FakeMChat()) as mchat, LaptopBroker(laptop_settings(mchat.url)) as broker:
        with clients_of(broker.tcp_port) as made:
            yield made


@pytest.fixture
def mark() -> str:
    """Names of this test's own: mosquitto serves all tests of a session."""
    return uuid.uuid4().hex[:8]


def payloads(received: list[Received]) -> list[bytes]:
    return [one.payload for one in received]


async def test_a_retained_message_goes_to_a_new_subscription_with_its_flag(
    clients: Clients, mark: str
) -> None:
    publisher, reader = clients.make(f"p{mark}"), clients.make(f"r{mark}")
    await publisher.connect()
    await publisher.publish(f"{mark}/kept", b"kept", retain=True)
    await reader.connect()
    await reader.subscribe(f"{mark}/+")
    await publisher.publish(f"{mark}/kept", b"live", retain=True)
    received = await reader.gets(2)
    assert [(one.payload, one.retain) for one in received] == [(b"kept", True), (b"live", False)]


async def test_an_empty_retained_message_clears_the_topic(clients: Clients, mark: str) -> None:
    publisher, reader = clients.make(f"p{mark}"), clients.make(f"r{mark}")
    await publisher.connect()
    await publisher.publish(f"{mark}/kept", b"kept", retain=True)
    await publisher.publish(f"{mark}/kept", b"", retain=True)
    await reader.connect()
    await reader.subscribe(f"{mark}/#")
    await publisher.publish(f"{mark}/last", b"last")
    assert payloads(await reader.gets(1)) == [b"last"]


async def test_a_persistent_session_gets_what_it_missed_in_order(clients: Clients, mark: str) -> None:
    publisher = clients.make(f"p{mark}")
    reader = clients.make(f"r{mark}", clean_session=False)
    await publisher.connect()
    await reader.connect()
    await reader.subscribe(f"{mark}/#")
    await reader.disconnect()
    for number in range(20):
        await publisher.publish(f"{mark}/{number}", str(number).encode())
    again = clients.make(f"r{mark}", clean_session=False)
    await again.connect()
    assert payloads(await again.gets(20)) == [str(number).encode() for number in range(20)]
    assert (reader.session_present, again.session_present) == ([False], [True])


async def test_a_clean_session_forgets(clients: Clients, mark: str) -> None:
    publisher, reader = clients.make(f"p{mark}"), clients.make(f"r{mark}", clean_session=False)
    await publisher.connect()
    await reader.connect()
    await reader.subscribe(f"{mark}/#")
    await reader.disconnect()
    again = clients.make(f"r{mark}", clean_session=True)
    await again.connect()
    await publisher.publish(f"{mark}/missed", b"missed")
    await again.subscribe(f"{mark}/#")
    await publisher.publish(f"{mark}/seen", b"seen")
    assert payloads(await again.gets(1)) == [b"seen"]
    assert again.session_present == [False]


async def test_a_will_is_published_when_the_connection_is_cut_and_not_after_a_farewell(
    clients: Clients, mark: str
) -> None:
    reader = clients.make(f"r{mark}")
    await reader.connect()
    await reader.subscribe(f"{mark}/#")
    polite = clients.make(f"a{mark}", will=(f"{mark}/will", b"polite", 1, False))
    await polite.connect()
    await polite.disconnect()
    cut = clients.make(f"b{mark}", will=(f"{mark}/will", b"cut", 1, False))
    await cut.connect()
    cut.cut()
    assert payloads(await reader.gets(1)) == [b"cut"]


@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_each_quality_of_service_arrives_once_and_in_order(
    clients: Clients, mark: str, qos: int
) -> None:
    publisher, reader = clients.make(f"p{mark}"), clients.make(f"r{mark}")
    await publisher.connect()
    await reader.connect()
    await reader.subscribe(f"{mark}/#", qos=qos)
    for number in range(50):
        await publisher.publish(f"{mark}/x", str(number).encode(), qos)
    received = await reader.gets(50)
    assert payloads(received) == [str(number).encode() for number in range(50)]
    assert {one.qos for one in received} == {qos}


@pytest.mark.parametrize(
    ("filter_", "name", "matches"),
    [
        ("{}/+", "{}/a", True),
        ("{}/+", "{}/a/b", False),
        ("{}/#", "{}", True),
        ("{}/+/#", "{}", False),
        ("{}/+/b", "{}//b", True),
        ("{}/a/", "{}/a", False),
        ("+/{}/#", "/{}/x", True),
        ("#", "$test{}/x", False),
        ("+/x", "$test{}/x", False),
    ],
)
async def test_filters_match_as_the_standard_says(
    clients: Clients, mark: str, filter_: str, name: str, matches: bool
) -> None:
    publisher, reader = clients.make(f"p{mark}"), clients.make(f"r{mark}")
    await publisher.connect()
    await reader.connect()
    await reader.subscribe(filter_.format(mark))
    await reader.subscribe(f"{mark}-end")
    await publisher.publish(name.format(mark), b"asked")
    await publisher.publish(f"{mark}-end", b"end")
    await until(lambda: any(one.topic == f"{mark}-end" for one in reader.received))
    assert any(one.topic == name.format(mark) for one in reader.received) == matches


async def test_an_unsubscribed_filter_brings_nothing_more(clients: Clients, mark: str) -> None:
    publisher, reader = clients.make(f"p{mark}"), clients.make(f"r{mark}")
    await publisher.connect()
    await reader.connect()
    await reader.subscribe(f"{mark}/a", f"{mark}/b")
    await reader.unsubscribe(f"{mark}/a")
    await publisher.publish(f"{mark}/a", b"a")
    await publisher.publish(f"{mark}/b", b"b")
    assert payloads(await reader.gets(1)) == [b"b"]
