"""What is published: bounded while it waits, alone when it is suspected, given up when it must be."""

from collections.abc import Callable

import pytest

from gateway.exchange import (
    Exhausted,
    NotConnected,
    PublishError,
    PublishRefused,
    TooLarge,
)
from gateway.outgoing import MOST_BYTES, MOST_WAITING, STRIKES, Outgoing, topic_fault
from gateway.packets import Greeting
from tests.gateway.in_hand import ROOM, Sent

SIZE = 400 * 1024
"""About what a page of a large organisation's tree has."""


class Slow:
    """A connection whose broker acknowledges nothing by itself."""

    def __init__(self) -> None:
        self.sent = 0

    def send(
        self, topic: str, payload: bytes, qos: int, *, retain: bool, correlation: bytes | None
    ) -> int | None:
        self.sent += 1
        return self.sent

    def flush(self) -> None:
        """Nothing is kept back."""


@pytest.fixture
def outgoing() -> Outgoing:
    made = Outgoing(1 << 20)
    made.attach(Slow(), Greeting(session_present=False, receive_maximum=20, packet_size=None, shared=True))
    return made


def heard(into: list[PublishError | None]) -> Callable[[PublishError | None], None]:
    return into.append


def put(outgoing: Outgoing, payload: bytes) -> list[PublishError | None]:
    ended: list[PublishError | None] = []
    outgoing.put("t", payload, ended.append)
    return ended


def test_large_answers_that_nobody_takes_fill_no_memory(outgoing: Outgoing) -> None:
    taken = 0
    while not (ended := put(outgoing, bytes(SIZE))):
        taken += SIZE
        assert taken < MOST_WAITING * SIZE, "it never ends"
    assert isinstance(ended[0], NotConnected)
    assert MOST_BYTES - SIZE <= taken <= MOST_BYTES
    assert put(outgoing, b"a response"), "a delivery that found no room is not answered as if it had gone out"


def test_there_is_room_again_when_the_broker_has_taken_some(outgoing: Outgoing) -> None:
    while not put(outgoing, bytes(SIZE)):
        pass
    packet_id = 0
    while put(outgoing, b"a response"):
        packet_id += 1
        outgoing.published(packet_id, 0)
    assert packet_id > 2
    assert not put(outgoing, bytes(SIZE))


def test_a_new_connection_begins_with_all_its_room(outgoing: Outgoing) -> None:
    while not put(outgoing, bytes(SIZE)):
        pass
    outgoing.detach(suspicious=False)
    outgoing.attach(Slow(), Greeting(False, 20, None, True))
    assert not put(outgoing, bytes(SIZE))


def test_what_is_larger_than_all_the_room_goes_alone() -> None:
    made = Outgoing(2 * MOST_BYTES)
    made.attach(Slow(), Greeting(False, 20, None, True))
    assert not put(made, bytes(MOST_BYTES + 1))
    assert put(made, b"x")


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
