"""Moments as the REST API writes and reads them: RFC 3339."""

from datetime import UTC, datetime


def milliseconds_written(moment: int) -> str:
    """Unix milliseconds as clients and rules have them: ``2026-11-21T08:43:11.016+00:00``."""
    return datetime.fromtimestamp(moment / 1_000, UTC).isoformat(timespec="milliseconds")


def seconds_written(moment: int) -> str:
    """Unix seconds as bans have them: ``2026-11-21T08:43:33+00:00``."""
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")


def seconds_read(text: str) -> int:
    """Unix seconds of a moment with its offset from UTC.

    Raises:
        ValueError: it is none, or has no offset.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no offset from UTC: write it as 2030-01-01T00:00:00Z")
    return int(moment.timestamp())
