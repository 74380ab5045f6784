"""Rights that end by their own time: left to the enforcer within a moment of it, once, by whichever worker is first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from directory import endings
from directory.database import Database
from directory.errors import DirectoryError

log = structlog.get_logger(__name__)

AUTHOR = "enforcer"


class Endings:
    """Sleeps until something begins or ends by itself, leaves the work for it, and wakes the enforcer.

    Several workers may run one each: the directory's watermark lets each ending be left once.

    Args:
        database: the directory.
        now_ms: wall clock, milliseconds since the epoch.
        wake: tells the enforcer that there is work.
        every_s: the longest sleep (seconds): an end that is nearer than this when it is written may be seen that
            much too late.
    """

    def __init__(
        self, database: Database, now_ms: Callable[[], int], wake: Callable[[], None], *, every_s: float = 0.5
    ) -> None:
        self._database = database
        self._now_ms = now_ms
        self._wake = wake
        self._every = every_s
        # Up to where this worker has looked; None: not yet, and then it must, or what ends next would be its first.
        self._looked_at: int | None = None

    async def run(self) -> None:
        """Work until cancelled; a database that is away is tried again, and told once."""
        away = False
        while True:
            pause = self._every
            try:
                pause = await self.step()
            except DirectoryError as error:
                if not away:
                    log.warning("endings wait for the database", error=str(error))
                away = True
            else:
                if away:
                    log.info("endings reach the database again")
                away = False
            await asyncio.sleep(pause)

    async def step(self) -> float:
        """Leave the work for what has begun or ended by now; returns the seconds to sleep before the next step.

        Raises:
            directory.errors.DirectoryError: the database did not answer; nothing is lost.
        """
        now_ms = self._now_ms()
        if self._looked_at is not None and now_ms < self._looked_at:
            self._looked_at = None  # the clock went back: the directory knows what to do about it
        coming = await self._coming()
        if self._looked_at is None or (coming is not None and coming <= now_ms):
            # Only when there is something: an idle worker writes nothing.
            async with self._database.change(AUTHOR, now_ms) as change:
                left = await endings.pass_time(change, now_ms)
            if left:
                self._wake()
            if left >= endings.STEP:
                return 0.0
            self._looked_at = now_ms
            coming = await self._coming()
        if coming is None:
            return self._every
        return min(self._every, max(0, coming - self._now_ms()) / 1000)

    async def _coming(self) -> int | None:
        if self._looked_at is None:
            return None
        async with self._database.read() as connection:
            return await endings.next_ending(connection, self._looked_at)
