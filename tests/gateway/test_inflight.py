"""What is in hand: acknowledgements in the order of arrival, lanes, and what is given up."""

import asyncio
import itertools
from collections.abc import Callable
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import replies
from gateway.acknowledgements import Acknowledgements
from gateway.exchange import (
    Arrival,
    Delivery,
    Exhausted,
    Later,
    NotConnected,
    PublishError,
    PublishRefused,
    Reply,
    TooLarge,
)
from gateway.figures import Figures
from gateway.inflight import InFlight, Limits
from gateway.outgoing import STRIKES, Outgoing, topic_fault
from gateway.packets import Greeting, Incoming
from tests.emqx.waiting import until
from tests.gateway.echo import Echo, response_topic

ROOM = Greeting(session_present=False, receive_maximum=None, packet_size=None, shared=True)


class Sent:
    """A connection that remembers what was sent, and answers when a test says so."""

    def __init__(self) -> None:
        self.packets: list[tuple[str, bytes]] = []
        self.full = False
        self._ids = itertools.count(1)

    def send(
        self, topic: str, payload: bytes, qos: int, *, retain: bool, correlation: bytes | None
    ) -> int | None:
        if self.full:
            return None
        self.packets.append((topic, payload))
        return next(self._ids)

    def flush(self) -> None:
        """Nothing waits."""


class Stage:
    """What is in hand, with a connection that a test answers for."""

    def __init__(self, echo: Echo, limits: Limits | None = None) -> None:
        self.sent = Sent()
        self.outgoing = Outgoing(10_000)
        self.outgoing.attach(self.sent, ROOM)
        self.acknowledged: list[int] = []
        self.lives = True
        self.acknowledgements = Acknowledgements(self.acknowledged.append, lambda: self.lives)
        self.late: list[tuple[str, bytes]] = []
        self.now = 0.0
        self.figures = Figures()
        limits = limits or Limits(requests=100, of_client=100, seconds=10.0)
        self.hand = InFlight(self.outgoing, self._late, limits, lambda: self.now, self.figures)
        self.hand.handler = echo
        self._ids = itertools.count(1)

    def ask(self, client: str, seq: str, qos: int = 1) -> int:
        packet_id = next(self._ids) if qos else 0
        packet = Incoming(packet_id, f"mchat/msg/req/{client}/{seq}", seq.encode(), False, None, None)
        self.hand.arrived(packet, self.acknowledgements)
        return packet_id

    async def _late(self, topic: str, payload: bytes, correlation: bytes | None) -> None:
        self.late.append((topic, payload))


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


async def test_what_the_brokers_limit_kept_out_is_left_to_the_next_connection() -> None:
    stage = Stage(Echo())
    stage.ask("a", "s0")
    await until(lambda: stage.sent.packets)
    stage.outgoing.published(1, QUOTA_EXCEEDED)
    stage.acknowledgements.end()
    await until(lambda: not stage.hand._tasks)
    assert (len(stage.sent.packets), stage.acknowledged, stage.figures.refused) == (1, [], 0)


async def test_without_qos_nothing_is_acknowledged_and_it_is_answered_all_the_same() -> None:
    stage = Stage(Echo())
    stage.ask("a", "s0", qos=0)
    await until(lambda: stage.sent.packets)
    stage.outgoing.published(1, 0)
    assert stage.acknowledged == []


async def test_the_next_request_of_a_client_begins_before_the_broker_has_answered_the_last() -> None:
    stage = Stage(Echo())
    stage.ask("a", "s0")
    stage.ask("a", "s1")
    await until(lambda: len(stage.sent.packets) == 2)
    stage.outgoing.published(2, 0)
    assert stage.acknowledged == []
    stage.outgoing.published(1, 0)
    assert stage.acknowledged == [1, 2]


async def test_what_was_not_begun_when_its_connection_was_lost_is_left_to_the_next() -> None:
    echo = Echo()
    echo.hold("a")
    stage = Stage(echo)
    stage.ask("a", "s0")
    stage.ask("a", "s1")
    await echo.was_asked(1)
    stage.acknowledgements.end()
    stage.outgoing.detach(suspicious=True)
    stage.acknowledgements = Acknowledgements(stage.acknowledged.append, lambda: True)
    stage.outgoing.attach(stage.sent, ROOM)
    stage.ask("a", "s0")
    echo.release("a")
    await until(lambda: echo.done == ["s0", "s0"])
    assert stage.sent.packets == [("mchat/msg/resp/a/s0", b"s0")], (
        "answered once, on the connection that stands"
    )


class Prompt(Echo):
    """Answers at once whoever is not held."""

    def handle(self, arrival: Arrival) -> Reply | Later:
        if arrival.topic.split("/")[-2] in self.held:
            return super().handle(arrival)
        self.begun.append(arrival.topic.rpartition("/")[2])
        return Reply(response_topic(arrival), arrival.payload, self.deliveries(arrival))


async def test_what_takes_no_waiting_is_published_before_the_next_is_read() -> None:
    echo = Prompt()
    echo.deliveries = lambda arrival: (Delivery("mchat/inbox/b", b"d"),)
    stage = Stage(echo, Limits(requests=1, of_client=1, seconds=10.0))
    for number in range(3):
        stage.ask("a", f"s{number}")
        assert stage.sent.packets[-2:] == [
            ("mchat/inbox/b", b"d"),
            (f"mchat/msg/resp/a/s{number}", f"s{number}".encode()),
        ]
    assert (stage.hand.count, stage.acknowledged, stage.figures.overloaded) == (0, [], 0)
    for packet_id in range(1, 7):
        stage.outgoing.published(packet_id, 0)
    assert stage.acknowledged == [1, 2, 3]


async def test_what_takes_no_waiting_waits_for_its_senders_requests_before_it() -> None:
    echo = Prompt()
    echo.hold("a")
    stage = Stage(echo)
    stage.ask("a", "s0")
    gate = echo.held.pop("a")
    stage.ask("a", "s1")
    stage.ask("b", "s2")
    assert echo.begun == ["s2"]
    gate.set()
    await until(lambda: stage.hand.count == 0)
    assert [topic.rpartition("/")[2] for topic, _ in stage.sent.packets] == ["s2", "s0", "s1"]


@pytest.mark.parametrize("lives", [True, False])
async def test_what_takes_no_waiting_is_not_begun_by_a_process_that_stood_still(lives: bool) -> None:
    echo = Prompt()
    stage = Stage(echo)
    stage.lives = lives
    stage.ask("a", "s0")
    assert (echo.begun, len(stage.sent.packets)) == ((["s0"], 1) if lives else ([], 0))
    assert (stage.hand.count, stage.acknowledged) == (0, [])


@pytest.mark.parametrize("lives", [True, False])
async def test_of_what_a_process_that_stood_still_finds_nothing_is_begun(lives: bool) -> None:
    """Before the connection itself has noticed."""
    echo = Echo()
    echo.hold("a")
    stage = Stage(echo)
    stage.ask("a", "s0")
    stage.ask("a", "s1")
    await echo.was_asked(1)
    stage.lives = lives
    stage.ask("b", "s2")
    echo.release("a")
    await until(lambda: stage.hand.count == 0)
    assert echo.begun == (["s0", "s2", "s1"] if lives else ["s0"])
    assert len(stage.sent.packets) == (3 if lives else 0)


async def test_after_goes_on_by_itself_and_counts_as_in_hand() -> None:
    echo = Echo()
    go = asyncio.Event()

    async def after() -> bytes:
        await go.wait()
        return b"late"

    echo.after = lambda arrival: after
    echo.response = lambda arrival: None
    stage = Stage(echo)
    stage.ask("a", "s0")
    await until(lambda: stage.acknowledged == [1])
    assert stage.hand.count == 1
    finished = asyncio.create_task(stage.hand.finished(stage.acknowledgements))
    await asyncio.sleep(0)
    assert not finished.done()
    go.set()
    await finished
    assert stage.late == [("mchat/msg/resp/a/s0", b"late")]


async def test_what_follows_a_response_is_done_and_says_nothing() -> None:
    echo = Echo()
    done = asyncio.Event()

    async def after() -> bytes:
        done.set()
        return b"not to be said"

    echo.after = lambda arrival: after
    stage = Stage(echo)
    stage.ask("a", "s0")
    await done.wait()
    stage.outgoing.published(1, 0)
    await stage.hand.finished(stage.acknowledgements)
    assert (stage.late, stage.sent.packets) == ([], [("mchat/msg/resp/a/s0", b"s0")])


async def test_a_request_with_nobody_to_answer_is_acknowledged() -> None:
    class Dropping(Echo):
        def handle(self, arrival: Arrival) -> Reply:
            return Reply(None)

    stage = Stage(Dropping())
    stage.ask("a", "s0")
    await until(lambda: stage.acknowledged == [1])
    assert stage.sent.packets == []


async def test_a_handler_that_cannot_even_refuse_holds_nobody() -> None:
    class Broken(Echo):
        def refuse(self, arrival: Arrival, code: Literal[413, 503]) -> Reply:
            raise RuntimeError("no")

    echo = Broken()
    echo.hold("a")
    stage = Stage(echo, Limits(requests=1, of_client=1, seconds=10.0))
    stage.ask("a", "s0")
    stage.ask("b", "s1")
    echo.release("a")
    await until(lambda: stage.sent.packets)
    stage.outgoing.published(1, 0)
    assert (stage.acknowledged, stage.figures.unanswered) == ([1, 2], 1)


async def test_clients_of_other_services_and_names_have_lanes_of_their_own() -> None:
    echo = Echo()
    echo.hold("a")
    stage = Stage(echo)
    stage.ask("a", "s0")
    stage.ask("a_", "s1")
    stage.ask("A", "s2")
    await echo.was_asked(3)
    assert echo.done == ["s1", "s2"]
    await stage.hand.stop()


async def test_stopping_cuts_off_what_is_in_hand() -> None:
    echo = Echo()
    echo.hold("a")
    stage = Stage(echo)
    stage.ask("a", "s0")
    stage.ask("a", "s1")
    await echo.was_asked(1)
    await stage.hand.stop()
    assert (stage.hand.count, echo.done, stage.acknowledged) == (0, [], [])


# What is published.


def heard(into: list[PublishError | None]) -> Callable[[PublishError | None], None]:
    return into.append


def test_no_more_is_on_its_way_than_the_broker_takes() -> None:
    outgoing, sent, ends = Outgoing(10_000), Sent(), list[PublishError | None]()
    outgoing.attach(sent, Greeting(False, receive_maximum=2, packet_size=None, shared=True))
    for number in range(5):
        outgoing.put(f"t/{number}", b"x", heard(ends))
    assert [topic for topic, _ in sent.packets] == ["t/0", "t/1"]
    outgoing.published(1, 0)
    assert [topic for topic, _ in sent.packets] == ["t/0", "t/1", "t/2"]
    sent.full = True
    outgoing.published(2, 0)
    sent.full = False
    outgoing.published(3, 0)
    assert ([topic for topic, _ in sent.packets], ends) == (
        [f"t/{number}" for number in range(5)],
        [None] * 3,
    )


@pytest.mark.parametrize(
    ("code", "kind"), [(0x87, PublishRefused), (0x90, PublishRefused), (0x97, Exhausted), (0x10, None)]
)
def test_a_reason_code_tells_whether_it_may_be_tried_again(
    code: int, kind: type[PublishError] | None
) -> None:
    outgoing, ends = Outgoing(10_000), list[PublishError | None]()
    outgoing.attach(Sent(), ROOM)
    outgoing.put("t", b"x", heard(ends))
    outgoing.published(1, code)
    assert [type(end) for end in ends] == [kind or type(None)]


def test_what_is_too_large_or_no_topic_is_refused_before_it_is_sent() -> None:
    outgoing, sent, ends = Outgoing(10_000), Sent(), list[PublishError | None]()
    outgoing.attach(sent, Greeting(False, None, packet_size=100, shared=True))
    outgoing.put("t", b"x" * 100, heard(ends))
    outgoing.put("t/#", b"x", heard(ends))
    outgoing.put("t", b"x" * 70, heard(ends))
    assert [type(end) for end in ends] == [TooLarge, PublishRefused]
    assert sent.packets == [("t", b"x" * 70)]


def test_what_may_have_ended_connections_goes_alone_and_is_given_up_the_rest_goes_on() -> None:
    outgoing = Outgoing(10_000)
    for turn in range(STRIKES):
        sent, ends = Sent(), list[PublishError | None]()
        outgoing.attach(sent, ROOM)
        for topic in ("good/1", "bad", "good/2"):
            outgoing.put(topic, b"x", heard(ends))
        if turn:
            assert sent.packets == [("good/1", b"x")], (
                "what is suspected neither goes with others nor before them"
            )
            outgoing.published(1, 0)
            assert sent.packets[1:] == [("bad", b"x")], "and others do not go with it"
        outgoing.detach(suspicious=True)
    sent, ends = Sent(), []
    outgoing.attach(sent, ROOM)
    for topic in ("bad", "good/2", "good/1"):
        outgoing.put(topic, b"x", heard(ends))
    assert isinstance(ends[0], PublishRefused)
    assert "good/2" in [topic for topic, _ in sent.packets]
    assert "bad" not in [topic for topic, _ in sent.packets]


def test_nothing_goes_with_what_is_suspected_and_what_was_taken_is_suspected_no_more() -> None:
    outgoing, first, ends = Outgoing(10_000), Sent(), list[PublishError | None]()
    outgoing.attach(first, ROOM)
    outgoing.put("odd", b"x", heard(ends))
    outgoing.detach(suspicious=True)
    second = Sent()
    outgoing.attach(second, ROOM)
    for topic in ("odd", "new"):
        outgoing.put(topic, b"x", heard(ends))
    assert [topic for topic, _ in second.packets] == ["odd"]
    outgoing.published(1, 0)
    assert [topic for topic, _ in second.packets] == ["odd", "new"]
    outgoing.put("odd", b"x", heard(ends))
    assert [topic for topic, _ in second.packets] == ["odd", "new", "odd"], "it waits for nobody any more"


def test_connections_that_the_gateway_ends_make_nobody_suspicious() -> None:
    outgoing = Outgoing(10_000)
    for _ in range(STRIKES + 1):
        sent, ends = Sent(), list[PublishError | None]()
        outgoing.attach(sent, ROOM)
        for topic in ("a", "b"):
            outgoing.put(topic, b"x", heard(ends))
        assert [topic for topic, _ in sent.packets] == ["a", "b"]
        outgoing.detach(suspicious=False)
        assert [type(end) for end in ends] == [NotConnected, NotConnected]


@pytest.mark.parametrize("topic", ["", "a/+", "a/#", "#", "$SYS/a", "a\0", "\ud800", "é" * 40_000])
def test_what_is_no_topic(topic: str) -> None:
    assert topic_fault(topic) is not None
    assert topic_fault("mchat/inbox/é") is None
