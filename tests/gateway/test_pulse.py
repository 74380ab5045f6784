"""Whether a process ran all the time."""

import sys
import time

import pytest

from gateway.pulse import Pulse, seconds


def test_it_is_felt_while_it_is_looked_for_often_enough() -> None:
    now = 10.0
    pulse = Pulse(lambda: now, 15.0)
    for _ in range(5):
        now += 15.0
        assert pulse.felt()
    assert pulse.last == 85.0


def test_once_it_has_stopped_it_stays_so_and_tells_since_when() -> None:
    now = 10.0
    pulse = Pulse(lambda: now, 15.0)
    now = 12.0
    assert pulse.felt()
    now = 27.1
    assert not pulse.felt()
    assert not pulse.felt()
    assert pulse.last == 12.0


def test_it_is_looked_for_more_often_where_it_must_not_stop_for_long() -> None:
    assert [Pulse(lambda: 0.0, longest).pause for longest in (1, 2, 15, 3_600)] == [0.25, 0.5, 1.0, 1.0]


@pytest.mark.skipif(sys.platform != "linux", reason="no other system tells")
def test_the_time_that_the_machine_was_suspended_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "clock_gettime", {time.CLOCK_BOOTTIME: 7.0, time.CLOCK_MONOTONIC: 5.0}.get)
    assert seconds() == 7.0
