"""Events taken in from the database: devices, history, sessions, subscriptions, people; on both databases."""

import asyncio
import time
from dataclasses import replace
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from acl_service.presence.counters import Counters
from acl_service.presence.echoes import Echoes
from acl_service.presence.following import LATE_MS, MOST_MISSING, READ, Following
from acl_service.presence.hearing import Hearing, Said
from directory import presence, sessions, standing, subscriptions
from directory.database import Database
from directory.errors import Unavailable
from directory.events import EventRow
from directory.sessions import SessionRow
from directory.standing import PersonRow
from tests.acl_service.presence.telling import (
    NODE,
    connected,
    disconnected,
    published,
    store,
    store_as,
    subscribed,
    unsubscribed,
)
from tests.directory.company import know

STATUS = "mchat/status/ann"


class Followed:
    """What follows, with a clock in the hand of the test."""

    def __init__(self, database: Database, service: str = "") -> None:
        self.database = database
        self.now_ms = 1_000
        self.registry = CollectorRegistry()
        self.echoes = Echoes()
        self.following = Following(
            database,
            Hearing(service),
            self._contradicts,
            Counters(self.registry),
            now_ms=lambda: self.now_ms,
            sleep=asyncio.sleep,
        )

    def _contradicts(self, person: PersonRow, said: Said) -> bool:
        return self.echoes.contradicts(person, said, self.now_ms)

    async def take(self, *rows: EventRow) -> None:
        await store(self.database, rows)
        while await self.following.step():
            pass

    async def device(self, client_id: str = "ann_pc") -> presence.DeviceRow | None:
        async with self.database.read() as connection:
            return (await presence.devices(connection, [client_id])).get(client_id)

    async def history(self) -> list[tuple[str, int, str]]:
        async with self.database.read() as connection:
            found = await presence.history_of(connection, "ann")
        return [(one.kind, one.epoch, one.reason) for one in reversed(found)]

    async def person(self, employee_id: str = "ann") -> PersonRow | None:
        async with self.database.read() as connection:
            return (await standing.people(connection, [employee_id])).get(employee_id)

    async def session(self, client_id: str = "ann_pc") -> SessionRow:
        async with self.database.read() as connection:
            return (await sessions.of_clients(connection, [client_id]))[client_id]

    def count(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(name, labels) or 0.0


@pytest.fixture
def followed(database: Database) -> Followed:
    return Followed(database)


async def test_a_client_that_comes_and_goes(followed: Followed) -> None:
    await know(followed.database, "ann_pc", employee_id="ann")
    await followed.take(connected("ann_pc", 10))
    device = await followed.device()
    assert device is not None
    assert (device.online, device.employee_id, device.source, device.updated_at) == (
        True,
        "ann",
        "event",
        1_000,
    )
    assert (await followed.session()).online
    followed.now_ms = 2_000
    await followed.take(disconnected("ann_pc", 10, 20))
    session = await followed.session()
    assert (session.online, session.reason, session.connected_at, session.node) == (
        False,
        "tcp_closed",
        10,
        NODE,
    )
    assert await followed.history() == [("online", 10, ""), ("offline", 10, "tcp_closed")]
    person = await followed.person()
    assert person is not None
    assert (person.due_at, person.heard) == (2_000, 2)


async def test_the_same_events_again_change_nothing(followed: Followed) -> None:
    told = [connected("ann_pc", 10), disconnected("ann_pc", 10, 20), connected("ann_pc", 30)]
    await followed.take(*told)
    before = await followed.device(), await followed.history(), await followed.person()
    await followed.take(*told, *told)
    assert (await followed.device(), await followed.history(), await followed.person()) == before
    assert followed.count("mchat_presence_facts_total", kind="stale") > 0


async def test_whose_a_device_is_the_session_row_says_where_the_event_does_not(followed: Followed) -> None:
    await know(followed.database, "bob_pc", employee_id="bob")
    await followed.take(
        connected("bob_pc", 10, None), connected("stranger", 10, None), connected("x", 10, "../x")
    )
    found = {name: await followed.device(name) for name in ("bob_pc", "stranger", "x")}
    assert {name: one and one.employee_id for name, one in found.items()} == {
        "bob_pc": "bob",
        "stranger": None,
        "x": None,
    }
    assert await followed.person("bob") is not None
    # Its end does not say it either, and is no other's.
    await followed.take(disconnected("bob_pc", 10, 20, employee_id=None))
    gone = await followed.device("bob_pc")
    assert gone is not None
    assert (gone.employee_id, gone.online) == ("bob", False)


async def test_whose_a_device_is_stays_known_where_nothing_says_it(followed: Followed) -> None:
    await followed.take(connected("ann_pc", 10))
    await followed.take(disconnected("ann_pc", 10, 20, employee_id=None), connected("ann_pc", 30, None))
    device = await followed.device()
    assert device is not None
    assert (device.employee_id, device.online) == ("ann", True)
    # The twin: whoever is told is believed.
    await followed.take(connected("ann_pc", 40, "bob"))
    device = await followed.device()
    assert device is not None
    assert device.employee_id == "bob"


async def test_a_session_row_that_is_written_after_its_event_is_corrected_too(followed: Followed) -> None:
    await followed.take(connected("ann_pc", 10))
    await know(followed.database, "ann_pc", employee_id="ann")
    await followed.take()
    assert not (await followed.session()).online
    followed.now_ms += 300
    await followed.take()
    assert (await followed.session()).online


async def test_subscriptions_are_those_of_the_session_that_lasts(followed: Followed) -> None:
    async def filters() -> list[str]:
        async with followed.database.read() as connection:
            found = await subscriptions.of_clients(connection, ["ann_pc"])
        return [one.filter for one in found.get("ann_pc", ())]

    await followed.take(
        connected("ann_pc", 10),
        subscribed("ann_pc", "$share/g/a/+", 11),
        unsubscribed("ann_pc", "b", 14),
        subscribed("ann_pc", "b", 12),
        subscribed("ann_pc", "c", 13),
    )
    assert await filters() == ["$share/g/a/+", "c"]
    await followed.take(
        disconnected("ann_pc", 10, 20), connected("ann_pc", 30), subscribed("ann_pc", "d", 31)
    )
    assert await filters() == ["$share/g/a/+", "c", "d"], "a session that is resumed has them still"
    await followed.take(subscribed("ann_pc", "e", 41), connected("ann_pc", 40, clean_start=True))
    assert await filters() == ["e"]


async def test_what_others_publish_is_a_contradiction_and_ours_is_not(followed: Followed) -> None:
    await followed.take(published("ann_pc", STATUS, "of nobody known"))
    await followed.take(connected("ann_pc", 10))
    seen = {"ann": PersonRow(employee_id="ann", heard=1)}
    projected = replace(seen["ann"], status="online", payload="ours", published=True)
    async with followed.database.write() as connection:
        await standing.store(connection, [projected], seen=seen)
    before = await followed.person()
    assert before is not None
    assert before.payload == "ours"
    followed.now_ms = 3_000
    await followed.take(
        published("http_api", STATUS, "ours"),
        published("ann_pc", "svc/" + STATUS, "forged"),
        published("ann_pc", "mchat/status/nobody", "forged"),
        published("ann_pc", "mchat/status/ann/x", "forged"),
    )
    assert await followed.person() == before
    await followed.take(published("ann_pc", STATUS, "forged"), published("ann_pc", STATUS, ""))
    person = await followed.person()
    assert person is not None
    assert (person.contradicted_at, person.due_at) == (3_000, 3_000)
    assert followed.count("mchat_presence_contradictions_total") == 2
    assert await followed.person("nobody") is None


async def test_topics_begin_with_the_service(database: Database) -> None:
    said = Hearing("svc").of([published("a", "svc/mchat/status/ann", "x"), published("a", STATUS, "y")]).said
    assert said == [Said("ann", "a", "x")]


async def test_events_that_say_nothing_are_counted_and_hold_up_nobody(followed: Followed) -> None:
    broken = [
        replace(connected("ann_pc", 10), epoch=None),
        replace(subscribed("ann_pc", "a", 5), body="{"),
        replace(connected("ann_pc", 10), kind="client.other"),
        subscribed("ann_pc", "a", 1 << 62),
        subscribed("ann_pc", "a", 5, qos=1 << 62),
    ]
    await followed.take(*broken, connected("bob_pc", 10))
    assert await followed.device("bob_pc") is not None
    assert followed.count("mchat_presence_events_total", use="unread") == len(broken)


async def test_an_event_committed_after_greater_numbers_is_taken_in(followed: Followed) -> None:
    await followed.take(connected("ann_pc", 10))
    await store_as(followed.database, 4, connected("ann_c", 10))
    await followed.take()
    async with followed.database.read() as connection:
        assert await presence.place(connection) == 1, "whoever takes over must read them too"
    await store_as(followed.database, 3, connected("ann_b", 10))
    await followed.take()
    assert await followed.device("ann_b") is not None
    assert followed.count("mchat_presence_events_total", use="late") == 1
    # The other number was rolled back: it is not waited for for ever.
    followed.now_ms += LATE_MS
    await followed.take()
    async with followed.database.read() as connection:
        assert await presence.place(connection) == 4


async def test_whoever_takes_over_reads_what_was_missing(followed: Followed) -> None:
    await followed.take(connected("ann_pc", 10))
    await store_as(followed.database, 3, connected("ann_c", 10))
    await followed.take()
    await store_as(followed.database, 2, connected("ann_b", 10))
    other = Followed(followed.database)
    await other.take()
    assert await other.device("ann_b") is not None
    # The first one notices, and goes on from where the other stands.
    await store_as(followed.database, 4, connected("ann_d", 10))
    await followed.take()
    await followed.take()
    assert await followed.device("ann_d") is not None
    async with followed.database.read() as connection:
        assert await presence.place(connection) == 4


async def test_a_gap_of_deleted_events_is_not_looked_for(followed: Followed) -> None:
    await followed.take(connected("ann_pc", 10))
    await store_as(followed.database, 10 + MOST_MISSING, connected("ann_b", 10))
    await followed.take()
    async with followed.database.read() as connection:
        assert await presence.place(connection) == 10 + MOST_MISSING


async def test_before_the_first_event_nothing_is_looked_for(followed: Followed) -> None:
    # Those before it were deleted, or never were: on PostgreSQL numbers are lost with what is rolled back.
    await store_as(followed.database, 7, connected("ann_pc", 10))
    await followed.take()
    async with followed.database.read() as connection:
        assert await presence.place(connection) == 7


async def test_a_batch_that_fails_is_read_again(followed: Followed, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(*_: Any, **__: Any) -> None:
        raise Unavailable("the disk is full")

    await store(followed.database, [connected("ann_pc", 10)])
    with monkeypatch.context() as broken:
        broken.setattr(subscriptions, "store", fails)
        with pytest.raises(Unavailable):
            await followed.following.step()
    assert await followed.device() is None
    await followed.take()
    assert await followed.device() is not None


async def test_two_thousand_events_a_second_are_taken_in(followed: Followed) -> None:
    rows: list[EventRow] = []
    for number in range(2_000):
        client_id, epoch = f"ann{number % 500}_pc", 1_000 + number
        rows.append(connected(client_id, epoch, f"ann{number % 500}", clean_start=True))
        rows.append(subscribed(client_id, f"mchat/msg/resp/{client_id}/+", epoch + 1))
        if number % 2:
            rows.append(disconnected(client_id, epoch, epoch + 2))
    await know(followed.database, *(f"ann{number}_pc" for number in range(500)), employee_id="ann0")
    await store(followed.database, rows)
    began = time.perf_counter()
    while await followed.following.step() >= READ:
        pass
    rate = len(rows) / (time.perf_counter() - began)
    print(f"presence.events.rate {followed.database.dialect} {rate:,.0f}/s")
    assert rate >= 2_000
