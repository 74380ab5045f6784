"""The fold of presence: each rule of presence.md that is about one client id, and any order of the same facts."""

from collections.abc import Sequence
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acl_service.presence.fold import (
    NEAR_MS,
    RECONCILED,
    Connected,
    Device,
    Disconnected,
    Fact,
    Kind,
    Listed,
    Missing,
    fold,
)


def folded(*facts: Fact, device: Device | None = None) -> Device | None:
    for fact in facts:
        device, _ = fold(device, "ann_pc", fact)
    return device


def kinds(*facts: Fact) -> list[list[Kind]]:
    told: list[list[Kind]] = []
    device: Device | None = None
    for fact in facts:
        device, transitions = fold(device, "ann_pc", fact)
        told.append([one.kind for one in transitions])
    return told


def on(epoch: int, node: str = "n1") -> Connected:
    return Connected(epoch=epoch, node=node, peer=f"10.0.0.1:{epoch}", employee_id="ann")


def off(epoch: int | None, at: int, reason: str = "tcp_closed", node: str = "n1") -> Disconnected:
    return Disconnected(epoch=epoch, at=at, reason=reason, node=node, employee_id="ann")


def test_a_client_comes_and_goes() -> None:
    assert kinds(on(10), off(10, 20)) == [["online"], ["offline"]]
    gone = folded(on(10), off(10, 20))
    assert gone is not None
    assert (gone.online, gone.since, gone.reason, gone.last_seen) == (False, 20, "tcp_closed", 20)
    assert gone.peer == "10.0.0.1:10"


@pytest.mark.parametrize("reason", ["takenover", "discarded"])
def test_an_end_with_a_successor_turns_nobody_off(reason: str) -> None:
    assert kinds(on(10), off(10, 20, reason)) == [["online"], ["superseded"]]
    assert folded(on(10), off(10, 20, reason)) == folded(on(10))
    assert folded(off(10, 20, reason)) is None
    # The twin: any other reason does.
    assert kinds(on(10), off(10, 20, "kicked")) == [["online"], ["offline"]]


def test_take_overs_within_one_millisecond_leave_the_client_on_in_any_order() -> None:
    measured: list[Fact] = [on(10), off(10, 10, "takenover"), on(10)]
    assert {folded(*order) for order in permutations(measured)} == {folded(on(10))}


def test_an_end_before_its_beginning_is_a_tombstone() -> None:
    assert kinds(off(10, 20), on(10)) == [["offline"], ["stale"]]
    assert folded(off(10, 20), on(10)) == folded(on(10), off(10, 20))
    # The twin: a newer connection comes in over it.
    assert kinds(off(10, 20), on(30)) == [["offline"], ["online"]]


def test_what_is_about_an_older_connection_has_no_effect() -> None:
    assert kinds(on(30), on(10), off(10, 40)) == [["online"], ["stale"], ["stale"]]
    now = folded(on(30), on(10), off(10, 25))
    assert now == folded(on(30))


def test_the_same_event_twice_is_one_transition() -> None:
    assert kinds(on(10), on(10), off(10, 20), off(10, 20)) == [
        ["online"],
        ["duplicate"],
        ["offline"],
        ["duplicate"],
    ]


def test_two_ends_of_one_connection_are_the_later_one_in_any_order() -> None:
    ends: list[Fact] = [on(10), off(10, 20, "tcp_closed"), off(10, 25, "kicked"), off(10, 25, "normal")]
    assert {folded(*order) for order in permutations(ends)} == {folded(on(10), off(10, 25, "normal"))}


def test_an_end_without_an_epoch_is_compared_by_its_moment() -> None:
    assert kinds(on(10), off(None, 20)) == [["online"], ["offline"]]
    assert kinds(on(30), off(None, 20)) == [["online"], ["stale"]]
    assert kinds(off(None, 20), on(10)) == [["offline"], ["stale"]]
    assert kinds(off(None, 20), on(30)) == [["offline"], ["online"]]


def test_connections_that_two_nodes_clocks_may_have_swapped_are_doubtful() -> None:
    near = 1_000 + NEAR_MS - 1
    assert kinds(on(1_000, "n1"), on(near, "n2")) == [["online"], ["moved", "doubtful"]]
    assert kinds(on(1_000, "n1"), on(1_000 + NEAR_MS, "n2")) == [["online"], ["moved"]]
    assert kinds(on(1_000, "n1"), on(near, "n1")) == [["online"], ["moved"]]


def test_of_equal_epochs_the_greater_name_of_the_node_wins_in_any_order() -> None:
    both: list[Fact] = [on(10, "n1"), on(10, "n2")]
    assert {folded(*order) for order in permutations(both)} == {folded(on(10, "n2"))}
    for order in permutations([*both, off(10, 20, node="n1")]):
        device = folded(*order)
        assert device is not None
        assert device.online, "what ended is the connection that does not count"


def test_an_id_that_comes_back_after_long_is_on() -> None:
    year = 365 * 86_400_000
    assert kinds(on(10), off(10, 20), on(year)) == [["online"], ["offline"], ["online"]]


def test_last_seen_never_goes_back() -> None:
    seen = folded(on(10), off(10, 50), Listed(begun_at=60, epoch=20, node="n1"))
    assert seen is not None
    assert seen.last_seen == 50


def test_the_list_brings_in_whom_no_event_told_and_takes_out_whom_none_did() -> None:
    assert kinds(Listed(begun_at=20, epoch=10), Missing(begun_at=40)) == [["online"], ["offline"]]
    gone = folded(on(10), Missing(begun_at=40))
    assert gone is not None
    assert (gone.online, gone.reason, gone.since, gone.last_seen) == (False, RECONCILED, 40, 10)
    # What really happened is told later: it explains, and is no second end.
    assert kinds(on(10), Missing(begun_at=40), off(10, 30)) == [["online"], ["offline"], ["explained"]]


def test_a_list_changes_nothing_that_is_newer_than_it() -> None:
    assert kinds(on(50), Missing(begun_at=40)) == [["online"], ["stale"]]
    assert kinds(on(30), off(30, 45), Listed(begun_at=40, epoch=30, node="n1")) == [
        ["online"],
        ["offline"],
        ["stale"],
    ]
    assert kinds(on(30), Missing(begun_at=40)) == [["online"], ["offline"]]


def test_the_list_is_believed_even_of_a_broker_whose_clock_went_back() -> None:
    back: list[Fact] = [on(1_000), off(1_000, 1_010), on(500)]
    assert kinds(*back) == [["online"], ["offline"], ["stale"]]
    now = folded(*back, Listed(begun_at=2_000, epoch=500, node="n1"))
    assert now is not None
    assert now.online
    assert now.epoch == 500


def test_what_the_list_confirms_is_no_change() -> None:
    assert kinds(on(10), Listed(begun_at=20, epoch=10, node="n1"))[-1] == ["confirmed"]
    assert kinds(off(10, 15), Missing(begun_at=20))[-1] == []


# -- any order ------------------------------------------------------------------------------------


@st.composite
def logs(draw: st.DrawFn) -> list[Fact]:
    """The facts of one client id in the order in which they happened: one connection after the other."""
    facts: list[Fact] = []
    at = 1_000
    for _ in range(draw(st.integers(1, 4))):
        epoch = at = at + draw(st.integers(1, 40))
        node = draw(st.sampled_from(["n1", "n2"]))
        facts.append(on(epoch, node))
        ending = draw(st.sampled_from(["lasts", "ends", "superseded"]))
        if ending == "lasts":
            continue
        at += draw(st.integers(0, 40))
        told = draw(st.booleans()) or at == epoch
        reason = "takenover" if ending == "superseded" else draw(st.sampled_from(["normal", "tcp_closed"]))
        facts.append(off(epoch if told else None, at, reason, node))
    return facts


@settings(deadline=None)
@given(data=st.data(), log=logs())
def test_any_order_with_repetitions_folds_to_the_same(data: st.DataObject, log: list[Fact]) -> None:
    again = data.draw(st.lists(st.sampled_from(log), max_size=6))
    shuffled = data.draw(st.permutations([*log, *again]))
    assert folded(*shuffled) == folded(*log)


@settings(deadline=None)
@given(data=st.data(), log=logs())
def test_each_fact_is_told_as_a_change_at_most_once(data: st.DataObject, log: list[Fact]) -> None:
    again = data.draw(st.lists(st.sampled_from(log), max_size=6))
    device: Device | None = None
    told: list[tuple[str, int]] = []
    for fact in data.draw(st.permutations([*log, *again])):
        device, transitions = fold(device, "ann_pc", fact)
        told += [(one.kind, one.at) for one in transitions if one.counts]
    assert len(told) == len(set(told))


@settings(deadline=None)
@given(data=st.data(), log=logs())
def test_whatever_is_lost_the_list_has_the_last_word(data: st.DataObject, log: list[Fact]) -> None:
    heard = data.draw(st.permutations([fact for fact in log if data.draw(st.booleans())]))
    live = _live(log)
    end = _end(log) + 1_000
    truth: Fact = (
        Missing(begun_at=end) if live is None else Listed(begun_at=end, epoch=live.epoch, node=live.node)
    )
    device = folded(*heard, truth)
    assert (device is not None and device.online) is (live is not None)
    if live is not None:
        assert device is not None
        assert device.connection == (live.epoch, live.node)


def _live(log: Sequence[Fact]) -> Connected | None:
    """The connection that lasts at the end of a log."""
    live: Connected | None = None
    for fact in log:
        if isinstance(fact, Connected):
            live = fact
        elif isinstance(fact, Disconnected) and fact.reason != "takenover":
            live = None
    return live


def _end(log: Sequence[Fact]) -> int:
    return max(fact.at if isinstance(fact, Disconnected) else getattr(fact, "epoch", 0) for fact in log)
