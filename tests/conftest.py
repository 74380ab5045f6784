"""Fixtures that every package's tests share."""

import os
import signal
from collections.abc import Iterator

import pytest

import mchat.log

pytest_plugins = ["tests.postgres", "tests.mosquitto"]

# Tests run hundreds of processes, each of which would compile all of MChat again: a fifth of what it takes to start.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# A shell has its background jobs ignore Ctrl-C, and so would every process that a test starts and ends with it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def logs_stay_where_tests_look() -> Iterator[None]:
    """A command that is said within the tests' own process does not decide where all others' lines go from then on."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(mchat.log, "configure", lambda settings: None)
        yield
