"""Eclipse mosquitto as a broker to compare with: from PATH or Debian's folder, on a free port."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.postgres import free_port

_START_S = 10.0
_CONFIGURATION = """\
listener {port} 127.0.0.1
allow_anonymous true
persistence false
max_inflight_messages 0
"""


def find_mosquitto() -> str | None:
    """The program, from PATH or from where Debian puts it, which is not on everybody's PATH."""
    return shutil.which(
        "mosquitto", path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))
    )


@contextmanager
def running_mosquitto(program: str, *more: str) -> Iterator[int]:
    """Run it, as a user that is not root where there is one; gives the port.

    `more`: further lines of its configuration.
    """
    folder = Path(tempfile.mkdtemp(prefix="mchat-mosquitto-"))
    port = free_port()
    configuration = folder / "mosquitto.conf"
    configuration.write_text(_CONFIGURATION.format(port=port) + "".join(f"{line}\n" for line in more))
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        configuration.chmod(0o644)
    process = subprocess.Popen(
        [program, "-c", str(configuration)],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        user="nobody" if os.geteuid() == 0 else None,
    )
    try:
        _await_port(process, port)
        yield port
    finally:
        process.terminate()
        process.wait(10)
        shutil.rmtree(folder, ignore_errors=True)


def _await_port(process: "subprocess.Popen[bytes]", port: int) -> None:
    ends = time.monotonic() + _START_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert process.poll() is None, f"mosquitto ended with {process.returncode}"
            assert time.monotonic() < ends, f"mosquitto did not listen within {_START_S:g} s"
            time.sleep(0.02)
        else:
            return


@pytest.fixture(scope="session")
def mosquitto_port() -> Iterator[int]:
    """The port of a running mosquitto; a loud skip without the program, a failure under CI=true."""
    program = find_mosquitto()
    if program is None:
        message = "mosquitto is not installed: apt-get install mosquitto, or put it on PATH"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    with running_mosquitto(program) as port:
        yield port
