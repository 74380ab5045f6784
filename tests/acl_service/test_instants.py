"""Moments on the wire."""

import pytest

from acl_service.instants import iso, iso_or_none


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
