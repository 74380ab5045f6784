"""When this process last ran: one that was stopped, or whose machine slept, finds requests that nobody waits for."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

if sys.platform == "linux":

    def seconds() -> float:
        """Seconds that only grow, while the machine is suspended too (`time.monotonic` leaves that out)."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

else:
    seconds = time.monotonic


class Pulse:
    """Of one connection; felt at least every `pause` seconds, and before anything is begun.

    Once it has stopped it stays so: whatever the connection brought is old.

    Args:
        clock: seconds that only grow.
        longest: seconds without it after which it has stopped.

    Attributes:
        last: when it was last felt, by `clock`.
        pause: after how many seconds it is to be felt again.
    """

    def __init__(self, clock: Callable[[], float], longest: float) -> None:
        self._clock = clock
        self._longest = longest
        self.last = clock()
        self.pause = min(1.0, longest / 4)

    def felt(self) -> bool:
        """Tell whether the process has run all the time, more or less."""
        now = self._clock()
        if now - self.last > self._longest:
            return False
        self.last = now
        return True
