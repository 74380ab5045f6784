"""Projections: when they are published, what of, put back once a second at most, never two of a person under way."""

import asyncio
import json
from collections.abc import Sequence
from typing import cast

import pytest
from prometheus_client import CollectorRegistry

from acl_service.presence.counters import Counters
from acl_service.presence.following import Following
from acl_service.presence.hearing import Hearing
from acl_service.presence.projection import APART_MS, INSISTENT, Projector
from directory import standing
from directory.database import Database
from directory.events import EventRow
from directory.standing import PersonRow
from emqx.api.broker import BrokerApi
from emqx.api.errors import Unreachable
from emqx.api.publishing import Message
from tests.acl_service.presence.telling import connected, disconnected, published, store

GRACE_MS = 5_000
STATUS = "svc/mchat/status/"


class Broker:
    """A broker that takes what is published, or does not; what it took comes back as an event, as EMQX tells it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.publishing = self
        self.taken: list[Message] = []
        self.fault: Exception | None = None
        self.held: asyncio.Event | None = None
        self.under_way: list[str] = []
        self.echoing = True

    async def publish_many(self, messages: Sequence[Message]) -> None:
        topics = [one.topic for one in messages]
        assert not set(topics) & set(self.under_way), "two projections of a person are under way"
        self.under_way += topics
        try:
            if self.held is not None:
                await self.held.wait()
            if self.fault is not None:
                raise self.fault
            self.taken += messages
            if self.echoing:
                await store(self._database, [self.echo(one) for one in messages])
        finally:
            for topic in topics:
                self.under_way.remove(topic)

    def echo(self, message: Message) -> EventRow:
        return published("http_api", message.topic, str(message.payload))


class Projected:
    """Events followed and projected onto a broker, by a clock in the hand of the test."""

    def __init__(self, database: Database, broker: Broker | None = None) -> None:
        self.database = database
        self.now_ms = 1_795_250_495_515
        self.registry = CollectorRegistry()
        self.broker = broker or Broker(database)
        counters = Counters(self.registry)
        self.projector = Projector(
            database,
            cast(BrokerApi, self.broker),
            "svc",
            counters,
            grace_ms=GRACE_MS,
            now_ms=lambda: self.now_ms,
            sleep=asyncio.sleep,
        )
        self.following = Following(
            database,
            Hearing("svc"),
            self.projector.contradicts,
            counters,
            now_ms=lambda: self.now_ms,
            sleep=asyncio.sleep,
        )

    async def hear(self, *rows: EventRow) -> None:
        await store(self.database, rows)
        await self.settle()

    async def settle(self) -> None:
        """Do all that is to be done now."""
        while await self.following.step() or await self.projector.step():
            pass

    async def later(self, ms: int) -> None:
        self.now_ms += ms
        await self.settle()

    @property
    def statuses(self) -> list[str]:
        return [json.loads(one.payload)["status"] for one in self.broker.taken]

    async def person(self, employee_id: str = "ann") -> PersonRow:
        async with self.database.read() as connection:
            return (await standing.people(connection, [employee_id]))[employee_id]

    def count(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(name, labels) or 0.0


@pytest.fixture
def projected(database: Database) -> Projected:
    return Projected(database)


def forged(payload: str = '{"status":"offline"}', client_id: str = "ann_phone") -> EventRow:
    return published(client_id, STATUS + "ann", payload)


async def test_a_projection_says_what_the_design_says(projected: Projected) -> None:
    await projected.hear(
        connected("ann_pc", projected.now_ms - 15), connected("ann_phone", projected.now_ms - 15)
    )
    (message,) = projected.broker.taken
    assert (message.topic, message.qos, message.retain) == ("svc/mchat/status/ann", 1, True)
    assert json.loads(message.payload) == {
        "status": "online",
        "updated_at": "2026-11-21T08:41:35.515Z",
        "last_seen": "2026-11-21T08:41:35.500Z",
        "devices": 2,
        "version": 1,
    }
    person = await projected.person()
    assert (person.published, person.due_at, person.version, person.devices) == (True, None, 1, 2)


async def test_it_is_written_only_when_the_status_changes(projected: Projected) -> None:
    now = projected.now_ms
    await projected.hear(connected("ann_pc", now))
    await projected.later(5_000)
    await projected.hear(connected("ann_phone", now + 1), disconnected("ann_pc", now, now + 2))
    await projected.later(60_000)
    assert projected.statuses == ["online"]
    await projected.hear(disconnected("ann_phone", now + 1, now + 3, "normal"))
    assert projected.statuses == ["online", "offline"]
    assert json.loads(projected.broker.taken[1].payload)["version"] == 2


async def test_online_is_told_at_once_and_an_end_that_nobody_meant_after_the_grace_time(
    projected: Projected,
) -> None:
    epoch = projected.now_ms
    await projected.hear(connected("ann_pc", epoch))
    await projected.later(60_000)
    await projected.hear(disconnected("ann_pc", epoch, projected.now_ms))
    await projected.later(GRACE_MS - 1)
    assert projected.statuses == ["online"]
    await projected.later(1)
    assert projected.statuses == ["online", "offline"]
    last_seen = json.loads(projected.broker.taken[1].payload)["last_seen"]
    assert last_seen == "2026-11-21T08:42:35.515Z"


async def test_who_comes_back_within_the_grace_time_was_never_away(projected: Projected) -> None:
    epoch = projected.now_ms
    await projected.hear(connected("ann_pc", epoch))
    for _ in range(5):
        await projected.hear(disconnected("ann_pc", epoch, projected.now_ms))
        await projected.later(GRACE_MS - 1)
        epoch = projected.now_ms
        await projected.hear(connected("ann_pc", epoch))
    await projected.later(60_000)
    assert projected.statuses == ["online"]


async def test_flaps_that_are_told_at_once_are_coalesced(projected: Projected) -> None:
    await projected.hear(connected("ann_pc", 10))
    for number in range(20):
        epoch = 20 + 2 * number
        await projected.hear(
            disconnected("ann_pc", epoch - 1, epoch, "normal"), connected("ann_pc", epoch + 1)
        )
        await projected.hear(disconnected("ann_pc", epoch + 1, epoch + 1, "normal"))
        await projected.later(100)
    await projected.later(APART_MS)
    assert len(projected.broker.taken) <= 4
    assert projected.statuses[-1] == "offline"


async def test_one_devices_will_turns_nobody_off_and_is_put_right(projected: Projected) -> None:
    await projected.hear(connected("ann_pc", 10), connected("ann_phone", 10))
    await projected.later(60_000)
    await projected.hear(forged(), disconnected("ann_phone", 10, 20))
    first, again = projected.broker.taken
    assert again == first, "byte for byte"
    await projected.later(60_000)
    assert projected.statuses == ["online", "online"], "its own publish is no contradiction"
    assert projected.count("mchat_presence_published_total", why="contradicted") == 1


async def test_the_will_of_the_last_device_keeps_nobody_on_beyond_the_grace_time(
    projected: Projected,
) -> None:
    epoch = projected.now_ms
    await projected.hear(connected("ann_phone", epoch))
    await projected.later(60_000)
    await projected.hear(disconnected("ann_phone", epoch, projected.now_ms), forged())
    assert projected.statuses == ["online", "online"], "whoever comes back in time was never away"
    await projected.later(GRACE_MS - 1)
    assert projected.statuses == ["online", "online"]
    await projected.later(1)
    assert projected.statuses == ["online", "online", "offline"]


async def test_a_late_event_of_an_earlier_projection_is_no_contradiction(projected: Projected) -> None:
    broker = projected.broker
    broker.echoing = False
    await projected.hear(connected("ann_pc", 10))
    await projected.later(60_000 - APART_MS - 1)
    await projected.hear(disconnected("ann_pc", 10, 20, "normal"))
    await projected.hear(*(broker.echo(one) for one in broker.taken))
    await projected.later(60_000)
    assert projected.statuses == ["online", "offline"]
    # The twin: the same bytes once more are somebody else's.
    await projected.hear(broker.echo(broker.taken[0]))
    assert projected.statuses == ["online", "offline", "offline"]


async def test_a_client_that_answers_each_projection_costs_one_a_second_and_is_reported(
    projected: Projected, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    await projected.hear(connected("ann_phone", 10))
    for _ in range(100):
        await projected.hear(forged(), forged('{"status":"busy"}'))
        await projected.later(100)
    assert 9 <= len(projected.broker.taken) <= 11
    assert projected.count("mchat_presence_contradictions_total") == 200
    assert projected.count("mchat_presence_insistent_total") >= 1
    assert "ann_phone" in capsys.readouterr().out + caplog.text
    await projected.later(APART_MS)
    assert projected.statuses[-1] == "online"
    person = await projected.person()
    assert person.contradicted_at is None


async def test_a_few_contradictions_are_reported_of_nobody(projected: Projected) -> None:
    await projected.hear(connected("ann_phone", 10))
    for _ in range(INSISTENT - 1):
        await projected.later(APART_MS)
        await projected.hear(forged())
    assert len(projected.broker.taken) == INSISTENT
    assert projected.count("mchat_presence_insistent_total") == 0


async def test_a_broker_that_is_away_gets_the_newest_when_it_is_back(projected: Projected) -> None:
    projected.broker.fault = Unreachable("POST /publish/bulk", "connection refused", "see that it runs")
    await projected.hear(connected("ann_pc", 10), connected("bob_pc", 10, "bob"))
    assert not (await projected.person()).published
    await projected.hear(disconnected("ann_pc", 10, 20, "normal"))
    projected.broker.fault = None
    await projected.later(APART_MS)
    sent = {one.topic: json.loads(one.payload)["status"] for one in projected.broker.taken}
    assert sent == {STATUS + "ann": "offline", STATUS + "bob": "online"}
    assert len(projected.broker.taken) == 2


async def test_a_projection_that_failed_and_arrives_late_is_put_right(projected: Projected) -> None:
    broker = projected.broker
    broker.fault = Unreachable("POST /publish/bulk", "no answer in time", "see that it runs")
    await projected.hear(connected("ann_pc", 10))
    late = (await projected.person()).payload
    broker.fault = None
    await projected.hear(disconnected("ann_pc", 10, 20, "normal"))
    await projected.later(APART_MS)
    assert projected.statuses == ["offline"]
    # It had reached the broker after all, behind the one that came after it.
    await projected.hear(published("http_api", STATUS + "ann", late))
    await projected.later(APART_MS)
    assert projected.statuses == ["offline", "offline"]


async def test_another_worker_goes_on_with_what_was_not_published(projected: Projected) -> None:
    broker = projected.broker
    broker.held = asyncio.Event()
    await store(projected.database, [connected("ann_pc", 10)])
    await projected.following.step()
    task = asyncio.create_task(projected.projector.step())
    while not broker.under_way:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    stored = await projected.person()
    assert (stored.published, stored.version) == (False, 1)
    broker.held = None
    other = Projected(projected.database, broker)
    await other.settle()
    assert [one.payload for one in broker.taken] == [stored.payload]
    assert (await other.person()).published


async def test_what_is_heard_while_it_is_published_is_not_lost(projected: Projected) -> None:
    broker = projected.broker
    broker.held = asyncio.Event()
    await store(projected.database, [connected("ann_pc", 10)])
    await projected.following.step()
    task = asyncio.create_task(projected.projector.step())
    while not broker.under_way:
        await asyncio.sleep(0)
    await store(projected.database, [disconnected("ann_pc", 10, 20, "normal")])
    await projected.following.step()
    broker.held.set()
    await task
    await projected.later(APART_MS)
    assert projected.statuses == ["online", "offline"]


async def test_a_client_id_that_changes_hands_is_its_former_owners_no_more(projected: Projected) -> None:
    await projected.hear(connected("ann_pc", 10))
    await projected.later(APART_MS)
    await projected.hear(connected("ann_pc", 20, "ann_pc"))
    told = [(one.topic, json.loads(one.payload)["status"]) for one in projected.broker.taken[1:]]
    assert sorted(told) == [(STATUS + "ann", "offline"), (STATUS + "ann_pc", "online")]


async def test_many_people_are_told_in_batches(projected: Projected) -> None:
    await projected.hear(*(connected(f"p{number}_pc", 10, f"p{number}") for number in range(450)))
    assert len({one.topic for one in projected.broker.taken}) == len(projected.broker.taken) == 450


async def test_a_clock_that_is_set_back_holds_nobody_up(projected: Projected) -> None:
    await projected.hear(connected("ann_pc", 10))
    projected.now_ms -= 3_600_000
    await projected.hear(disconnected("ann_pc", 10, 20, "normal"))
    await projected.later(APART_MS)
    assert projected.statuses == ["online", "offline"]
