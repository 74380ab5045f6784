"""One transaction at a time for each person, before it takes a connection of the database.

The database lets them in one after the other anyway (`participants.held`), but whoever waits there holds a connection:
a person with a dozen clients would take all of them, and everybody else's reads would wait behind.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from gateway.errors import OVERLOADED, Refused


class Turns:
    """Hands out turns by name, in the order of asking.

    Args:
        wait_s: How long one is waited for, seconds.
    """

    def __init__(self, wait_s: float = 5.0) -> None:
        self._wait_s = wait_s
        # Only of those who have a turn or wait for one: as many as there are requests in hand.
        self._queues: dict[str, tuple[asyncio.Lock, int]] = {}

    def __len__(self) -> int:
        return len(self._queues)

    @asynccontextmanager
    async def of(self, name: str) -> AsyncGenerator[None]:
        """Wait for the turn of a name, and have it until the block ends.

        Raises:
            Refused: 503, others of that name took too long.
        """
        lock, waiting = self._queues.get(name, (asyncio.Lock(), 0))
        self._queues[name] = lock, waiting + 1
        try:
            try:
                async with asyncio.timeout(self._wait_s):
                    await lock.acquire()
            except TimeoutError:
                raise Refused(
                    OVERLOADED, "your other requests take too long: try again with the same seq_id"
                ) from None
            try:
                yield
            finally:
                lock.release()
        finally:
            lock, waiting = self._queues.pop(name)
            if waiting > 1:
                self._queues[name] = lock, waiting - 1
