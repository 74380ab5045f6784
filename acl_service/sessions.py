"""Session rows, written behind the answered connects (design.md, "Connect").

Nobody may assume that a row is there earlier than 50 ms after the answer, and a crash may lose it: events
and reconciliation correct that. So the hook never waits for this.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from directory.errors import DirectoryError, Unavailable
from directory.sessions import SessionRow

log = structlog.get_logger(__name__)


class SessionWriter:
    """Keeps the newest row of each client id and writes them in batches.

    Args:
        write: stores rows in one transaction.
        gather_s: how long neighbours are waited for before a batch goes (seconds).
        retry_s: pause after a failed batch (seconds).
        batch: rows in one transaction at most.
        waiting: client ids kept at most; beyond that the oldest row is dropped and counted.
    """

    def __init__(
        self,
        write: Callable[[list[SessionRow]], Awaitable[None]],
        *,
        gather_s: float = 0.02,
        retry_s: float = 0.5,
        batch: int = 500,
        waiting: int = 100_000,
    ) -> None:
        self._write = write
        self._gather = gather_s
        self._retry = retry_s
        self._batch = batch
        self._waiting = waiting
        self._rows: dict[str, SessionRow] = {}
        self._task: asyncio.Task[None] | None = None
        self._closing = False
        self.dropped = 0

    @property
    def waiting(self) -> int:
        """Rows not yet written."""
        return len(self._rows)

    def put(self, row: SessionRow) -> None:
        """Have this row written soon; a newer row of the same client id takes its place."""
        self._rows.pop(row.client_id, None)
        if len(self._rows) >= self._waiting:
            del self._rows[next(iter(self._rows))]
            self.dropped += 1
        self._rows[row.client_id] = row
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="session-writer")

    async def _run(self) -> None:
        try:
            while self._rows:
                if not self._closing and len(self._rows) < self._batch:
                    await asyncio.sleep(self._gather)
                batch = list(self._rows.values())[: self._batch]
                try:
                    await self._store(batch)
                except DirectoryError as error:
                    if self._closing:
                        self._lose(len(self._rows), error)
                        return
                    log.warning("session rows wait for the database", count=len(self._rows), error=str(error))
                    await asyncio.sleep(self._retry)
                    continue
                for row in batch:
                    if self._rows.get(row.client_id) is row:
                        del self._rows[row.client_id]
        finally:
            self._task = None

    async def _store(self, batch: list[SessionRow]) -> None:
        try:
            await self._write(batch)
        except Unavailable:
            raise
        except Exception as error:
            if len(batch) == 1:
                # A row that cannot be stored must not stand in the way of all that come after it.
                self._lose(1, error)
                return
            for row in batch:
                await self._store([row])

    def _lose(self, count: int, error: Exception) -> None:
        self.dropped += count
        # Not the error's words: a database's repeat the statement and the row.
        log.warning("session rows lost", count=count, error=type(getattr(error, "orig", error)).__name__)

    async def close(self) -> None:
        """Write what is left, once, and stop."""
        self._closing = True
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)
