"""The probe: closed while another thread still connects it, it leaves nothing behind."""

import socket
import threading

import pytest

from mchat.probe import Ended, Probe


@pytest.fixture
def listening() -> socket.socket:
    """A port that takes connections and says nothing."""
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(5)
    return server


def test_a_probe_that_was_closed_does_not_connect(listening: socket.socket) -> None:
    probe = Probe(listening.getsockname()[1], "c", None, None)
    probe.close()
    with listening, pytest.raises(Ended, match="closed before"):
        probe.connect()


def test_who_is_closed_while_connecting_is_gone(listening: socket.socket) -> None:
    probe = Probe(listening.getsockname()[1], "c", None, None)
    before = threading.active_count()
    ended: list[Exception] = []

    def connect() -> None:
        try:
            probe.connect()
        except Ended as error:
            ended.append(error)

    thread = threading.Thread(target=connect)
    thread.start()
    connection, _ = listening.accept()
    connection.settimeout(5)
    with listening, connection:
        probe.close()
        while connection.recv(1024):
            pass
    thread.join(5)
    assert ended
    assert threading.active_count() == before
