"""Notices people of whom much is recorded: what is kept of one person is bounded in number, and not only in time.

A client id is any name behind the person's own, so that whoever comes and goes under a new one each time leaves a
device and two lines of history each time, for as long as history is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

DEVICES: Final = 1_000
"""Devices kept of a person beside those that are on: the ones heard of last."""

HISTORY: Final = 10_000
"""Lines of history kept of a person: the newest."""

EVERY: Final = 1_000
"""A person is looked at each time that so much was recorded: so much more may be kept meanwhile."""

_MOST: Final = 10_000


class Excess:
    """Counts what is recorded of people; in memory only, a few too many after a restart do no harm."""

    def __init__(self) -> None:
        self._recorded: dict[str, int] = {}

    def add(self, recorded: Mapping[str, int]) -> list[str]:
        """Count lines of history by employee id; returns the people of whom what is kept is to be looked at now."""
        if len(self._recorded) > _MOST:
            self._recorded.clear()
        due = []
        for employee_id, lines in recorded.items():
            count = self._recorded.get(employee_id, 0) + lines
            if count >= EVERY:
                due.append(employee_id)
                count = 0
            self._recorded[employee_id] = count
        return due
