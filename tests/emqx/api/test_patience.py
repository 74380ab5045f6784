from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emqx.api.patience import FIRST_PAUSE, pause, retry_after

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("0", 0),
        (" 7 ", 7),
        ("Sat, 21 Nov 2026 12:00:30 GMT", 30),
        ("Sat, 21 Nov 2026 11:00:00 GMT", 0),
        ("soon", None),
        ("-1", None),
        ("1.5", None),
        ("", None),
        ("Sat, 21 Nov 2026 12:00:30", None),
        ("²", None),
    ],
)
def test_retry_after(header: str | None, seconds: float | None) -> None:
    assert retry_after(header, NOW) == seconds


@given(st.text())
def test_no_header_is_too_odd(header: str) -> None:
    found = retry_after(header, NOW)
    assert found is None or found >= 0


@given(st.integers(0, 50), st.floats(0, 1, exclude_max=True), st.floats(0.01, 60))
def test_pauses_grow_to_the_longest_and_differ(repetition: int, chance: float, longest: float) -> None:
    seconds = pause(repetition, None, longest, lambda: chance)
    most = min(longest, FIRST_PAUSE * 2**repetition)
    assert seconds is not None
    assert most / 2 <= seconds <= most
    assert pause(repetition, None, longest, lambda: 0.0) != pause(repetition, None, longest, lambda: 0.9)


@given(st.floats(0, 100), st.floats(0, 1, exclude_max=True))
def test_what_emqx_asks_for_is_kept_or_refused(asked: float, chance: float) -> None:
    seconds = pause(0, asked, 2.0, lambda: chance)
    if asked > 2:
        assert seconds is None
    else:
        assert seconds is not None
        assert asked <= seconds <= asked + FIRST_PAUSE
