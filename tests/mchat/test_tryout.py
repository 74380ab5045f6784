"""``mchat listen`` and ``mchat publish`` at brokers that do not answer as they should."""

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mchat.probe import NoAnswer, Probe
from tests.acceptance.processes import environment

CONNACK = b"\x20\x02\x00\x00"
COMMANDS = (("listen", "a/b"), ("publish", "a/b", "hello"))


@contextmanager
def broker(answer: bytes, *, closes: bool = False) -> Iterator[int]:
    """A listener that sends this to whoever speaks to it, and then nothing more; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as nobody:
        taken = [nobody]

        def accept() -> None:
            connection, _ = listener.accept()
            taken[0] = connection
            connection.recv(1024)
            connection.sendall(answer)
            if closes:
                connection.close()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            thread.join(10)
            taken[0].close()


def run(folder: Path, port: int, *command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [
            *(sys.executable, "-m", "mchat", *command, "--as", "alice"),
            *("--broker", f"127.0.0.1:{port}", "--patience", "0.5"),
        ],
        cwd=folder,
        env={**environment(folder), "MCHAT_SECRET": "a-credential"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("command", COMMANDS, ids=["listen", "publish"])
@pytest.mark.parametrize("answer", [b"", CONNACK], ids=["nothing", "connack-only"])
def test_a_broker_that_says_nothing_is_given_up(
    tmp_path: Path, command: tuple[str, ...], answer: bytes
) -> None:
    with broker(answer) as port:
        done = run(tmp_path, port, *command)
    assert done.returncode == 2, done.stderr
    assert f"127.0.0.1:{port} gave no answer within 0.5 s" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("command", COMMANDS, ids=["listen", "publish"])
def test_a_broker_that_ends_the_connection_is_told(tmp_path: Path, command: tuple[str, ...]) -> None:
    with broker(CONNACK, closes=True) as port:
        done = run(tmp_path, port, *command)
    assert done.returncode == 2, done.stderr
    assert done.stderr == f"mchat: 127.0.0.1:{port} ended the connection\n"


def test_the_laptop_brokers_address_is_known_from_the_env_file(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        (tmp_path / ".env").write_text(f"MCHAT_LAPTOP_TCP_BIND={address}\n")
        done = subprocess.run(
            [sys.executable, "-m", "mchat", "listen", "a", "--as", "alice"],
            cwd=tmp_path,
            env={**environment(tmp_path), "MCHAT_SECRET": "a-credential"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 2
    assert f"no broker on {address}" in done.stderr


def test_a_probe_does_not_wait_for_a_connection_that_has_ended() -> None:
    began = time.monotonic()
    with broker(CONNACK, closes=True) as port, Probe(port, "alice_pc", "alice", "a-credential") as probe:
        assert probe.connect() == 0
        for ask in (lambda: probe.subscribe("a"), lambda: probe.publish("a", "b")):
            with pytest.raises(NoAnswer, match="ended the connection"):
                ask()
        assert probe.heard(until="never") == []
    assert time.monotonic() - began < 5, "each of them waits as long for a broker that is only slow"
