"""Answers that wait for a revocation to be in force: one look at the database for all of them."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import Final

from directory import work
from directory.database import Database
from directory.errors import DirectoryError

_LOOK_S: Final = 0.025
"""Seconds between two looks."""


class Revocations:
    """Looks whether work is in effect, however many wait for it, as long as somebody does.

    Args:
        database: The directory, with its outbox.

    Attributes:
        looks: Looks so far.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waited: defaultdict[int, set[asyncio.Future[bool]]] = defaultdict(set)
        self._task: asyncio.Task[None] | None = None
        self.looks = 0

    async def in_effect(self, outbox_id: int, within_s: float) -> bool:
        """Wait until a piece of work, and what its change left beside it, is in effect.

        Args:
            outbox_id: The piece.
            within_s: How long, seconds.

        Returns:
            Whether it is; False too if the database does not answer: nobody knows then.
        """
        waited: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waited[outbox_id].add(waited)
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="gateway-revocations")
        try:
            async with asyncio.timeout(within_s):
                return await waited
        except TimeoutError:
            return False
        finally:
            self._waited[outbox_id].discard(waited)
            if not self._waited[outbox_id]:
                del self._waited[outbox_id]

    async def close(self) -> None:
        """Stop looking; whoever waits is told that nobody knows."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        try:
            while self._waited:
                self.looks += 1
                try:
                    async with self._database.read() as connection:
                        found = await work.of_these_in_effect(connection, list(self._waited))
                except DirectoryError:
                    self._tell(set(self._waited), said=False)
                else:
                    self._tell(found, said=True)
                await asyncio.sleep(_LOOK_S)
        finally:
            self._task = None
            self._tell(set(self._waited), said=False)

    def _tell(self, outbox_ids: set[int], *, said: bool) -> None:
        for outbox_id in outbox_ids:
            for waited in self._waited.get(outbox_id, ()):
                if not waited.done():
                    waited.set_result(said)
