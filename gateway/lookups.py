"""Look-ups that share snapshots: at most one is read at a time, and all who came meanwhile share the next."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Final

from directory import participants
from directory.database import Database
from directory.participants import Participants
from gateway.errors import OVERLOADED, Refused

_BATCH: Final = 500
"""Names in one snapshot from which on another round is begun."""

_ROUNDS: Final = 40
"""Rounds that wait at most."""


class _Round:
    def __init__(self) -> None:
        self.people: set[str] = set()
        self.clients: set[str] = set()
        self.done: asyncio.Future[Participants] = asyncio.get_running_loop().create_future()

    def full(self) -> bool:
        return len(self.people) + len(self.clients) >= _BATCH


class Lookups:
    """Reads people and clients from the directory.

    Args:
        database: The directory.

    Attributes:
        reads: Snapshots read.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._rounds: list[_Round] = []
        self._task: asyncio.Task[None] | None = None
        self.reads = 0

    async def find(self, people: Collection[str] = (), clients: Collection[str] = ()) -> Participants:
        """Read people and clients, and whoever else is in the same round, in a snapshot taken after this call.

        Raises:
            Refused: 503, too many wait already.
            directory.errors.Unavailable: the database does not answer.
        """
        if not self._rounds or self._rounds[-1].full():
            if len(self._rounds) >= _ROUNDS:
                raise Refused(OVERLOADED, "too many look-ups wait: try again with the same seq_id")
            self._rounds.append(_Round())
        waited = self._rounds[-1]
        waited.people.update(people)
        waited.clients.update(clients)
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="gateway-lookups")
        return await asyncio.shield(waited.done)

    async def close(self) -> None:
        """Stop reading; those who wait are cancelled."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        try:
            while self._rounds:
                current = self._rounds.pop(0)
                self.reads += 1
                try:
                    found = await participants.load(self._database, current.people, current.clients)
                except Exception as error:  # handed to every waiter, who answer it
                    current.done.set_exception(error)
                    current.done.exception()  # a round whose waiters are all gone is no unheard error
                except asyncio.CancelledError:
                    current.done.cancel()
                    raise
                else:
                    current.done.set_result(found)
        finally:
            self._task = None
            for left in self._rounds:
                left.done.cancel()
            self._rounds.clear()
