"""Whatever is shuffled, repeated or lost: the same facts make the same devices, and the broker's list the truth.

Over logs that are generated as a broker makes them, and over what EMQX 5.8.9 was recorded to tell.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from acl_service.presence.counters import Counters
from acl_service.presence.fold import Connected, Device, Disconnected, Listed, Missing, fold
from acl_service.presence.hearing import Heard, Hearing
from acl_service.presence.intruders import Intruders
from acl_service.presence.people import derive
from acl_service.presence.reconcile import Reconciler
from directory import presence, standing
from directory.database import Database
from directory.events import EventRow
from emqx.api.broker import BrokerApi
from tests.acl_service.presence.listed import NODE_TWO, OURS, ListedBroker, client
from tests.acl_service.presence.telling import NODE, came, connected, disconnected, store
from tests.acl_service.presence.test_following import Followed
from tests.contract.recordings import lines
from tests.directory.company import hire

Devices = dict[str, Device]


def folded(heard: Sequence[Heard], devices: Devices | None = None) -> Devices:
    found = dict(devices or {})
    for one in heard:
        device, _ = fold(found.get(one.client_id), one.client_id, one.fact)
        if device is not None:
            found[one.client_id] = device
    return found


@dataclass
class Log:
    """What a broker told, in the order in which it happened, and what is so at the end.

    Attributes:
        rows: as stored.
        live: the epoch and node of each client that is connected at the end.
        end: after all of it, milliseconds since the epoch.
    """

    rows: list[EventRow] = field(default_factory=list)
    live: dict[str, tuple[int, str]] = field(default_factory=dict)
    end: int = 1_000

    @property
    def heard(self) -> list[Heard]:
        return Hearing("").of(self.rows).heard

    def listed(self, client_ids: Sequence[str]) -> list[Heard]:
        """One reconciliation: the broker's list, begun after everything."""
        return [
            Heard(name, Listed(begun_at=self.end + 1_000, epoch=self.live[name][0], node=self.live[name][1]))
            if name in self.live
            else Heard(name, Missing(begun_at=self.end + 1_000))
            for name in client_ids
        ]


def a_log(random: Random, people: int = 3, doings: int = 30, ahead_ms: int = 0) -> Log:
    """Clients that come, go, are cut, taken over and discarded, on two nodes, some within one millisecond.

    Args:
        random: what happens.
        people: of two clients each.
        doings: how much happens.
        ahead_ms: how far the clock of the second node is ahead, or behind where it is negative.
    """
    log = Log()
    ahead = {NODE: 0, NODE_TWO: ahead_ms}
    names = {f"p{n}_{kind}": f"p{n}" for n in range(people) for kind in ("pc", "phone")}
    for _ in range(doings):
        log.end += random.choice((1, 1, 7, 400))
        name = random.choice(sorted(names))
        if name in log.live and random.random() < 0.5:
            epoch, node = log.live.pop(name)
            at = log.end + ahead[node]
            known = None if random.random() < 0.2 and at > epoch else epoch
            reason = random.choice(("normal", "tcp_closed", "kicked", "keepalive_timeout"))
            log.rows.append(disconnected(name, known, at, reason, node=node, employee_id=names[name]))
            continue
        node = random.choice((NODE, NODE_TWO))
        now = log.end + ahead[node]
        if name in log.live:
            epoch, before = log.live[name]
            reason = random.choice(("takenover", "discarded"))
            known = None if random.random() < 0.2 else epoch
            at = log.end + ahead[before]
            log.rows.append(disconnected(name, known, at, reason, node=before, employee_id=names[name]))
        elif random.random() < 0.1:
            # Taken over within the millisecond in which it came (measured).
            log.rows.append(connected(name, now, names[name], node=node))
            log.rows.append(disconnected(name, now, now, "takenover", node=node, employee_id=names[name]))
        log.live[name] = (now, node)
        log.rows.append(connected(name, now, names[name], node=node))
    return log


def recorded(until: int | None = None) -> Log:
    """What EMQX told of connections, or the first so many events of it, by the way that it takes through the hooks."""
    log = Log()
    for line in lines("hooks.jsonl"):
        if len(log.rows) == until:
            break
        body = line["body"]
        if line["path"] != "/emqx/events" or body["event"] not in ("client.connected", "client.disconnected"):
            continue
        row = came(body, int(line["at"] * 1000))
        log.rows.append(row)
        log.end = max(log.end, row.disconnected_at or 0, row.epoch or 0)
        if body["event"] == "client.connected":
            log.live[row.client_id] = (row.epoch or 0, row.node or "")
        elif body["reason"] not in ("takenover", "discarded"):
            log.live.pop(row.client_id)
    return log


def shuffled(random: Random, heard: Sequence[Heard]) -> list[Heard]:
    again = [random.choice(heard) for _ in range(random.randrange(10))] if heard else []
    some = [*heard, *again]
    random.shuffle(some)
    return some


def truth(devices: Devices) -> dict[str, tuple[int, str]]:
    return {name: (one.epoch, one.node) for name, one in devices.items() if one.online}


@settings(deadline=None, max_examples=300)
@given(random=st.randoms(use_true_random=False))
def test_without_loss_any_order_ends_as_the_ordered_log(random: Random) -> None:
    log = a_log(random)
    ordered = folded(log.heard)
    assert folded(shuffled(random, log.heard)) == ordered
    assert truth(ordered) == log.live, "which is what the broker has"


@settings(deadline=None, max_examples=300)
@given(random=st.randoms(use_true_random=False))
def test_whatever_is_lost_one_reconciliation_ends_in_the_brokers_truth(random: Random) -> None:
    log = a_log(random)
    heard = [one for one in shuffled(random, log.heard) if random.random() < 0.6]
    known = folded(heard)
    assert truth(folded(log.listed(sorted(known.keys() | log.live.keys())), known)) == log.live


def test_what_was_recorded_ends_the_same_in_any_order() -> None:
    log = recorded()
    assert len(log.rows) > 30
    assert {one.fact.reason for one in log.heard if isinstance(one.fact, Disconnected)} >= {
        "normal",
        "takenover",
        "discarded",
        "kicked",
        "tcp_closed",
        "keepalive_timeout",
    }
    ordered = folded(log.heard)
    assert truth(ordered) == log.live
    for seed in range(200):
        random = Random(seed)
        told = shuffled(random, log.heard)
        assert folded(told) == ordered
        some = folded([one for one in told if random.random() < 0.5])
        assert truth(folded(log.listed(sorted(ordered)), some)) == log.live


def test_the_recorded_log_with_one_client_still_there_is_told_from_one_where_it_left() -> None:
    log = recorded()
    last = max(index for index, one in enumerate(log.heard) if isinstance(one.fact, Disconnected))
    staying = log.heard[last].client_id
    without = [one for index, one in enumerate(log.heard) if index != last]
    assert any(isinstance(one.fact, Connected) and one.client_id == staying for one in without)
    assert staying in truth(folded(without))
    assert staying not in truth(folded(log.heard))


@pytest.mark.parametrize("seed", range(4))
async def test_the_database_ends_in_the_brokers_truth_too(database: Database, seed: int) -> None:
    random = Random(seed)
    log = a_log(random, people=5, doings=120)
    people = sorted({f"p{n}" for n in range(5)})
    await hire(database, *people)
    followed = Followed(database)
    followed.now_ms = log.end + 10_000
    told = [row for row in log.rows if random.random() < (0.7 if seed % 2 else 1.0)]
    told += random.sample(told, 20)
    random.shuffle(told)
    for start in range(0, len(told), 37):
        await store(database, told[start : start + 37])
        await followed.following.step()
    if seed % 2:
        api = ListedBroker(
            there=[
                client(name, epoch, {**OURS, "employee_id": name.split("_")[0]}, node=node)
                for name, (epoch, node) in log.live.items()
            ]
        )
        counters = Counters(CollectorRegistry())
        broker = cast(BrokerApi, api)
        intruders = Intruders(database, broker, counters)
        await Reconciler(database, broker, intruders, counters, lambda: followed.now_ms).reconcile()
        assert api.kicked == []
    async with database.read() as connection:
        online = await presence.online_after(connection)
        devices = await presence.devices_of(connection, people)
        known = await standing.people(connection, people)
    assert {row.client_id: (row.epoch, row.node) for row in online} == log.live
    there = {name.split("_")[0] for name in log.live}
    for person in people:
        found = derive(
            devices.get(person, ()), announced="online", last_seen=0, now_ms=log.end + 60_000, grace_ms=5_000
        )
        assert (found.status == "online") is (person in there)
        assert person in known
