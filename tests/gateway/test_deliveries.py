"""Messages that transactions left to be published."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from msgspec import json

from directory import outbox
from directory.database import Database
from directory.outbox import OutboxRow
from gateway.deliveries import KIND, OWN_MS, WORKER, Deliveries, Left, delivery, leave
from gateway.exchange import NotConnected, PublishError, PublishRefused


class Wire:
    """A publisher that remembers, and fails as it is told to, by topic."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, object, int, bool]] = []
        self.faults: dict[str, Exception] = {}
        self.tries = 0
        self.changed = asyncio.Event()

    async def publish(self, topic: str, payload: bytes, qos: int = 1, retain: bool = False) -> None:
        self.tries += 1
        self.changed.set()
        if topic in self.faults:
            raise self.faults[topic]
        self.sent.append((topic, json.decode(payload), qos, retain))

    async def until(self, number: int) -> None:
        async with asyncio.timeout(10):
            while len(self.sent) < number:
                self.changed.clear()
                await self.changed.wait()


class Clock:
    def __init__(self) -> None:
        self.now_ms = 10_000

    def __call__(self) -> int:
        return self.now_ms


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def left(database: Database, clock: Clock, *topics: str, holder: str = "g1") -> list[Left]:
    """A transaction that leaves messages, numbered."""
    async with database.change("a", clock()) as change:
        for number, topic in enumerate(topics):
            leave(change, holder, topic, {"n": number}, retain=topic == "kept")
    messages = [
        delivery(topic, {"message": {"n": n}, "retain": topic == "kept"}) for n, topic in enumerate(topics)
    ]
    return [Left(outbox_id, one) for outbox_id, one in zip(change.outbox_ids, messages, strict=True)]


async def waiting(database: Database) -> list[OutboxRow]:
    async with database.read() as connection:
        return list(await outbox.pending(connection, WORKER))


async def until_none_waits(database: Database) -> None:
    async with asyncio.timeout(10):
        while await waiting(database):
            await asyncio.sleep(0.01)


@asynccontextmanager
async def running(deliveries: Deliveries) -> AsyncIterator[None]:
    task = asyncio.create_task(deliveries.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_what_is_committed_here_is_published_at_once_in_order(
    database: Database, wire: Wire, clock: Clock
) -> None:
    deliveries = Deliveries(database, wire, "g1", clock, sweep_s=60)
    async with running(deliveries):
        first = await left(database, clock, "b", "kept", "a", "b")
        deliveries.committed(first)
        deliveries.committed(await left(database, clock, "c"))
        async with asyncio.timeout(10):
            await deliveries.settled()
    assert wire.sent == [
        ("b", {"n": 0}, 1, False),
        ("kept", {"n": 1}, 1, True),
        ("a", {"n": 2}, 1, False),
        ("b", {"n": 3}, 1, False),
        ("c", {"n": 0}, 1, False),
    ]
    assert await waiting(database) == []
    assert deliveries.published == 5


async def test_what_another_left_is_taken_when_its_time_is_over_and_not_before(
    database: Database, wire: Wire, clock: Clock
) -> None:
    await left(database, clock, "a", holder="dead")
    deliveries = Deliveries(database, wire, "g2", clock)
    clock.now_ms += OWN_MS - 1
    assert await deliveries.sweep() == 0
    clock.now_ms += 1
    assert await deliveries.sweep() == 1
    assert wire.sent == [("a", {"n": 0}, 1, False)]
    assert await deliveries.sweep() == 0


async def test_messages_of_one_topic_are_taken_in_their_order(
    database: Database, wire: Wire, clock: Clock
) -> None:
    await left(database, clock, "a", "b", "a", "a", holder="dead")
    clock.now_ms += OWN_MS
    deliveries = Deliveries(database, wire, "g2", clock, sweep_s=0.01)
    async with running(deliveries):
        await wire.until(4)
    assert [message for topic, message, *_ in wire.sent if topic == "a"] == [{"n": 0}, {"n": 2}, {"n": 3}]


async def test_two_who_sweep_at_once_publish_each_message_once(
    database: Database, wire: Wire, clock: Clock
) -> None:
    await left(database, clock, *(f"t{number}" for number in range(40)), holder="dead")
    clock.now_ms += OWN_MS
    both = [Deliveries(database, wire, holder, clock) for holder in ("g1", "g2")]
    await asyncio.gather(*(one.sweep() for one in both))
    assert sorted(topic for topic, *_ in wire.sent) == sorted(f"t{number}" for number in range(40))


async def test_a_message_that_is_refused_is_given_up_and_holds_up_no_other(
    database: Database, wire: Wire, clock: Clock
) -> None:
    wire.faults["mchat/inbox/#"] = PublishRefused("mchat/inbox/#: no topic name")
    deliveries = Deliveries(database, wire, "g1", clock, sweep_s=0.01)
    async with running(deliveries):
        deliveries.committed(await left(database, clock, "mchat/inbox/#", "b"))
        await until_none_waits(database)
        tries = wire.tries
        clock.now_ms += 3_600_000
        deliveries.committed(await left(database, clock, "c"))
        await wire.until(2)
        await until_none_waits(database)
    assert [topic for topic, *_ in wire.sent] == ["b", "c"]
    assert (deliveries.refused, wire.tries - tries) == (1, 1)


async def test_without_a_connection_messages_wait_and_are_published_later(
    database: Database, wire: Wire, clock: Clock
) -> None:
    wire.faults["a"] = NotConnected("no connection to the broker")
    deliveries = Deliveries(database, wire, "g1", clock, sweep_s=60)
    async with running(deliveries):
        deliveries.committed(await left(database, clock, "a"))
        async with asyncio.timeout(10):
            await deliveries.settled()
    (row,) = await waiting(database)
    assert row.last_error == "no connection to the broker"
    assert await deliveries.sweep() == 0
    wire.faults.clear()
    clock.now_ms += OWN_MS
    assert await deliveries.sweep() == 1
    assert await waiting(database) == []


async def test_what_is_committed_later_does_not_overtake_what_waits_for_a_connection(
    database: Database, wire: Wire, clock: Clock
) -> None:
    """A profile that was changed twice must not be shown as it was in between."""
    wire.faults["a"] = NotConnected("no connection to the broker")
    deliveries = Deliveries(database, wire, "g1", clock, sweep_s=60)
    async with running(deliveries):
        deliveries.committed(await left(database, clock, "a"))
        await deliveries.settled()
        wire.faults.clear()
        deliveries.committed(await left(database, clock, "b", "a"))
        deliveries.committed(await left(database, clock, "b", "b", "a"))
        await deliveries.settled()
        assert [(topic, message) for topic, message, *_ in wire.sent] == [
            *(("b", {"n": 0}), ("b", {"n": 0}), ("b", {"n": 1})),
        ]
        clock.now_ms += OWN_MS
        for number in (0, 1, 2):
            assert await deliveries.sweep() == 1
            assert wire.sent[-1][:2] == ("a", {"n": number})
        deliveries.committed(await left(database, clock, "a"))
        await deliveries.settled()
    assert len(wire.sent) == 7, "and then it goes out at once again"


async def test_rows_of_other_kinds_are_left_alone(database: Database, wire: Wire, clock: Clock) -> None:
    async with database.change("enforcer", clock()) as change:
        change.enqueue(WORKER, "reconnect", "mchat_gateway_2", {"client_id": "mchat_gateway_2"})
    await left(database, clock, "a", holder="dead")
    clock.now_ms += OWN_MS
    assert await Deliveries(database, wire, "g1", clock).sweep() == 1
    assert [(row.kind, row.attempts) for row in await waiting(database)] == [("reconnect", 0)]


async def test_a_fault_ends_nothing(database: Database, wire: Wire, clock: Clock) -> None:
    wire.faults["a"] = PublishError("of no kind that is known")
    deliveries = Deliveries(database, wire, "g1", clock, sweep_s=0.01)
    async with running(deliveries):
        deliveries.committed(await left(database, clock, "a"))
        async with asyncio.timeout(10):
            await deliveries.settled()
        wire.faults.clear()
        clock.now_ms += OWN_MS
        await wire.until(1)


async def test_more_than_can_wait_is_left_to_the_sweep(database: Database, wire: Wire, clock: Clock) -> None:
    deliveries = Deliveries(database, wire, "g1", clock)
    (one,) = await left(database, clock, "a")
    deliveries.committed([one] * 10_001)
    async with asyncio.timeout(1):
        await deliveries.settled()
    clock.now_ms += OWN_MS
    assert await deliveries.sweep() == 1


async def test_the_rows_say_what_they_are(database: Database, clock: Clock) -> None:
    await left(database, clock, "kept")
    (row,) = await waiting(database)
    assert (row.worker, row.kind, row.subject) == (WORKER, KIND, "kept")
    assert row.payload == {"message": {"n": 0}, "retain": True}
