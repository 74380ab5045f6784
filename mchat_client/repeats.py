"""Messages that came before: the gateway delivers at least once, and a repeat carries the same id (decision 13)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Final

KEPT_S: Final = 600.0
"""Seconds for which an id is remembered: ten minutes."""

MOST: Final = 100_000
"""Ids remembered at most; with more in ten minutes, the oldest are forgotten earlier."""


class Repeats:
    """Remembers what came within the last ten minutes.

    Args:
        clock: seconds that never go back.
        kept_s: how long it remembers.
        most: how many at most.
    """

    def __init__(self, clock: Callable[[], float], kept_s: float = KEPT_S, most: int = MOST) -> None:
        self._clock = clock
        self._kept_s = kept_s
        self._most = most
        self._seen: OrderedDict[Hashable, float] = OrderedDict()

    def is_new(self, key: Hashable) -> bool:
        """Tell whether it did not come before, and remember it. A repeat does not lengthen the memory."""
        now = self._clock()
        while self._seen:
            oldest, moment = next(iter(self._seen.items()))
            if now - moment < self._kept_s and len(self._seen) < self._most:
                break
            del self._seen[oldest]
        if key in self._seen:
            return False
        self._seen[key] = now
        return True
