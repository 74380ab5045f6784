"""Moments on the wire."""

import pytest

from directory.instants import LAST_MS, iso, iso_or_none, read


@pytest.mark.parametrize(
    ("at_ms", "written"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1_795_250_495_515, "2026-11-21T08:41:35.515Z"),
        (1_795_250_495_007, "2026-11-21T08:41:35.007Z"),
        (-5, "1970-01-01T00:00:00.000Z"),
        (2**63 - 1, "9999-12-31T23:59:59.999Z"),
    ],
)
def test_a_moment_is_written_in_utc_to_the_millisecond(at_ms: int, written: str) -> None:
    assert iso(at_ms) == iso_or_none(at_ms) == written


def test_no_moment_is_none() -> None:
    assert iso_or_none(None) is None


@pytest.mark.parametrize("at_ms", [0, 1, 1_738_570_000_123, LAST_MS])
def test_what_was_written_is_read(at_ms: int) -> None:
    assert read(iso(at_ms)) == at_ms


def test_a_moment_of_another_zone_is_read_and_one_without_is_none() -> None:
    assert read("2025-02-03T10:00:00+02:00") == read("2025-02-03T08:00:00Z") == 1_738_569_600_000
    assert read("2025-02-03T08:00:00") is None
    assert read("yesterday") is None
