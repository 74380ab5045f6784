"""Times and durations as people read them; for machines there is `--json`."""

from __future__ import annotations

from datetime import UTC, datetime


def clock_time(ms: int) -> str:
    """A moment, milliseconds since the epoch, as UTC to the second."""
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def duration(ms: int | float) -> str:
    """A duration in milliseconds: exact while it is short, rough when it is long."""
    seconds = ms / 1000
    if seconds < 1:
        return f"{ms:.0f} ms"
    if seconds < 120:
        return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, hours = seconds / 60, seconds / 3600
    if minutes < 120:
        return f"{minutes:.0f} min"
    return f"{hours:.0f} h" if hours < 48 else f"{hours / 24:.0f} d"


def ago(ms: int) -> str:
    """How long ago something was, by the clock of another machine perhaps: never in the future."""
    return f"{duration(max(0, ms))} ago"
