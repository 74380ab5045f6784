"""What is lost, and of what order: what may be lost without harm, what one reconciliation mends, what is told of it.

The generated and recorded logs of `test_property`, there folded purely, here by the whole way through the database too.
"""

import json
from collections.abc import Sequence
from itertools import pairwise
from random import Random
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from sqlalchemy import select

from acl_service.presence.counters import Counters
from acl_service.presence.fold import NEAR_MS, fold
from acl_service.presence.hearing import Hearing
from acl_service.presence.intruders import Intruders
from acl_service.presence.reconcile import Reconciler
from directory import presence, schema
from directory.database import Database
from directory.events import EventRow
from emqx.api.broker import BrokerApi
from tests.acl_service.presence.listed import NODE_TWO, OURS, ListedBroker, client
from tests.acl_service.presence.telling import NODE, store
from tests.acl_service.presence.test_following import Followed
from tests.acl_service.presence.test_projection import GRACE_MS, Projected
from tests.acl_service.presence.test_property import Log, a_log, folded, recorded, shuffled, truth
from tests.directory.company import hire, know


def finals(rows: Sequence[EventRow]) -> set[int]:
    """The places in a log of each client's last event."""
    return set({row.client_id: place for place, row in enumerate(rows)}.values())


@settings(deadline=None, max_examples=300)
@given(random=st.randoms(use_true_random=False))
def test_where_each_clients_last_event_is_heard_nothing_else_need_be(random: Random) -> None:
    log = a_log(random)
    last = finals(log.rows)
    heard = [one for place, one in enumerate(log.heard) if place in last or random.random() < 0.5]
    assert truth(folded(shuffled(random, heard))) == log.live


@settings(deadline=None, max_examples=150)
@given(random=st.randoms(use_true_random=False), ahead_ms=st.integers(-2 * NEAR_MS, 2 * NEAR_MS))
def test_nodes_whose_clocks_differ_end_the_same_in_any_order_and_right_after_a_reconciliation(
    random: Random, ahead_ms: int
) -> None:
    log = a_log(random, doings=40, ahead_ms=ahead_ms)
    ordered = folded(log.heard)
    assert folded(shuffled(random, log.heard)) == ordered
    names = sorted(ordered.keys() | log.live.keys())
    assert truth(folded(log.listed(names), ordered)) == log.live
    some = folded([one for one in shuffled(random, log.heard) if random.random() < 0.6])
    assert truth(folded(log.listed(names), some)) == log.live


def test_nodes_whose_clocks_swapped_two_connections_are_counted() -> None:
    wrong, doubts = 0, 0
    for seed in range(200):
        log = a_log(Random(seed), people=1, doings=40, ahead_ms=NEAR_MS - 10)
        devices = folded(log.heard)
        known = None
        for one in log.heard:
            if one.client_id == "p0_pc":
                known, transitions = fold(known, "p0_pc", one.fact)
                doubts += any(transition.kind == "doubtful" for transition in transitions)
        wrong += truth(devices) != log.live
    assert wrong > 0, "a clock that is ahead does swap some"
    assert doubts > 0


@pytest.mark.parametrize("until", [10, 25, None])
def test_the_recorded_log_broken_off_anywhere_ends_in_what_was_so_then(until: int | None) -> None:
    log = recorded(until)
    for seed in range(50):
        random = Random(seed)
        assert truth(folded(shuffled(random, log.heard))) == log.live
        last = finals(log.rows)
        heard = [one for place, one in enumerate(log.heard) if place in last or random.random() < 0.5]
        assert truth(folded(shuffled(random, heard))) == log.live


async def reconciled(followed: Followed, log: Log, running: Sequence[str] = (NODE, NODE_TWO)) -> ListedBroker:
    """One reconciliation with a broker that has what a log ends in."""
    there = [
        client(name, epoch, {**OURS, "employee_id": name.split("_")[0]}, node=node)
        for name, (epoch, node) in log.live.items()
    ]
    api, counters = ListedBroker(there=there, running=list(running)), Counters(CollectorRegistry())
    broker = cast(BrokerApi, api)
    intruders = Intruders(followed.database, broker, counters)
    await Reconciler(followed.database, broker, intruders, counters, lambda: followed.now_ms).reconcile()
    return api


async def online(database: Database) -> dict[str, tuple[int, str]]:
    async with database.read() as connection:
        return {row.client_id: (row.epoch, row.node) for row in await presence.online_after(connection)}


@pytest.mark.parametrize(("until", "kept"), [(25, 1.0), (25, 0.5), (None, 0.7)])
async def test_the_recorded_log_ends_in_the_brokers_truth_in_the_database(
    database: Database, until: int | None, kept: float
) -> None:
    log, random = recorded(until), Random(7)
    followed = Followed(database)
    followed.now_ms = log.end + 10_000
    told = [row for row in log.rows if random.random() < kept]
    told += random.sample(told, 10)
    random.shuffle(told)
    for start in range(0, len(told), 7):
        await store(database, told[start : start + 7])
        await followed.take()
    if kept < 1:
        followed.now_ms += 1_000
        assert (await reconciled(followed, log)).kicked == []
    assert await online(database) == log.live
    async with database.read() as connection:
        devices = await presence.devices(connection, {row.client_id for row in log.rows})
    if kept == 1:
        ordered = folded(Hearing("").of(log.rows).heard)
        now = {name: (one.epoch, one.online, one.since_at, one.reason) for name, one in devices.items()}
        assert now == {name: (one.epoch, one.online, one.since, one.reason) for name, one in ordered.items()}


@pytest.mark.parametrize("shown", [True, False], ids=["still listed", "not listed"])
async def test_a_node_that_died_takes_its_clients_with_it_and_nobody_else(
    database: Database, shown: bool
) -> None:
    log = a_log(Random(3), people=6, doings=80)
    lost = {name for name, (_, node) in log.live.items() if node == NODE_TWO}
    stay = {name: at for name, at in log.live.items() if name not in lost}
    assert lost
    assert stay
    await hire(database, *(f"p{number}" for number in range(6)))
    await know(database, *log.live)
    followed = Followed(database)
    followed.now_ms = log.end + 10_000
    await followed.take(*log.rows)
    assert await online(database) == log.live
    if not shown:
        log.live = stay
    followed.now_ms += 1_000
    await reconciled(followed, log, running=[NODE])
    assert await online(database) == stay


async def test_what_is_told_of_people_is_told_once_whatever_the_order(database: Database) -> None:
    random = Random(11)
    log = a_log(random, people=3, doings=60)
    projected = Projected(database)
    projected.now_ms = log.end + 60_000
    told = [*log.rows, *log.rows]
    random.shuffle(told)
    for start in range(0, len(told), 13):
        await projected.hear(*told[start : start + 13])
        await projected.later(1_000)
    await projected.later(GRACE_MS)
    there = {name.split("_")[0] for name in log.live}
    for person in ("p0", "p1", "p2"):
        said = [json.loads(one.payload) for one in projected.broker.taken if one.topic.endswith("/" + person)]
        statuses = [one["status"] for one in said]
        assert [one["version"] for one in said] == list(range(1, len(said) + 1))
        assert all(one != other for one, other in pairwise(statuses))
        assert (statuses[-1] == "online") is (person in there)
    history = schema.presence_history
    async with database.read() as connection:
        rows = (
            await connection.execute(select(history.c.client_id, history.c.epoch, history.c.kind))
        ).fetchall()
    assert len(rows) == len({tuple(row) for row in rows}) > 0
