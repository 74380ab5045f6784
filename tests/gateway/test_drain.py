"""Gateways that stop, are told to connect anew, or are killed, while requests come."""

import asyncio
import json
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest

from gateway.link import Link
from tests.emqx.mqtt import MqttClient
from tests.emqx.waiting import until
from tests.gateway.brokers import Place
from tests.gateway.echo import Echo


class Load:
    """Clients that ask without end, each a few requests ahead of its answers."""

    def __init__(self, place: Place, clients: dict[str, MqttClient], ahead: int) -> None:
        self.place = place
        self.clients = clients
        self.sent = dict.fromkeys(clients, 0)
        self._ahead = ahead
        self._stopping = False

    @classmethod
    @asynccontextmanager
    async def running(cls, place: Place, number: int = 6, ahead: int = 8) -> AsyncIterator["Load"]:
        names = [f"c{one}" for one in range(number)]
        load = cls(place, {name: await place.client(name) for name in names}, ahead)
        tasks = [asyncio.create_task(load._ask(name)) for name in names]
        try:
            yield load
        finally:
            load._stopping = True
            await asyncio.gather(*tasks)

    @property
    def answered(self) -> int:
        return sum(len(client.received) for client in self.clients.values())

    async def more(self, number: int) -> None:
        """Wait for so many more answers."""
        wanted = self.answered + number
        await until(lambda: self.answered >= wanted)

    async def settled(self) -> None:
        """Ask nothing more, and wait for every answer."""
        self._stopping = True
        for name, client in self.clients.items():
            await until(partial(self._all_answered, name, client))

    def answers(self) -> Counter[str]:
        return Counter(one.topic for client in self.clients.values() for one in client.received)

    def _all_answered(self, name: str, client: MqttClient) -> bool:
        return len({one.topic for one in client.received}) >= self.sent[name]

    async def _ask(self, name: str) -> None:
        client = self.clients[name]
        while not self._stopping:
            if self.sent[name] - len(client.received) < self._ahead:
                seq = f"s{self.sent[name]}"
                self.sent[name] += 1
                client.paho.publish(self.place.request(name, seq), seq.encode(), 1)
            else:
                await asyncio.sleep(0.001)


def handled(*echoes: Echo) -> Counter[str]:
    return Counter(arrival.topic for echo in echoes for arrival in echo.asked)


async def test_one_of_two_that_stops_under_load_loses_and_doubles_nothing(place: Place) -> None:
    first, second = Echo(), Echo()
    stopping = await place.linked(first, instance="1", receive_maximum=16)
    await place.linked(second, instance="2", receive_maximum=16)
    async with Load.running(place) as load:
        await load.more(200)
        await stopping.stop()
        assert first.begun == first.done
        await load.more(200)
        await load.settled()
    assert set(load.answers().values()) == {1}
    assert set(handled(first, second).values()) == {1}
    assert len(first.asked) > 20


async def test_one_that_stops_takes_nothing_new_while_another_is_there(place: Place) -> None:
    first, second = Echo(), Echo()
    stopping = await place.linked(first, instance="1")
    await place.linked(second, instance="2")
    waiting = {name: await place.client(name) for name in [f"w{number}" for number in range(12)]}
    asking = {name: await place.client(name) for name in [f"a{number}" for number in range(12)]}
    asked = rounds = 0

    async def ask_all(clients: dict[str, MqttClient]) -> int:
        """Everybody asks once; how many of them the stopping one took."""
        nonlocal asked, rounds
        rounds += 1
        asked += len(clients)
        before = len(first.asked)
        for name, client in clients.items():
            await client.publish(place.request(name, f"s{rounds}"))
        await until(lambda: len(first.asked) + len(second.asked) >= asked)
        return len(first.asked) - before

    for name in waiting:
        first.hold(name)
    assert await ask_all(waiting) > 0
    stop = asyncio.create_task(stopping.stop())
    async with asyncio.timeout(30):
        # Until the broker has unsubscribed it: what it takes before that is not behind what waits in it.
        while await ask_all(asking):
            pass
    assert not stop.done()
    assert [await ask_all(asking) for _ in range(3)] == [0, 0, 0]
    for name in waiting:
        first.release(name)
    await stop
    for client in waiting.values():
        await client.gets(1)
    for client in asking.values():
        await client.gets(rounds - 1)


async def test_what_the_broker_has_queued_for_one_that_stops_is_finished_too(five: Place) -> None:
    echo = Echo()
    echo.hold("a")
    link = await five.linked(echo, receive_maximum=1)
    client = await five.client("a")
    for number in range(5):
        await client.publish(five.request("a", f"s{number}"), b"%d" % number)
    await echo.was_asked(1)
    stopping = asyncio.create_task(link.stop())
    await until(lambda: link._stopping)
    echo.release("a")
    await stopping
    assert [one.payload for one in await client.gets(5)] == [b"0", b"1", b"2", b"3", b"4"]


async def test_one_that_is_told_to_connect_anew_under_load_loses_and_doubles_nothing(place: Place) -> None:
    echo = Echo()
    link = await place.linked(echo, receive_maximum=16)
    async with Load.running(place) as load:
        for _ in range(3):
            await load.more(100)
            await link.reconnect()
        await load.more(100)
        await load.settled()
    assert (link.figures.connections, link.figures.lost) == (4, 0)
    assert set(load.answers().values()) == {1}
    assert set(handled(echo).values()) == {1}
    for name, topics in echo.by_client().items():
        assert topics == [f"s{number}" for number in range(load.sent[name])]


async def test_one_that_stops_finishes_what_is_in_hand_and_what_it_publishes(place: Place) -> None:
    echo = Echo()
    echo.hold("a")
    link = await place.linked(echo)
    published = asyncio.Event()
    link.settled = published.wait  # type: ignore[assignment]
    client = await place.client("a")
    for seq in ("s0", "s1"):
        await client.publish(place.request("a", seq), seq.encode())
    await echo.was_asked(1)
    stopping = asyncio.create_task(link.stop())
    # Nothing new is taken: a plain subscriber elsewhere would see it, the stopping gateway does not.
    await until(lambda: link._stopping)
    echo.release("a")
    assert [one.payload for one in await client.gets(2)] == [b"s0", b"s1"]
    assert not stopping.done()
    published.set()
    await stopping


async def test_after_a_stop_the_broker_keeps_nothing(place: Place) -> None:
    link = await place.linked(Echo())
    await link.stop()
    client = await place.client("a")
    await client.publish(place.request("a", "old"))
    echo = Echo()
    again = await place.linked(echo)
    await client.publish(place.request("a", "new"), b"new")
    await client.gets(1)
    assert echo.begun == ["new"]
    assert again.figures.greeting is not None
    assert not again.figures.greeting.session_present


async def test_what_a_stop_has_no_time_for_goes_to_the_next_process(five: Place) -> None:
    echo = Echo()
    echo.hold("a")
    link = await five.linked(echo, stop_time=0.2)
    client = await five.client("a")
    await client.publish(five.request("a", "s0"), b"s0")
    await echo.was_asked(1)
    await link.stop()
    assert (client.received, echo.done) == ([], [])
    again = Echo()
    await five.linked(again)
    assert [one.payload for one in await client.gets(1)] == [b"s0"]


async def test_stopping_without_a_broker_ends(place: Place) -> None:
    line = await place.line()
    line.down = True
    link: Link = place.link(port=line.port)
    link.start(Echo())
    await until(lambda: line.made > 0)
    async with asyncio.timeout(5):
        await link.stop()


async def test_a_connection_that_is_lost_while_stopping_ends_the_stop(place: Place) -> None:
    echo = Echo()
    echo.hold("a")
    line = await place.line()
    link = await place.linked(echo, port=line.port, stop_time=30)
    client = await place.client("a")
    await client.publish(place.request("a", "s0"), b"s0")
    await echo.was_asked(1)
    stopping = asyncio.create_task(link.stop())
    await until(lambda: link._stopping)
    line.down = True
    line.cut()
    echo.release("a")
    async with asyncio.timeout(5):
        await stopping


@pytest.mark.parametrize("ends", [signal.SIGKILL, signal.SIGTERM], ids=["SIGKILL", "SIGTERM"])
async def test_a_process_that_ends_and_comes_back_loses_nothing(place: Place, ends: signal.Signals) -> None:
    """With MQTT 3.1.1 the new process begins anew (nobody knows how old the rest is): clients ask again."""
    wanted = place.settings(receive_maximum=32).model_dump(mode="json", exclude={"token"})
    argument = json.dumps({**wanted, "prefix": place.prefix})
    command = [sys.executable, "-m", "tests.gateway.echo_process", argument]
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdout=pipe)
    try:
        await is_up(process)
        async with Load.running(place, number=3) as load:
            await load.more(100)
            process.send_signal(ends)
            await process.wait()
            process = await asyncio.create_subprocess_exec(*command, stdout=pipe)
            await is_up(process)
            if place.protocol != "5" or ends is signal.SIGTERM:
                ask_again(load)
            await load.more(100)
            await load.settled()
        if ends is signal.SIGKILL:
            assert set(load.answers().values()) <= {1, 2}
    finally:
        process.terminate()
        await process.wait()


async def is_up(process: asyncio.subprocess.Process) -> None:
    assert process.stdout is not None
    async with asyncio.timeout(20):
        while await process.stdout.readline() != b"up\n":
            assert process.returncode is None


def ask_again(load: Load) -> None:
    for name, client in load.clients.items():
        answered = {one.topic.rpartition("/")[2] for one in client.received}
        for number in range(load.sent[name]):
            if (seq := f"s{number}") not in answered:
                client.paho.publish(load.place.request(name, seq), seq.encode(), 1)
