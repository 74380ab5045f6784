"""How long to wait before the next attempt to connect."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses that double up to a most, each made shorter by chance, so that clients do not come back all at once.

    Attributes:
        first_s: the longest first pause, in seconds.
        most_s: the longest pause, in seconds.
        stable_s: a connection that held for so many seconds starts the count anew; a shorter one does not, so
            that two programs with one client id do not throw each other out without a pause.
        refusals: times in a row that the broker may refuse a client that it had let in before, until the client
            gives up: the broker refuses while MChat is away, and for ever once a credential has ended.
    """

    first_s: float = 0.5
    most_s: float = 30.0
    stable_s: float = 10.0
    refusals: int = 8

    def pause(self, failures: int, chance: Callable[[], float]) -> float:
        """Seconds to wait after so many failures in a row, the first being 1.

        Args:
            failures: in a row.
            chance: gives a number from 0 to 1.
        """
        longest = min(self.most_s, self.first_s * 2.0 ** min(failures - 1, 32))
        return longest * (0.5 + 0.5 * chance())
