"""How long to wait before a call is tried again: back-off with jitter, and what EMQX asks for, bounded."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from email.utils import parsedate_to_datetime

FIRST_PAUSE = 0.1
"""Seconds, at most, before the first repetition; doubled for each further one."""


def retry_after(header: str | None, now: datetime) -> float | None:
    """Seconds of a ``Retry-After`` header, a number or a date (RFC 9110 section 10.2.3); None = absent or none."""
    if header is None:
        return None
    if header.strip().isdecimal():
        return float(header)
    try:
        return max(0.0, (parsedate_to_datetime(header) - now).total_seconds())
    except (TypeError, ValueError):
        return None


def pause(repetition: int, asked: float | None, longest: float, random: Callable[[], float]) -> float | None:
    """Seconds to wait before a repetition; None = EMQX asks for more than we wait, so leave it to the caller.

    Args:
        repetition: 0 for the first.
        asked: what ``Retry-After`` said; None = nothing.
        longest: the longest pause.
        random: gives a number in [0, 1).
    """
    if asked is None:
        return min(longest, FIRST_PAUSE * 2.0**repetition) * (0.5 + random() / 2)
    if asked > longest:
        return None
    # Not all of those who were told the same second should come back in it.
    return asked + FIRST_PAUSE * random()
