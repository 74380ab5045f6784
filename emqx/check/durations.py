"""Durations as EMQX tells them, for comparing."""

from __future__ import annotations

from emqx.laptop import durations

FOREVER = float("inf")


def seconds(value: object) -> float | None:
    """The seconds of ``5s``, ``1m``, ``5000ms``; of ``infinity``, infinite; None = it is no duration that we know."""
    if value == "infinity":
        return FOREVER
    try:
        return durations.seconds(str(value))
    except ValueError:
        return None
