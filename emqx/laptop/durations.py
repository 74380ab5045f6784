"""Durations as EMQX writes them: ``5s``, ``1m``, ``1h30m``, ``500ms``."""

import re

PATTERN = r"^(\d+(\.\d+)?(d|h|m|s|ms))+$"
"""What is one; for schemas."""

_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|d|h|m|s)")
_SECONDS = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


def seconds(text: str) -> float:
    """The seconds of a duration.

    Raises:
        ValueError: it is none.
    """
    if not re.match(PATTERN, text):
        raise ValueError(f"{text!r} is no duration: write it as 5s, 1m or 1h30m")
    return sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text))


def written(duration: float) -> str:
    """The shortest way to write so many seconds, to the millisecond."""
    milliseconds = round(duration * 1_000)
    for unit, length in _SECONDS.items():
        if milliseconds and milliseconds % round(length * 1_000) == 0:
            return f"{milliseconds // round(length * 1_000)}{unit}"
    return "0s"
