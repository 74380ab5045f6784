"""Moments as they go over the wire: ISO 8601, UTC, milliseconds and `Z` (design, "Data")."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

_SECOND: Final = 1_000
LAST_MS: Final = 253_402_300_799_999
"""The last millisecond that a calendar holds."""


def iso(at_ms: int) -> str:
    """Write a moment, milliseconds since the epoch; one that no calendar holds (a clock gone mad) as the nearest."""
    at_ms = min(max(at_ms, 0), LAST_MS)
    return f"{_to_the_second(at_ms // _SECOND)}.{at_ms % _SECOND:03d}Z"


@lru_cache(maxsize=64)
def _to_the_second(at_s: int) -> str:
    return f"{datetime.fromtimestamp(at_s, UTC):%Y-%m-%dT%H:%M:%S}"


def iso_or_none(at_ms: int | None) -> str | None:
    """Write a moment, if there is one."""
    return None if at_ms is None else iso(at_ms)


def read(text: str) -> int | None:
    """Read a moment that names its zone, in milliseconds since the epoch; None if it is none."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if at.tzinfo is None else int(at.timestamp() * _SECOND)
