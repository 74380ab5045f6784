"""What waits to be published is bounded, whatever comes of it."""

import pytest

from gateway.exchange import NotConnected, PublishError
from gateway.outgoing import MOST_BYTES, MOST_WAITING, Outgoing
from gateway.packets import Greeting

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
