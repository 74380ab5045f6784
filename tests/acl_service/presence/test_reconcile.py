"""Presence brought in line with the broker's list: who came, who went, dead nodes, lost rows, intruders, gaps."""

import tracemalloc
from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry

from acl_service.presence.counters import Counters
from acl_service.presence.gaps import Gaps
from acl_service.presence.intruders import MOST, YOUNG_MS, Intruders
from acl_service.presence.reconcile import Findings, Reconciler
from directory import presence, sessions, standing, subscriptions
from directory.database import Database
from emqx.api.broker import BrokerApi
from emqx.api.errors import Broken, Unreachable
from tests.acl_service.presence.listed import NODE_TWO, OURS, ListedBroker, client
from tests.acl_service.presence.telling import (
    connected,
    disconnected,
    store,
    subscribed,
)
from tests.acl_service.presence.test_following import Followed
from tests.directory.company import hire, know

NOW_MS = 1_000_000
LONG_AGO = NOW_MS - 60_000


class Reconciled(Followed):
    """Events followed and a broker whose list is compared."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.now_ms = NOW_MS
        self.broker = ListedBroker()
        self.counters = Counters(CollectorRegistry())
        api = cast(BrokerApi, self.broker)
        self.reconciler = Reconciler(
            database, api, Intruders(database, api, self.counters), self.counters, lambda: self.now_ms
        )

    async def reconcile(self, later_ms: int = 60_000) -> Findings:
        found = await self.reconciler.reconcile()
        self.now_ms += later_ms
        return found

    async def online(self) -> list[str]:
        async with self.database.read() as connection:
            return [row.client_id for row in await presence.online_after(connection)]


@pytest.fixture
async def reconciled(database: Database) -> Reconciled:
    await hire(database, "ann", "bob")
    return Reconciled(database)


async def test_who_came_and_who_went_untold_is_put_right(reconciled: Reconciled) -> None:
    await know(reconciled.database, "ann_pc", "ann_phone", "ann_tablet", employee_id="ann")
    await reconciled.take(connected("ann_pc", LONG_AGO), connected("ann_tablet", LONG_AGO))
    reconciled.broker.there = [
        client("ann_phone", LONG_AGO),
        client("ann_tablet", LONG_AGO),
        client("ann_old", LONG_AGO, connected=False),
    ]
    found = await reconciled.reconcile()
    assert (found.listed, found.came, found.went) == (2, 1, 1)
    assert await reconciled.online() == ["ann_phone", "ann_tablet"]
    gone = await reconciled.device("ann_pc")
    assert gone is not None
    assert (gone.reason, gone.source, gone.since_at) == ("reconciled", "list", NOW_MS)
    assert not (await reconciled.session("ann_pc")).online
    assert (await reconciled.session("ann_phone")).online
    assert await reconciled.history() == [
        ("online", LONG_AGO, ""),
        ("online", LONG_AGO, ""),
        ("online", LONG_AGO, ""),
        ("offline", LONG_AGO, "reconciled"),
    ]
    # What it finds the second time is what it left the first time.
    again = await reconciled.reconcile()
    assert (again.came, again.went, again.restored) == (0, 0, 0)


async def test_a_session_row_that_came_too_late_is_put_right(reconciled: Reconciled) -> None:
    await reconciled.take(connected("ann_pc", LONG_AGO))
    # Nobody waits for its row without end.
    for _ in range(10):
        reconciled.now_ms += 60_000
        await reconciled.take()
    await know(reconciled.database, "ann_pc", employee_id="ann")
    reconciled.now_ms += 3_600_000
    await reconciled.take()
    assert not (await reconciled.session("ann_pc")).online
    reconciled.broker.there = [client("ann_pc", LONG_AGO)]
    found = await reconciled.reconcile()
    assert (found.came, found.restored) == (0, 0)
    session = await reconciled.session("ann_pc")
    assert (session.online, session.connected_at) == (True, LONG_AGO)


async def test_an_end_told_late_explains_what_was_reconciled(reconciled: Reconciled) -> None:
    await reconciled.take(connected("ann_pc", LONG_AGO))
    await reconciled.reconcile()
    await reconciled.take(disconnected("ann_pc", LONG_AGO, LONG_AGO + 5, "keepalive_timeout"))
    assert await reconciled.history() == [
        ("online", LONG_AGO, ""),
        ("offline", LONG_AGO, "keepalive_timeout"),
    ]


async def test_who_came_after_the_list_was_begun_stays(reconciled: Reconciled) -> None:
    await reconciled.take(connected("ann_pc", NOW_MS + 1), connected("ann_phone", LONG_AGO))
    # The place of the phone moved behind the reader; asked for by name it is there.
    reconciled.broker.only_looked_up = [client("ann_phone", LONG_AGO)]
    found = await reconciled.reconcile()
    assert found.went == 0
    assert await reconciled.online() == ["ann_pc", "ann_phone"]
    assert reconciled.broker.looked_up == ["ann_pc", "ann_phone"]


async def test_a_list_that_breaks_off_takes_nobody_off(reconciled: Reconciled) -> None:
    await reconciled.take(connected("ann_pc", LONG_AGO))
    reconciled.broker.there = [client("ann_phone", LONG_AGO), client("bob_pc", LONG_AGO)]
    reconciled.broker.fails_after = 1
    with pytest.raises(Unreachable):
        await reconciled.reconcile()
    assert await reconciled.online() == ["ann_pc"]
    reconciled.broker.fails_after = None
    await reconciled.reconcile()
    assert await reconciled.online() == ["ann_phone", "bob_pc"]


async def test_subscriptions_end_with_their_session_and_not_with_the_connection(
    reconciled: Reconciled,
) -> None:
    await reconciled.take(
        subscribed("ann_pc", "a", LONG_AGO),
        subscribed("ann_away", "a", LONG_AGO),
        subscribed("gone", "a", LONG_AGO),
    )
    reconciled.broker.there = [client("ann_pc", LONG_AGO), client("ann_away", LONG_AGO, connected=False)]
    found = await reconciled.reconcile()
    assert found.ended == 1
    async with reconciled.database.read() as connection:
        left = await subscriptions.of_clients(connection, ["ann_pc", "ann_away", "gone"])
    assert set(left) == {"ann_pc", "ann_away"}


# -- nodes --------------------------------------------------------------------------------------------


async def test_a_dead_nodes_clients_are_taken_off_at_the_second_look(reconciled: Reconciled) -> None:
    await reconciled.take(connected("ann_pc", LONG_AGO), connected("bob_pc", LONG_AGO, "bob", node=NODE_TWO))
    reconciled.broker.there = [client("ann_pc", LONG_AGO), client("bob_pc", LONG_AGO, node=NODE_TWO)]
    assert await reconciled.reconciler.sweep_nodes() == 0
    reconciled.broker.running.remove(NODE_TWO)
    reconciled.broker.stopped.append(NODE_TWO)
    assert await reconciled.reconciler.sweep_nodes() == 0
    assert await reconciled.reconciler.sweep_nodes() == 1
    assert await reconciled.online() == ["ann_pc"]


async def test_a_node_that_is_back_at_the_second_look_loses_nobody(reconciled: Reconciled) -> None:
    await reconciled.take(connected("bob_pc", LONG_AGO, "bob", node=NODE_TWO))
    reconciled.broker.there = [client("bob_pc", LONG_AGO, node=NODE_TWO)]
    reconciled.broker.running.remove(NODE_TWO)
    await reconciled.reconciler.sweep_nodes()
    reconciled.broker.running.append(NODE_TWO)
    await reconciled.reconciler.sweep_nodes()
    reconciled.broker.running.remove(NODE_TWO)
    assert await reconciled.reconciler.sweep_nodes() == 0
    assert await reconciled.online() == ["bob_pc"]


async def test_a_client_that_the_list_still_shows_on_a_dead_node_is_away(reconciled: Reconciled) -> None:
    reconciled.broker.running.remove(NODE_TWO)
    reconciled.broker.there = [client("ann_pc", LONG_AGO), client("bob_pc", LONG_AGO, node=NODE_TWO)]
    await reconciled.reconcile()
    assert await reconciled.online() == ["ann_pc"]


async def test_a_broker_that_says_that_no_node_runs_loses_nobody(reconciled: Reconciled) -> None:
    await reconciled.take(connected("ann_pc", LONG_AGO))
    reconciled.broker.running.clear()
    for work in (reconciled.reconciler.reconcile, reconciled.reconciler.sweep_nodes):
        with pytest.raises(Broken, match="no node runs"):
            await work()
    assert await reconciled.online() == ["ann_pc"]


# -- rows that were lost ------------------------------------------------------------------------------


async def test_a_row_lost_in_a_crash_comes_back_if_it_is_the_owners(reconciled: Reconciled) -> None:
    reconciled.broker.there = [
        client("ann_pc", LONG_AGO),
        client("ann_jwt", LONG_AGO, {**OURS, "credential_id": "jwt:99"}),
        client("bob_pc", LONG_AGO),
        client("ann_odd", LONG_AGO, {**OURS, "grants_version": "7x"}),
    ]
    found = await reconciled.reconcile()
    assert found.restored == 2
    row = await reconciled.session("ann_pc")
    assert (row.employee_id, row.grants_version, row.credential_id) == ("ann", 7, "cred_1")
    assert (row.zone, row.peer, row.online, row.connected_at) == ("office", "10.0.0.1", True, LONG_AGO)
    assert (await reconciled.session("ann_jwt")).credential_id is None
    async with reconciled.database.read() as connection:
        assert set(await sessions.of_clients(connection, ["bob_pc", "ann_odd"])) == set()
    # A row that a later connect writes is newer.
    await know(reconciled.database, "ann_pc", employee_id="bob")
    assert (await reconciled.session("ann_pc")).employee_id == "ann"


# -- intruders ----------------------------------------------------------------------------------------


def intruder(client_id: str, epoch: int = LONG_AGO, **values: Any) -> Any:
    return client(client_id, epoch, {}, **values)


async def test_an_intruder_is_out_at_the_second_look_and_nobody_else(reconciled: Reconciled) -> None:
    await know(reconciled.database, "ann_bare", employee_id="ann")
    reconciled.broker.there = [
        intruder("evil"),
        intruder("half", username="ann"),
        client("half_2", LONG_AGO, {"employee_id": "ann"}),
        client("ann_pc", LONG_AGO),
        intruder("ann_bare"),
        intruder("young", NOW_MS - YOUNG_MS + 1),
        intruder("away", connected=False),
    ]
    first = await reconciled.reconcile(later_ms=YOUNG_MS // 2)
    assert (first.intruders, first.kicked, reconciled.broker.kicked) == (3, 0, [])
    second = await reconciled.reconcile()
    assert (second.intruders, second.kicked) == (4, 3)
    assert sorted(reconciled.broker.kicked) == ["evil", "half", "half_2"]
    await reconciled.reconcile()
    assert reconciled.broker.kicked[3:] == ["young"]
    assert [one.client_id for one in reconciled.broker.there] == ["ann_pc", "ann_bare", "away"]


async def test_whoever_came_anew_or_was_let_in_meanwhile_is_not_kicked(reconciled: Reconciled) -> None:
    broker = reconciled.broker
    broker.there = [intruder("anew"), intruder("late_row"), intruder("gone"), intruder("evil")]
    await reconciled.reconcile()
    await know(reconciled.database, "late_row", employee_id="ann")
    broker.there[0] = intruder("anew", LONG_AGO + 1)
    broker.only_listed = {"gone"}
    found = await reconciled.reconcile()
    assert (found.kicked, broker.kicked) == (1, ["evil"])


async def test_whoever_was_let_in_between_the_list_and_the_kick_is_not_kicked(reconciled: Reconciled) -> None:
    broker = reconciled.broker
    broker.there = [intruder("ann_pc")]
    await reconciled.reconcile()
    # Listed as the intruder still; asked for by name, it is somebody whom MChat let in.
    broker.only_listed, broker.only_looked_up = {"ann_pc"}, [client("ann_pc", LONG_AGO)]
    looked_up = broker.every

    async def every(*args: Any, **values: Any) -> Any:
        async for _ in looked_up(*args, **values):
            pass
        for one in broker.only_looked_up:
            yield one

    broker.every = every  # type: ignore[method-assign]
    found = await reconciled.reconcile()
    assert (found.intruders, found.kicked, broker.kicked) == (1, 0, [])


async def test_whose_row_is_written_between_the_list_and_the_kick_is_not_kicked(
    reconciled: Reconciled,
) -> None:
    broker = reconciled.broker
    broker.there = [intruder("ann_pc")]
    await reconciled.reconcile()
    looked_up = broker.every

    async def every(*args: Any, **values: Any) -> Any:
        await know(reconciled.database, "ann_pc", employee_id="ann")
        async for one in looked_up(*args, **values):
            yield one

    broker.every = every  # type: ignore[method-assign]
    found = await reconciled.reconcile()
    assert (found.intruders, found.kicked) == (1, 0)


async def test_a_look_that_broke_off_is_none(reconciled: Reconciled) -> None:
    reconciled.broker.there = [intruder("evil"), client("ann_pc", LONG_AGO)]
    reconciled.broker.fails_after = 1
    with pytest.raises(Unreachable):
        await reconciled.reconcile()
    reconciled.broker.fails_after = None
    assert (await reconciled.reconcile()).kicked == 0
    assert (await reconciled.reconcile()).kicked == 1


async def test_intruders_that_no_call_can_name_are_an_alarm_and_long_ids_are_kicked(
    reconciled: Reconciled, capsys: pytest.CaptureFixture[str]
) -> None:
    long = "x" * 60_000
    reconciled.broker.there = [intruder("a\x01b"), intruder(long), intruder("nul\x00")]
    await reconciled.reconcile()
    assert "cannot be kicked" in capsys.readouterr().out
    found = await reconciled.reconcile()
    assert (found.intruders, found.kicked, reconciled.broker.kicked) == (3, 1, [long])
    assert "x" * 256 not in reconciled.broker.looked_up


async def test_intruders_are_remembered_up_to_a_number() -> None:
    watched = Intruders(cast(Any, None), cast(Any, None), Counters(CollectorRegistry()))
    watched.begin(NOW_MS)
    watched.see([intruder(f"evil{number}") for number in range(MOST + 5)])
    assert (await watched.end())[0] == MOST


# -- gaps ---------------------------------------------------------------------------------------------


def gaps(reconciled: Reconciled) -> Gaps:
    return Gaps(
        reconciled.database,
        cast(BrokerApi, reconciled.broker),
        "http:mchat_events",
        ("mchat_events", "mchat_status"),
        silence_ms=60_000,
        now_ms=lambda: reconciled.now_ms,
    )


async def test_events_that_the_broker_dropped_are_a_gap(reconciled: Reconciled) -> None:
    looking, broker = gaps(reconciled), reconciled.broker
    broker.counters = {"dropped": 5, "failed": 2, "success": 10}
    assert [await looking.look(), await looking.look()] == ["", ""]
    broker.counters = {**broker.counters, "success": 99}
    assert await looking.look() == ""
    broker.counters["failed"] = 3
    assert [await looking.look(), await looking.look()] == ["dropped", ""]
    broker.counters = {"dropped": 0, "failed": 0}
    assert await looking.look() == "dropped", "a broker that began anew"
    broker.counters = None
    assert await looking.look() == ""


@pytest.mark.parametrize("counter", ["failed.exception", "actions.failed", "actions.discarded"])
async def test_events_that_a_rule_of_the_broker_gave_to_no_action_are_a_gap(
    reconciled: Reconciled, counter: str
) -> None:
    looking, rules = gaps(reconciled), reconciled.broker.rules
    rules.counters = {"mchat_events": {"matched": 3}, "mchat_status": {"matched": 1}}
    assert [await looking.look(), await looking.look()] == ["", ""]
    rules.counters["mchat_events"] = {"matched": 9, "failed.no_result": 2}
    assert await looking.look() == "", "what is passed over is not lost"
    rules.counters["mchat_status"] = {"matched": 1, counter: 1}
    assert [await looking.look(), await looking.look()] == ["dropped", ""]
    rules.counters["mchat_status"] = None
    assert await looking.look() == "dropped", "a rule that is made anew begins from nothing"


async def test_what_was_lost_and_not_put_right_is_a_gap_for_another_worker_too(
    reconciled: Reconciled,
) -> None:
    looking, broker = gaps(reconciled), reconciled.broker
    broker.counters = {"dropped": 5}
    assert await looking.look() == ""
    broker.counters = {"dropped": 6}
    assert await looking.look() == "dropped"
    other = gaps(reconciled)
    assert [await other.look(), await other.look()] == ["dropped", ""]
    await other.settle(other.lost)
    assert await gaps(reconciled).look() == ""
    # The one that looked first leads again.
    broker.counters = {"dropped": 7}
    assert await other.look() == "dropped"
    await other.settle(other.lost)
    looking.begin()
    assert await looking.look() == ""


async def test_silence_is_a_gap_if_the_broker_has_another_number_of_clients(reconciled: Reconciled) -> None:
    looking = gaps(reconciled)
    await reconciled.take(connected("ann_pc", LONG_AGO))
    reconciled.broker.there = [client("ann_pc", LONG_AGO), client("ann_phone", LONG_AGO)]
    assert await looking.look() == ""
    reconciled.now_ms += 59_999
    assert await looking.look() == ""
    reconciled.now_ms += 1
    assert [await looking.look(), await looking.look()] == ["differs", ""]
    await store(reconciled.database, [connected("ann_phone", LONG_AGO)])
    reconciled.now_ms += 60_000
    assert await looking.look() == "", "an event came"
    await reconciled.take()
    reconciled.now_ms += 60_000
    same = [await looking.look(), await looking.look()]
    assert same == ["silent", ""], "the numbers are the same: it is told once"
    reconciled.broker.there.pop()
    assert [await looking.look(), await looking.look()] == ["differs", ""], "they are not any more"


# -- many ---------------------------------------------------------------------------------------------


async def test_many_clients_are_compared_in_bounded_memory(reconciled: Reconciled) -> None:
    many = 4_000
    reconciled.broker.there = [
        client(f"p{n}_pc", LONG_AGO, {**OURS, "employee_id": f"p{n}"}) for n in range(many)
    ]
    await reconciled.reconcile()
    # Half of them went, and nobody told.
    del reconciled.broker.there[: many // 2]
    tracemalloc.start()
    try:
        found = await reconciled.reconcile()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (found.listed, found.came, found.went) == (many // 2, 0, many // 2)
    assert peak < 12 * 2**20, f"{peak / 2**20:.1f} MiB"
    async with reconciled.database.read() as connection:
        assert await presence.count_online(connection) == many // 2
        assert len(await standing.due(connection, reconciled.now_ms, many)) == many
