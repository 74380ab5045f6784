"""Look-ups that share their transactions: a cold start of many clients costs few queries (issue: "coalesces")."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable

from acl_service.errors import Overloaded

CROWD = 8
"""Names in one round from which on it is taken for a part of a storm."""


class Round:
    """The names that the next snapshot looks up together, and the future of all who wait for it."""

    __slots__ = ("clients", "done", "people", "policy")

    def __init__(self) -> None:
        self.people: set[str] = set()
        self.clients: set[str] = set()
        self.policy = False
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def __len__(self) -> int:
        return len(self.people) + len(self.clients)


class Loader:
    """Collects names while a snapshot is being read and looks them all up in the next one.

    At most one snapshot is read at a time. In a storm those who were answered by one come back, each with the next
    client, within a millisecond or two: they are waited for, because a snapshot costs more than many names in it.

    Args:
        fetch: reads one round in one snapshot and stores what it found.
        batch: names in one round at most.
        waiting: names waiting at most; beyond that a caller is refused at once.
        gather_s: how long neighbours are waited for behind a round of a storm (seconds).
    """

    def __init__(
        self,
        fetch: Callable[[Round], Awaitable[None]],
        batch: int = 500,
        waiting: int = 50_000,
        gather_s: float = 0.002,
    ) -> None:
        self._fetch = fetch
        self._gather = gather_s
        self._crowded = False
        self._batch = batch
        self._rounds_limit = max(1, waiting // batch)
        self._rounds: deque[Round] = deque()
        self._task: asyncio.Task[None] | None = None
        self.rounds = 0

    async def load(
        self, people: Iterable[str] = (), clients: Iterable[str] = (), *, policy: bool = False
    ) -> None:
        """Wait until a snapshot that is read after this call has answered for these names.

        Raises:
            Overloaded: too many names are waiting already.
            directory.errors.DirectoryError: the database did not answer; nothing was stored.
        """
        if not self._rounds or len(self._rounds[-1]) >= self._batch:
            if len(self._rounds) >= self._rounds_limit:
                raise Overloaded(f"{self._rounds_limit * self._batch} names are waiting to be looked up")
            self._rounds.append(Round())
        waited = self._rounds[-1]
        waited.people.update(people)
        waited.clients.update(clients)
        waited.policy |= policy
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="principals-loader")
        await asyncio.shield(waited.done)

    async def _run(self) -> None:
        try:
            while self._rounds:
                if self._crowded and len(self._rounds[0]) < self._batch:
                    await asyncio.sleep(self._gather)
                current = self._rounds.popleft()
                self._crowded = len(current) >= CROWD
                self.rounds += 1
                try:
                    await self._fetch(current)
                except asyncio.CancelledError:
                    current.done.cancel()
                    raise
                except Exception as error:  # handed to every waiter, who deny
                    current.done.set_exception(error)
                    current.done.exception()  # a round whose waiters all timed out is no unheard error
                else:
                    current.done.set_result(None)
        finally:
            self._task = None
            for left in self._rounds:
                left.done.cancel()
            self._rounds.clear()

    async def close(self) -> None:
        """Stop reading; those who wait are cancelled."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
