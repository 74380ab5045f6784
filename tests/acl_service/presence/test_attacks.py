"""Presence under attack: clocks gone mad, ids and payloads made to break it, floods, one person who spoils it for all.

Each attack has a twin that is allowed, or is followed by what must go on as if nothing had been.
"""

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import msgspec
import pytest
from prometheus_client import CollectorRegistry
from sqlalchemy import func, select

from acl_service.presence import excess, following
from acl_service.presence.counters import Counters
from acl_service.presence.excess import EVERY, Excess
from acl_service.presence.hearing import AHEAD_MS, LAST_MS, Hearing
from acl_service.presence.intruders import Intruders
from acl_service.presence.projection import APART_MS
from acl_service.presence.reconcile import Findings, Reconciler
from directory import people, presence, schema, subscriptions
from directory.database import Database
from directory.events import EventRow
from emqx.api.broker import BrokerApi
from emqx.api.errors import Busy, Rejected
from emqx.api.publishing import Message
from tests.acl_service.presence.listed import OURS, ListedBroker, client
from tests.acl_service.presence.telling import (
    came,
    connected,
    disconnected,
    published,
    store,
    subscribed,
    unsubscribed,
)
from tests.acl_service.presence.test_projection import STATUS, Broker, Projected, forged
from tests.directory.company import hire, know

HOUR_MS = 3_600_000
YEAR_MS = 365 * 24 * HOUR_MS


class Attacked(Projected):
    """Events followed and projected, and a broker whose list is compared."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.list = ListedBroker()
        api, counters = cast(BrokerApi, self.list), Counters(CollectorRegistry())
        self.reconciler = Reconciler(
            database, api, Intruders(database, api, counters), counters, lambda: self.now_ms
        )

    async def reconcile(self) -> Findings:
        """A moment after what was heard."""
        self.now_ms += 1_000
        found = await self.reconciler.reconcile()
        await self.settle()
        return found

    async def is_on(self, client_id: str = "ann_pc") -> bool:
        async with self.database.read() as connection:
            return (await presence.devices(connection, [client_id]))[client_id].online

    async def count_rows(self, table: Any) -> int:
        async with self.database.read() as connection:
            return await connection.scalar(select(func.count()).select_from(table)) or 0


@pytest.fixture
async def attacked(database: Database) -> Attacked:
    await hire(database, "ann", "bob")
    return Attacked(database)


# -- clocks -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ahead_ms", [2 * HOUR_MS, 1_000 * YEAR_MS])
async def test_one_event_of_a_clock_that_is_ahead_keeps_nobody_off(attacked: Attacked, ahead_ms: int) -> None:
    await know(attacked.database, "ann_pc", employee_id="ann")
    wrong = attacked.now_ms + ahead_ms
    await attacked.hear(connected("ann_pc", wrong), disconnected("ann_pc", wrong, wrong + 5, "normal"))
    # The clock is right again.
    epoch = attacked.now_ms + 1
    await attacked.later(10)
    await attacked.hear(connected("ann_pc", epoch))
    attacked.list.there = [client("ann_pc", epoch)]
    await attacked.reconcile()
    assert await attacked.is_on()
    assert attacked.statuses[-1] == "online"
    # And from now on its events do as ever.
    await attacked.later(APART_MS)
    await attacked.hear(disconnected("ann_pc", epoch, attacked.now_ms, "normal"))
    assert not await attacked.is_on()
    assert attacked.statuses[-1] == "offline"


@pytest.mark.parametrize("ahead_ms", [2 * HOUR_MS, 1_000 * YEAR_MS])
async def test_one_event_of_a_clock_that_is_ahead_keeps_nobody_on(attacked: Attacked, ahead_ms: int) -> None:
    await attacked.hear(connected("ann_pc", attacked.now_ms + ahead_ms))
    assert attacked.statuses == ["online"]
    await attacked.reconcile()
    assert not await attacked.is_on()
    assert attacked.statuses == ["online", "offline"]
    # Whoever comes by the right clock comes at once, and need not wait for a reconciliation.
    await attacked.later(APART_MS)
    await attacked.hear(connected("ann_pc", attacked.now_ms))
    assert await attacked.is_on()
    assert attacked.statuses[-1] == "online"


async def test_a_clock_that_is_always_ahead_does_no_harm(attacked: Attacked) -> None:
    await know(attacked.database, "ann_pc", "ann_phone", employee_id="ann")
    wrong = attacked.now_ms + 2 * HOUR_MS
    await attacked.hear(connected("ann_pc", wrong), connected("ann_phone", wrong))
    attacked.list.there = [client("ann_pc", wrong), client("ann_phone", wrong)]
    assert (await attacked.reconcile()).went == 0
    await attacked.hear(disconnected("ann_phone", wrong, wrong + 3_000, "normal"))
    assert (await attacked.is_on(), await attacked.is_on("ann_phone")) == (True, False)
    del attacked.list.there[1]
    await attacked.reconcile()
    assert (await attacked.is_on(), await attacked.is_on("ann_phone")) == (True, False)


async def test_nobody_was_seen_later_than_now(attacked: Attacked) -> None:
    now = attacked.now_ms
    await attacked.hear(connected("ann_pc", now + 1_000 * YEAR_MS))
    assert (await attacked.person()).last_seen_at == now
    await attacked.later(5)
    await attacked.hear(connected("ann_phone", now + 5))
    assert (await attacked.person()).last_seen_at == now + 5
    # Nor does it go back when our own clock does (rule 7).
    attacked.now_ms = now - 500
    await attacked.hear(disconnected("ann_phone", now + 5, now + 7, "normal"))
    assert (await attacked.person()).last_seen_at == now + 5
    async with attacked.database.read() as connection:
        assert (await presence.devices(connection, ["ann_phone"]))["ann_phone"].last_seen_at == now + 5


@pytest.mark.parametrize("moment", [LAST_MS + 1, (1 << 53) - 1])
async def test_a_moment_that_no_calendar_holds_is_no_moment(attacked: Attacked, moment: int) -> None:
    now = attacked.now_ms
    await attacked.hear(
        connected("ann_pc", moment),
        disconnected("ann_phone", now, moment),
        disconnected("ann_tablet", moment, now),
        replace(subscribed("ann_pc", "a", 5), body=json.dumps({"timestamp": moment})),
        connected("bob_pc", now, "bob"),
    )
    assert attacked.count("mchat_presence_events_total", use="unread") == 4
    assert [one.topic for one in attacked.broker.taken] == [STATUS + "bob"]
    # The twin: the last moment that there is.
    await attacked.hear(connected("ann_pc", LAST_MS))
    assert attacked.statuses[-1] == "online"


async def test_a_connection_from_before_there_was_time_is_older_than_any_other(attacked: Attacked) -> None:
    await attacked.hear(connected("ann_pc", 0))
    assert await attacked.is_on()
    await attacked.hear(connected("ann_pc", attacked.now_ms), disconnected("ann_pc", 0, 1, "normal"))
    assert await attacked.is_on()


@pytest.mark.parametrize("moment", ["-1", str(1 << 63), "1e400", '"soon"', "1.5", "true"])
def test_what_is_no_moment_is_refused_at_the_door(moment: str) -> None:
    raw = '{"event":"client.connected","clientid":"a","connected_at":%s}'
    with pytest.raises(msgspec.MsgspecError):
        came((raw % moment).encode(), 1)
    assert came((raw % "7").encode(), 1).epoch == 7


async def test_a_subscription_of_a_clock_that_is_ahead_can_end(attacked: Attacked) -> None:
    async def filters() -> set[str]:
        async with attacked.database.read() as connection:
            return {
                one.filter
                for some in (await subscriptions.of_clients(connection, ["ann_pc"])).values()
                for one in some
            }

    def heard(row: EventRow) -> EventRow:
        return replace(row, received_at=attacked.now_ms)

    now = attacked.now_ms
    await attacked.hear(
        heard(subscribed("ann_pc", "a", now + YEAR_MS)), heard(subscribed("ann_pc", "b", now))
    )
    assert await filters() == {"a", "b"}
    await attacked.later(AHEAD_MS + 1)
    await attacked.hear(heard(unsubscribed("ann_pc", "a", attacked.now_ms)))
    assert await filters() == {"b"}


# -- ids and payloads ---------------------------------------------------------------------------------

ODD = {
    "long": "ann_" + "x" * 252,
    "longer": "ann_" + "x" * 60_000,
    "umlauts": "ann_" + "ü" * 126,
    "nul": "ann_\0pc",
    "control": "ann_\x1b[2J\r\n",
    "separators": "ann_/+#$",
    "line": "ann_\u2028\ufeff",
    "quotes": "ann_';--\"\\",
    "empty": "",
}


@pytest.mark.parametrize("client_id", ODD.values(), ids=ODD.keys())
async def test_whatever_a_client_is_called_it_comes_and_goes(attacked: Attacked, client_id: str) -> None:
    body = {
        "clientid": client_id,
        "username": client_id,
        "node": "n\0",
        "peername": "\0",
        "reason": "no\0rmal",
        "client_attrs": {"employee_id": "ann"},
    }
    epoch = attacked.now_ms
    await attacked.hear(
        came({**body, "event": "client.connected", "connected_at": epoch, "clean_start": True}, epoch),
        came({**body, "event": "session.subscribed", "topic": "a\0/" + "ü" * 30_000, "qos": 1}, epoch),
        came(
            {**body, "event": "message.publish", "topic": STATUS + "ann", "payload": "\0" + client_id}, epoch
        ),
    )
    assert (await attacked.person()).devices == 1
    attacked.list.there = [client(client_id, epoch, username=client_id)]
    assert (await attacked.reconcile()).went == 0
    gone = {"event": "client.disconnected", "connected_at": epoch, "disconnected_at": epoch + 1}
    await attacked.hear(came({**body, **gone, "reason": "normal"}, epoch))
    assert attacked.statuses[-1] == "offline"


@pytest.mark.parametrize("raw", [b"\xff", b"\xed\xa0\x80", b"\\ud800", b"\\udc00\\ud800", b"\\u12"])
def test_text_that_is_none_is_refused_at_the_door(raw: bytes) -> None:
    for key in (b"clientid", b"payload"):
        body = b'{"event":"message.publish","clientid":"a","topic":"t","%s":"%s"}'
        with pytest.raises((msgspec.MsgspecError, UnicodeDecodeError)):
            came(body % (key, raw), 1)
        assert came(body % (key, b"\\ud83d\\ude00"), 1).topic == "t"


@pytest.mark.parametrize("role_of_nul", ["listed as ours", "listed as nobody's"])
async def test_an_id_that_no_column_holds_does_not_stop_reconciliation(
    attacked: Attacked, role_of_nul: str
) -> None:
    attributes = OURS if role_of_nul == "listed as ours" else {}
    epoch = attacked.now_ms - HOUR_MS
    attacked.list.there = [client("ann_\0", epoch, attributes), client("ann_pc", epoch)]
    found = await attacked.reconcile()
    assert (found.listed, found.restored) == (2, 1)
    assert await attacked.is_on()


UNREADABLE = {
    "no payload": {},
    "null": {"payload": None},
    "a number": {"payload": 5},
    "an object": {"payload": {"status": "offline"}},
    "a quality of service that is none": {"payload": "x", "qos": "1"},
    "a moment that is none": {"payload": "x", "timestamp": -1},
    "too large to be kept": {"payload": "x" * 1_000_000},
}


@pytest.mark.parametrize("values", UNREADABLE.values(), ids=UNREADABLE.keys())
async def test_what_cannot_be_read_on_a_status_topic_is_put_right(
    attacked: Attacked, values: dict[str, Any]
) -> None:
    await attacked.hear(connected("ann_pc", attacked.now_ms))
    (ours,) = attacked.broker.taken
    await attacked.later(APART_MS)
    body = {"event": "message.publish", "clientid": "ann_pc", "topic": STATUS + "ann", "qos": 1, **values}
    row = came(body, attacked.now_ms)
    assert len(row.body) <= 65_536
    await attacked.hear(row)
    assert attacked.broker.taken == [ours, ours]
    # The twin: what we said ourselves.
    await attacked.later(APART_MS)
    await attacked.hear(came({**body, "payload": str(ours.payload), "qos": 1, "timestamp": 5}, 1))
    assert attacked.broker.taken == [ours, ours]


async def test_a_retained_message_that_is_cleared_is_put_back(attacked: Attacked) -> None:
    await attacked.hear(connected("ann_pc", attacked.now_ms))
    await attacked.later(APART_MS)
    await attacked.hear(forged(""))
    assert attacked.statuses == ["online", "online"]


# -- floods -------------------------------------------------------------------------------------------


async def test_a_flood_of_one_person_does_not_keep_another_waiting(attacked: Attacked) -> None:
    await attacked.hear(connected("ann_phone", attacked.now_ms))
    began = time.perf_counter()
    flood = [forged(f'{{"status":"{number}"}}') for number in range(3_000)]
    await attacked.hear(*flood[:1_500], connected("bob_pc", attacked.now_ms, "bob"), *flood[1_500:])
    assert [one.topic for one in attacked.broker.taken] == [STATUS + "ann", STATUS + "bob"]
    await attacked.later(APART_MS)
    assert len(attacked.broker.taken) == 3
    assert attacked.count("mchat_presence_contradictions_total") == 3_000
    assert time.perf_counter() - began < 10


async def test_topics_of_people_that_there_are_none_of_leave_nothing(attacked: Attacked) -> None:
    await attacked.hear(*(published("ann_pc", f"{STATUS}ghost{number}", "x") for number in range(3_000)))
    assert await attacked.count_rows(schema.presence_person) == 0
    assert attacked.broker.taken == []
    # The twin: somebody whose devices are known.
    await attacked.hear(connected("ann_pc", attacked.now_ms))
    await attacked.later(APART_MS)
    await attacked.hear(published("ann_pc", STATUS + "ann", "x"))
    assert attacked.statuses == ["online", "online"]


async def test_whoever_comes_under_a_new_name_each_time_is_kept_up_to_a_number(
    attacked: Attacked, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(following, "DEVICES", 20)
    monkeypatch.setattr(following, "HISTORY", 50)
    monkeypatch.setattr(excess, "EVERY", 100)
    bob = (
        connected("bob_pc", attacked.now_ms, "bob"),
        disconnected("bob_pc", attacked.now_ms, 2, "normal", employee_id="bob"),
    )
    await attacked.hear(connected("ann_pc", attacked.now_ms), *bob)
    for batch in range(10):
        epoch = attacked.now_ms = attacked.now_ms + 1_000
        some = [f"ann_{batch}_{number}" for number in range(50)]
        await attacked.hear(
            *(connected(name, epoch) for name in some),
            *(disconnected(name, epoch, epoch + 1, "normal") for name in some),
        )
    async with attacked.database.read() as connection:
        found = (await presence.devices_of(connection, ["ann", "bob"]))["ann"]
        history = await presence.history_of(connection, "ann", limit=1_000)
        assert len(await presence.history_of(connection, "bob")) == 2, "nobody else's"
    assert len(found) == 21
    assert {one.client_id for one in found if one.online} == {"ann_pc"}, "whoever is on stays"
    assert {one.client_id.rsplit("_", 1)[0] for one in found} == {"ann", "ann_9"}, "the newest stay"
    assert len(history) == 50
    assert {one.client_id.rsplit("_", 1)[0] for one in history} == {"ann_9"}
    assert "more came and went" in capsys.readouterr().out
    assert (await attacked.person()).status == "online"


def test_people_are_counted_up_to_a_number_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    watching = Excess()
    assert watching.add({"ann": EVERY - 1, "bob": 1}) == []
    assert watching.add({"ann": 1}) == ["ann"]
    assert watching.add({"ann": EVERY - 1}) == [], "it begins anew"
    monkeypatch.setattr(excess, "_MOST", 2)
    watching.add({"carol": 1})
    watching.add({"dan": 1})
    assert len(watching._recorded) == 1


async def test_a_person_with_thousands_of_devices_holds_up_nobody(attacked: Attacked) -> None:
    many = 3_000
    await attacked.hear(*(connected(f"ann_{number}", attacked.now_ms) for number in range(many)))
    assert (await attacked.person()).devices == many
    began = time.perf_counter()
    for number in range(5):
        await attacked.later(APART_MS)
        await attacked.hear(
            disconnected(f"ann_{number}", attacked.now_ms - 5_000, attacked.now_ms, "normal"),
            connected(f"bob_{number}", attacked.now_ms, "bob"),
        )
    assert time.perf_counter() - began < 5
    assert (await attacked.person("bob")).devices == 5


# -- people who left ----------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ["disabled", "deleted"])
async def test_events_of_whoever_left_are_taken_in_until_the_end(attacked: Attacked, status: str) -> None:
    epoch = attacked.now_ms
    await attacked.hear(connected("bob_pc", epoch, "bob"))
    async with attacked.database.change("hr", 1_000) as change:
        await people.set_status(change, "bob", status)
    await attacked.later(APART_MS)
    await attacked.hear(disconnected("bob_pc", epoch, attacked.now_ms, "kicked", employee_id="bob"))
    assert attacked.statuses == ["online", "offline"]


# -- a broker that does not take what is published ---------------------------------------------------


class Choosy(Broker):
    """Takes no call that holds a projection of ann, as EMQX takes none with a topic that is none (measured)."""

    error: Exception = Rejected("POST /publish/bulk", "see the topic", 400, "BAD_REQUEST", "bad topic")

    async def publish_many(self, messages: Sequence[Message]) -> None:
        if any(one.topic.endswith("/ann") for one in messages):
            raise self.error
        await super().publish_many(messages)


async def test_one_whose_projection_is_refused_does_not_hold_up_the_others(database: Database) -> None:
    projected = Projected(database, Choosy(database))
    others = [f"p{number}" for number in range(20)]
    await projected.hear(
        connected("ann_pc", projected.now_ms),
        *(connected(f"{one}_pc", projected.now_ms, one) for one in others),
    )
    assert {one.topic for one in projected.broker.taken} == {STATUS + one for one in others}
    assert not (await projected.person()).published
    # Nor does it later: it is tried again after a while, by itself where nobody else is due.
    before = projected.count("mchat_presence_failures_total", at="publish")
    await projected.later(30_000)
    assert projected.count("mchat_presence_failures_total", at="publish") == before
    await projected.later(30_000)
    assert projected.count("mchat_presence_failures_total", at="publish") == before + 1
    projected.projector._api = cast(BrokerApi, Broker(database))
    await projected.later(60_000)
    assert (await projected.person()).published


async def test_a_broker_that_asks_for_patience_is_asked_again_a_second_later(projected: Projected) -> None:
    projected.broker.fault = Busy("POST /publish/bulk", "429", "wait", retry_after=1.0)
    await projected.hear(connected("ann_pc", 10), connected("bob_pc", 10, "bob"))
    assert projected.count("mchat_presence_failures_total", at="publish") == 1
    for _ in range(9):
        await projected.later(100)
    assert projected.count("mchat_presence_failures_total", at="publish") == 1
    projected.broker.fault = None
    await projected.later(100)
    assert {one.topic for one in projected.broker.taken} == {STATUS + "ann", STATUS + "bob"}


async def test_a_broker_that_is_slow_is_asked_one_thing_at_a_time(projected: Projected) -> None:
    broker = projected.broker
    broker.held = asyncio.Event()
    working = asyncio.create_task(projected.projector.run())
    try:
        await _heard(projected, connected("ann_pc", 10))
        while not broker.under_way:
            await asyncio.sleep(0.01)
        # What comes meanwhile waits, whosever it is: nothing is sent beside what is under way.
        await _heard(projected, connected("bob_pc", 10, "bob"), disconnected("ann_pc", 10, 20, "normal"))
        assert broker.under_way == [STATUS + "ann"]
        broker.held.set()
        while len(broker.taken) < 2:
            await asyncio.sleep(0.01)
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
    assert [one.topic for one in broker.taken] == [STATUS + "ann", STATUS + "bob"]


async def _heard(projected: Projected, *rows: EventRow) -> None:
    """Stored and taken in; what runs besides projects it."""
    await store(projected.database, rows)
    while await projected.following.step():
        pass


@pytest.fixture
def projected(database: Database) -> Projected:
    return Projected(database)


def test_events_that_nobody_can_read_leave_the_others() -> None:
    broken = replace(published("a", STATUS + "ann", "x"), body="{")
    batch = Hearing("svc").of([broken, connected("ann_pc", 10), replace(broken, kind="session.subscribed")])
    assert (len(batch.said), len(batch.heard), batch.unread) == (1, 1, 1)
