"""Rows that share a transaction with their neighbours, so that each commit is paid once for many."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from acl_service.errors import Overloaded
from directory.errors import Unavailable

Row = TypeVar("Row")


class GroupCommit(Generic[Row]):
    """Writes rows in the order of their coming; ``add`` returns when its row is committed.

    While one transaction is under way the next rows gather; they go together in the next one.

    Args:
        write: stores rows in one transaction, all or none.
        batch: rows in one transaction at most.
        waiting: rows gathered at most; beyond that the caller is refused at once, before memory grows.
    """

    def __init__(
        self, write: Callable[[list[Row]], Awaitable[None]], *, batch: int = 500, waiting: int = 10_000
    ) -> None:
        self._write = write
        self._batch = batch
        self._waiting = waiting
        self._rows: deque[tuple[Row, asyncio.Future[None]]] = deque()
        self._task: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """Rows not yet in a transaction."""
        return len(self._rows)

    async def add(self, row: Row) -> None:
        """Store a row; returns after its commit.

        Raises:
            Overloaded: too many rows are waiting; nothing was stored.
            directory.errors.DirectoryError: the transaction failed; whether it was stored is unknown.
        """
        if len(self._rows) >= self._waiting:
            raise Overloaded(f"{self._waiting} rows are waiting to be stored")
        committed = asyncio.get_running_loop().create_future()
        self._rows.append((row, committed))
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="group-commit")
        await asyncio.shield(committed)

    async def _run(self) -> None:
        try:
            while self._rows:
                group = [self._rows.popleft() for _ in range(min(self._batch, len(self._rows)))]
                await self._commit(group)
        finally:
            self._task = None

    async def _commit(self, group: list[tuple[Row, asyncio.Future[None]]]) -> None:
        try:
            await self._write([row for row, _ in group])
        except asyncio.CancelledError:
            for _, committed in group:
                committed.cancel()
            raise
        except Exception as error:
            if len(group) > 1 and not isinstance(error, Unavailable):
                # One row that cannot be stored must not fail its neighbours.
                for member in group:
                    await self._commit([member])
                return
            for _, committed in group:
                committed.set_exception(error)
                committed.exception()  # a caller that gave up leaves no unheard error
        else:
            for _, committed in group:
                committed.set_result(None)

    async def close(self) -> None:
        """Write what has gathered, then stop."""
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)
