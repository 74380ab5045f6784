"""Has projections published again that stand on their topics no more, or may not: of many people, one after the other.

A broker that began anew has lost what it retained. Where it lost events, a status that somebody forged may stand on a
topic without anybody having heard of it (rule 13): nothing but another publish puts it right.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from directory import standing
from directory.database import Database

APART_MS: Final = 2
"""Between two projections that are put back, so that what changes meanwhile has its turn."""

LATELY_MS: Final = 86_400_000
"""Whose last device left longer ago has no will that still waits: the broker would have to keep the session so long."""

REST_MS: Final = 60_000
"""From the beginning of a round to the next one for a doubt, at least; and five times as long as it takes. What is put
back is told as events too: where all events are lost, each round would be the reason of the next."""

_PAGE: Final = 1_000


class Restoration:
    """Rounds of it.

    Args:
        database: the directory.
        now_ms: wall clock, milliseconds since the epoch.
    """

    def __init__(self, database: Database, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._now_ms = now_ms
        self._began_at = 0
        self._rests_to = 0

    async def everybody(self) -> int:
        """Have every projection published again that the broker has taken; returns how many.

        Raises:
            directory.errors.DirectoryError: some are, the others are not.
        """
        return await self._round(None)

    async def lately_here(self, doubted_at: int) -> int | None:
        """Have the projections of those published again who could contradict them lately; returns how many.

        A round that began since the doubt has put it right: then none are. Soon after an older one none are either,
        and None says that the doubt remains (`REST_MS`).

        Args:
            doubted_at: when it was noticed that events are lost, milliseconds since the epoch.

        Raises:
            directory.errors.DirectoryError: some are, the others are not.
        """
        if self._began_at >= doubted_at:
            return 0
        if self._began_at <= self._now_ms() < self._rests_to:
            return None
        return await self._round(self._now_ms() - LATELY_MS)

    async def _round(self, since_ms: int | None) -> int:
        began_at = self._now_ms()
        count, after, more = 0, "", True
        while more:
            async with self._database.read() as connection:
                names = await standing.published_after(connection, after, _PAGE, here_since_ms=since_ms)
            due = {name: began_at + APART_MS * (count + place) for place, name in enumerate(names)}
            async with self._database.write() as connection:
                await standing.unpublish(connection, due)
            count += len(names)
            more = len(names) == _PAGE
            after = names[-1] if names else ""
        self._began_at, self._rests_to = began_at, began_at + max(REST_MS, 5 * APART_MS * count)
        return count
