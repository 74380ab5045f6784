"""Old rows are deleted in small steps, so that no reader waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from directory import events, outbox, replicas
from directory.changes import prune_changes
from directory.database import Database
from directory.errors import DirectoryError

log = structlog.get_logger(__name__)


STEP = 5_000
"""Rows deleted in one transaction at most."""

STEP_PAUSE_S = 1.0
"""Between two steps of a round that has more to do."""


@dataclass(frozen=True, slots=True)
class Keeping:
    """How long rows are kept, in seconds; of some, how many.

    Attributes:
        changes: change rows; a reader that was away longer drops all that it remembers (directory.feed).
        events: the broker's events.
        most_events: of those, so many at most, whatever their age: a client that publishes, subscribes or connects
            without end is told of without end.
        work: outbox rows that are done.
        replicas: processes that are silent; longer than the enforcer waits for one (decision 8).
    """

    changes: float = 86_400.0
    events: float = 30 * 86_400.0
    most_events: int = 20_000_000
    work: float = 7 * 86_400.0
    replicas: float = 3_600.0


class Retention:
    """Deletes rows that nobody needs any more.

    Args:
        database: the directory.
        now_ms: wall clock, milliseconds since the epoch.
        keeping: how long rows are kept.
        every_s: pause between two rounds (seconds).
    """

    def __init__(
        self,
        database: Database,
        now_ms: Callable[[], int],
        keeping: Keeping | None = None,
        *,
        every_s: float = 600.0,
    ) -> None:
        self._database = database
        self._now_ms = now_ms
        self._keeping = keeping or Keeping()
        self._every = every_s

    async def run(self) -> None:
        """Work until cancelled; a database that is away is tried again at the next round."""
        while True:
            pause = self._every
            try:
                if await self.step() >= STEP:
                    pause = STEP_PAUSE_S
            except DirectoryError as error:
                log.warning("retention waits for the database", error=str(error))
            await asyncio.sleep(pause)

    async def step(self) -> int:
        """Delete some of what is too old now; returns the rows deleted.

        Raises:
            directory.errors.DirectoryError: the database did not answer.
        """
        now_ms, keeping = self._now_ms(), self._keeping
        async with self._database.write() as connection:
            gone = await prune_changes(connection, now_ms - int(keeping.changes * 1000))
        async with self._database.write() as connection:
            gone += await events.prune(connection, now_ms - int(keeping.events * 1000), STEP)
        async with self._database.write() as connection:
            gone += await events.prune_beyond(connection, keeping.most_events, STEP)
        async with self._database.write() as connection:
            gone += await outbox.prune(connection, now_ms - int(keeping.work * 1000), STEP)
        async with self._database.write() as connection:
            gone += await replicas.forget_silent(connection, now_ms - int(keeping.replicas * 1000))
        return gone
