"""How fast sessions are brought in line when many are, so that the broker's API is left to what is urgent."""

from __future__ import annotations

from collections.abc import Awaitable, Callable


class Pace:
    """Spreads work over time; several may share one.

    Args:
        rate: sessions a second.
        clock: monotonic seconds.
        sleep: waits that many seconds.
    """

    def __init__(
        self, rate: float, clock: Callable[[], float], sleep: Callable[[float], Awaitable[None]]
    ) -> None:
        self._rate = rate
        self._clock = clock
        self._sleep = sleep
        self._free_at = 0.0

    async def take(self, sessions: int) -> None:
        """Wait for the turn of so many sessions; the first to come does not wait."""
        now = self._clock()
        begin = max(now, self._free_at)
        self._free_at = begin + sessions / self._rate
        if begin > now:
            await self._sleep(begin - now)
