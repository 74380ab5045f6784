"""Old rows are deleted in small steps, so that no reader waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from directory.changes import prune_changes
from directory.database import Database
from directory.errors import DirectoryError

log = structlog.get_logger(__name__)


class Retention:
    """Deletes change rows that every reader has long seen.

    A reader that was away for longer than ``keep_s`` drops all that it remembers (directory.feed).

    Args:
        database: the directory.
        now_ms: wall clock, milliseconds since the epoch.
        keep_s: age from which a change row may go (seconds).
        every_s: pause between two rounds (seconds).
    """

    def __init__(
        self,
        database: Database,
        now_ms: Callable[[], int],
        *,
        keep_s: float = 86_400.0,
        every_s: float = 600.0,
    ) -> None:
        self._database = database
        self._now_ms = now_ms
        self._keep_ms = int(keep_s * 1000)
        self._every = every_s

    async def run(self) -> None:
        """Work until cancelled; a database that is away is tried again at the next round."""
        while True:
            try:
                await self.step()
            except DirectoryError as error:
                log.warning("retention waits for the database", error=str(error))
            await asyncio.sleep(self._every)

    async def step(self) -> int:
        """Delete what is too old now; returns the rows deleted.

        Raises:
            directory.errors.DirectoryError: the database did not answer.
        """
        async with self._database.write() as connection:
            return await prune_changes(connection, self._now_ms() - self._keep_ms)
