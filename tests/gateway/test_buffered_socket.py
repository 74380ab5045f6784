"""What the buffered socket gives paho, over a real pair of sockets."""

import contextlib
import socket
from collections.abc import Iterator

import pytest

from gateway.buffered_socket import BufferedSocket
from gateway.paho_client import new_client
from gateway.settings import GatewaySettings

Pair = tuple[BufferedSocket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        yield BufferedSocket(ours), theirs


def test_what_came_is_given_in_the_pieces_that_are_asked_for(pair: Pair) -> None:
    ours, theirs = pair
    with pytest.raises(BlockingIOError):
        ours.recv(1)
    theirs.sendall(b"abcdef")
    with pytest.raises(BlockingIOError):
        ours.recv(1)
    ours.fill()
    assert [ours.recv(1), ours.recv(2), ours.pending, ours.recv(9), ours.pending] == [
        *(b"a", b"bc", True),
        *(b"def", False),
    ]
    with pytest.raises(BlockingIOError):
        ours.recv(1)


def test_what_was_not_taken_comes_before_what_came_later(pair: Pair) -> None:
    ours, theirs = pair
    theirs.sendall(b"abc")
    ours.fill()
    assert ours.recv(1) == b"a"
    theirs.sendall(b"def")
    ours.fill()
    assert ours.recv(9) == b"bcdef"
    ours.fill()
    with pytest.raises(BlockingIOError):
        ours.recv(1)


def test_no_more_is_read_than_is_taken(pair: Pair) -> None:
    """Who sends faster than requests are taken in hand waits: neither memory grows, nor do the others' wait behind."""
    ours, theirs = pair
    theirs.setblocking(False)
    sent = 0
    for _ in range(50):
        with contextlib.suppress(BlockingIOError):
            sent += theirs.send(b"x" * 65_536)
        ours.fill()
    assert sent < 50 * 65_536, "the other side had to wait"
    held = len(ours.recv(1 << 30))
    assert 0 < held < 3 * 65_536
    while held < sent:
        ours.fill()
        held += len(ours.recv(1 << 30))
    assert held == sent, "and all of it comes"


def test_a_pause_keeps_what_came_and_the_end_too(pair: Pair) -> None:
    ours, theirs = pair
    theirs.sendall(b"abc")
    ours.fill()
    ours.paused = True
    with pytest.raises(BlockingIOError):
        ours.recv(1)
    assert ours.pending
    theirs.close()
    ours.fill()
    with pytest.raises(BlockingIOError):
        ours.recv(1)
    ours.paused = False
    assert [ours.recv(9), ours.pending, ours.recv(9)] == [b"abc", True, b""]


def test_the_end_comes_after_everything_that_was_said(pair: Pair) -> None:
    ours, theirs = pair
    theirs.sendall(b"last")
    ours.fill()
    theirs.close()
    ours.fill()
    assert [ours.recv(9), ours.recv(9)] == [b"last", b""]


def test_a_connection_that_is_broken_is_at_its_end(pair: Pair) -> None:
    ours, theirs = pair
    theirs.close()
    ours.send(b"nobody reads this")
    assert ours.flush(), "nothing is left to be written"
    ours.fill()
    assert ours.recv(1) == b""


def test_what_is_sent_goes_out_in_one_piece_when_it_is_flushed(pair: Pair) -> None:
    ours, theirs = pair
    theirs.setblocking(False)
    assert ours.send(b"ab") == 2
    assert ours.send(bytearray(b"cd")) == 2
    with pytest.raises(BlockingIOError):
        theirs.recv(9)
    assert ours.flush()
    assert theirs.recv(9) == b"abcd"


def test_what_the_other_side_does_not_take_waits_and_stays_in_order(pair: Pair) -> None:
    ours, theirs = pair
    said = bytes(range(256)) * 40_000
    ours.send(said)
    assert not ours.flush()
    ours.send(b"more")
    theirs.setblocking(False)
    got = bytearray()
    while not ours.flush() or len(got) < len(said) + 4:
        got += theirs.recv(1 << 20)
    assert got == said + b"more"


def test_closing_says_what_is_left(pair: Pair) -> None:
    ours, theirs = pair
    ours.send(b"goodbye")
    ours.close()
    assert theirs.recv(9) == b"goodbye"
    assert theirs.recv(9) == b""


def test_whoever_ends_it_hears_nothing_more(pair: Pair) -> None:
    ours, theirs = pair
    theirs.sendall(b"abc")
    ours.fill()
    ours.end()
    assert ours.recv(1) == b""
    assert theirs.recv(1) == b""


def test_the_client_that_the_gateway_uses_has_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        settings = GatewaySettings(host="127.0.0.1", port=listener.getsockname()[1])
        client = new_client(settings, "secret", clean=True)
        client.connect(settings.host, settings.port)
        link = client.socket()
        assert isinstance(link, BufferedSocket), "paho made its socket elsewhere: see gateway/paho_client.py"
        link.close()
