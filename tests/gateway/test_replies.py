"""Replies on their way, and the acknowledgements of their requests, in the order of arrival."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import replies
from gateway.acknowledgements import Acknowledgements
from gateway.exchange import (
    Delivery,
)
from gateway.outgoing import STRIKES
from tests.emqx.waiting import until
from tests.gateway.echo import Echo
from tests.gateway.in_hand import ROOM, Sent, Stage


@given(st.permutations(range(1, 9)))
def test_acknowledgements_go_out_in_the_order_of_arrival(order: list[int]) -> None:
    out: list[int] = []
    acknowledgements = Acknowledgements(out.append, lambda: True)
    dues = {packet_id: acknowledgements.expect(packet_id) for packet_id in range(1, 9)}
    settled: set[int] = set()
    for packet_id in order:
        acknowledgements.settle(dues[packet_id])
        settled.add(packet_id)
        # As many as can be, and none before its turn.
        assert out == list(itertools.takewhile(settled.__contains__, range(1, 9)))


def test_nothing_is_acknowledged_once_the_connection_is_over() -> None:
    out: list[int] = []
    acknowledgements = Acknowledgements(out.append, lambda: True)
    first, second = acknowledgements.expect(1), acknowledgements.expect(2)
    acknowledgements.settle(first)
    acknowledgements.end()
    acknowledgements.settle(second)
    assert (out, acknowledgements.open) == ([1], 0)


async def test_a_request_is_acknowledged_when_the_broker_has_all_of_it() -> None:
    echo = Echo()
    echo.deliveries = lambda arrival: (Delivery("mchat/inbox/b", b"d"),)
    stage = Stage(echo)
    stage.ask("a", "s0")
    await until(lambda: len(stage.sent.packets) == 2)
    assert [topic for topic, _ in stage.sent.packets] == ["mchat/inbox/b", "mchat/msg/resp/a/s0"]
    stage.outgoing.published(1, 0)
    assert stage.acknowledged == [], "the response is not with the broker yet"
    stage.outgoing.published(2, 0)
    assert stage.acknowledged == [1]
    await stage.hand.finished(stage.acknowledgements)


QUOTA_EXCEEDED = 0x97


async def test_a_delivery_that_is_given_up_is_not_answered_as_if_it_went_out() -> None:
    """Three connections are lost while it is on its way, the last two while it is alone."""
    echo = Echo()
    echo.deliveries = lambda arrival: (Delivery("mchat/inbox/b", b"d"),)
    stage = Stage(echo)
    for _ in range(STRIKES):
        stage.ask("a", "s0")
        await until(lambda: stage.sent.packets)
        stage.outgoing.detach(suspicious=True)
        await until(lambda: not stage.hand.count)
        stage.sent = Sent()
        stage.outgoing.attach(stage.sent, ROOM)
    stage.ask("a", "s0")
    await until(lambda: stage.sent.packets)
    assert stage.sent.packets == [("mchat/msg/resp/a/s0", b"413")]


async def test_what_the_brokers_limit_keeps_out_is_published_again_before_the_request_is_acknowledged() -> (
    None
):
    echo = Echo()
    echo.deliveries = lambda arrival: (Delivery("mchat/inbox/b", b"d", retain=True),)
    stage = Stage(echo)
    stage.ask("a", "s0")
    await until(lambda: len(stage.sent.packets) == 2)
    stage.outgoing.published(1, QUOTA_EXCEEDED)
    stage.outgoing.published(2, 0)
    await until(lambda: len(stage.sent.packets) == 3)
    assert stage.sent.packets[2] == ("mchat/inbox/b", b"d")
    assert stage.acknowledged == []
    stage.outgoing.published(3, QUOTA_EXCEEDED)
    await until(lambda: len(stage.sent.packets) == 4)
    stage.outgoing.published(4, 0)
    await until(lambda: stage.acknowledged == [1])
    assert stage.figures.refused == 0


async def test_what_the_brokers_limit_keeps_out_for_good_is_given_up_and_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(replies, "_PAUSES_S", (0.0, 0.0))
    stage = Stage(Echo())
    stage.ask("a", "s0")
    for packet_id in (1, 2, 3):
        await until(lambda number=packet_id: len(stage.sent.packets) == number)  # type: ignore[misc]
        stage.outgoing.published(packet_id, QUOTA_EXCEEDED)
    await until(lambda: stage.acknowledged == [1])
    assert (len(stage.sent.packets), stage.figures.refused) == (3, 1)


async def test_what_the_broker_refuses_when_it_is_published_again_is_given_up_and_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(replies, "_PAUSES_S", (0.0, 0.0))
    stage = Stage(Echo())
    stage.ask("a", "s0")
    await until(lambda: stage.sent.packets)
    stage.outgoing.published(1, QUOTA_EXCEEDED)
    await until(lambda: len(stage.sent.packets) == 2)
    stage.outgoing.published(2, 0x87)
    await until(lambda: stage.acknowledged == [1])
    assert (len(stage.sent.packets), stage.figures.refused) == (2, 1)


async def test_what_the_brokers_limit_kept_out_is_left_to_the_next_connection() -> None:
    stage = Stage(Echo())
    stage.ask("a", "s0")
    await until(lambda: stage.sent.packets)
    stage.outgoing.published(1, QUOTA_EXCEEDED)
    stage.acknowledgements.end()
    await until(lambda: not stage.hand._tasks)
    assert (len(stage.sent.packets), stage.acknowledged, stage.figures.refused) == (1, [], 0)
