"""A broker that begins anew has lost what it retained: projections are put back, and only then."""

from typing import cast

import pytest
from prometheus_client import CollectorRegistry

from acl_service.presence.beginnings import NEAR_MS
from acl_service.presence.counters import Counters
from acl_service.presence.intruders import Intruders
from acl_service.presence.reconcile import Reconciler
from directory.database import Database
from emqx.api.broker import BrokerApi
from tests.acl_service.presence.listed import NODE_TWO, ListedBroker
from tests.acl_service.presence.telling import NODE, connected, disconnected, store
from tests.acl_service.presence.test_projection import STATUS, Projected

MINUTE_MS = 60_000


class Watched(Projected):
    """Projections, and a broker whose nodes are looked at."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.nodes = ListedBroker(running=[NODE, NODE_TWO])
        self.began = {NODE: self.now_ms - 9 * MINUTE_MS, NODE_TWO: self.now_ms - 5 * MINUTE_MS}
        self.reconciler = self.worker()

    def worker(self) -> Reconciler:
        api, counters = cast(BrokerApi, self.nodes), Counters(self.registry_of_a_worker())
        intruders = Intruders(self.database, api, counters)
        return Reconciler(self.database, api, intruders, counters, lambda: self.now_ms)

    def registry_of_a_worker(self) -> CollectorRegistry:
        self.repairs = CollectorRegistry()
        return self.repairs

    async def look(self, later_ms: int = MINUTE_MS) -> int:
        """Look at the nodes a while later; returns how many projections were published then."""
        before = len(self.broker.taken)
        self.now_ms += later_ms
        self.nodes.uptime = {name: self.now_ms - at for name, at in self.began.items()}
        await self.reconciler.sweep_nodes()
        await self.later(MINUTE_MS)
        return len(self.broker.taken) - before

    def restart(self, *names: str) -> None:
        self.began |= dict.fromkeys(names, self.now_ms)


@pytest.fixture
async def watched(database: Database) -> Watched:
    found = Watched(database)
    now = found.now_ms
    await found.hear(
        connected("ann_pc", now),
        connected("bob_pc", now, "bob"),
        disconnected("bob_pc", now, now, "normal", employee_id="bob"),
    )
    assert await found.look() == 0, "seen for the first time, nothing is known of it"
    return found


async def test_what_a_broker_that_began_anew_has_lost_is_put_back(watched: Watched) -> None:
    before = {one.topic: one for one in watched.broker.taken}
    assert set(before) == {STATUS + "ann", STATUS + "bob"}
    watched.restart(NODE, NODE_TWO)
    assert await watched.look() == 2
    assert {one.topic: one for one in watched.broker.taken[-2:]} == before, "byte for byte"
    assert watched.repairs.get_sample_value("mchat_presence_repairs_total", {"what": "projection"}) == 2
    assert await watched.look() == 0, "once"


async def test_nodes_that_begin_anew_one_after_the_other_have_lost_nothing(watched: Watched) -> None:
    for name in (NODE, NODE_TWO, NODE):
        watched.restart(name)
        assert await watched.look() == 0
    # The twin: one that begins while the other is away.
    watched.restart(NODE)
    del watched.began[NODE_TWO]
    watched.nodes.running.remove(NODE_TWO)
    assert await watched.look() == 2


async def test_another_worker_knows_when_the_broker_began(watched: Watched) -> None:
    watched.restart(NODE, NODE_TWO)
    watched.reconciler = watched.worker()
    assert await watched.look() == 2
    watched.reconciler = watched.worker()
    assert await watched.look() == 0


async def test_a_clock_that_is_set_a_little_is_no_beginning(watched: Watched) -> None:
    watched.began = {name: at + NEAR_MS for name, at in watched.began.items()}
    watched.began[NODE] = watched.began[NODE_TWO]
    assert await watched.look() == 0
    watched.began = {name: at + NEAR_MS + 1 for name, at in watched.began.items()}
    assert await watched.look() == 2


async def test_a_broker_that_does_not_tell_how_long_it_runs_is_let_alone(watched: Watched) -> None:
    watched.began.clear()
    assert await watched.look() == 0


async def test_who_is_due_sooner_stays_so_and_what_changes_meanwhile_has_its_turn(watched: Watched) -> None:
    now = watched.now_ms
    people = [f"p{number}" for number in range(1_100)] + ["zoe"]
    await watched.hear(*(connected(f"{one}_pc", now, one) for one in people))
    watched.restart(NODE, NODE_TWO)
    watched.now_ms += MINUTE_MS
    watched.nodes.uptime = dict.fromkeys(watched.began, MINUTE_MS)
    before = len(watched.broker.taken)
    await store(watched.database, [disconnected("zoe_pc", now, watched.now_ms, "normal", employee_id="zoe")])
    await watched.following.step()
    await watched.reconciler.sweep_nodes()
    await watched.later(1_000)
    told = watched.broker.taken[before:]
    assert 0 < len(told) < 1_000, "they are spread"
    assert STATUS + "zoe" in {one.topic for one in told}
    await watched.later(10_000)
    told = watched.broker.taken[before:]
    assert len({one.topic for one in told}) == len(told) == 1_103
