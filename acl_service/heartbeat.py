"""This process in the table of replicas: that it answers, and up to which change (decision 8).

A revocation is confirmed only when every process that answers has taken it in, so a process says that it is there
before it answers anything, and goes on saying how far it has come. Silence is safe: the enforcer then waits for as
long as this process might serve from memory.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import structlog

from directory import replicas
from directory.database import Database
from directory.errors import DirectoryError
from directory.replicas import Replica

log = structlog.get_logger(__name__)

LEAVE_S = 2.0
"""How long a stopping process waits for the database at each of its last words."""


class Heartbeat:
    """Writes this process's row of `replica`.

    Args:
        database: the directory.
        feed_version: the newest change that memory has taken in; read before each write, so that the row never says
            more than is true.
        kind: what the process does; the enforcer waits for those of `directory.replicas.ANSWERING`.
        replica_id: another one after each start.
        now_ms: wall clock, milliseconds since the epoch.
        every_s: pause between two writes (seconds).
    """

    def __init__(
        self,
        database: Database,
        feed_version: Callable[[], int],
        *,
        kind: str = "hooks",
        replica_id: str,
        now_ms: Callable[[], int],
        every_s: float = 0.5,
    ) -> None:
        self._database = database
        self._feed_version = feed_version
        self._kind = kind
        self._replica_id = replica_id
        self._now_ms = now_ms
        self._every = every_s
        self._started_at = self._seen_at = now_ms()
        self._stopping = asyncio.Event()

    @contextlib.asynccontextmanager
    async def beating(self) -> AsyncIterator[None]:
        """Say that the process is there, then go on saying so until the block ends, and then that it left.

        Open the listener inside, so that it is closed before the process leaves.

        Raises:
            directory.errors.DirectoryError: the first row could not be written; nobody may be answered.
        """
        await self._beat()
        task = asyncio.create_task(self._run(), name="heartbeat")
        try:
            yield
        finally:
            # A row that is under way is waited for: written after the process left, it would stay.
            self._stopping.set()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(task, LEAVE_S)
            await self._leave()

    async def _run(self) -> None:
        away = False
        while not await self._stopped_within(self._every):
            try:
                await self._beat()
            except Exception as error:  # it goes on whatever happens: silence delays every revocation
                if not away:
                    # What is no error of ours may show values of a statement.
                    shown = str(error) if isinstance(error, DirectoryError) else type(error).__name__
                    log.warning("the heartbeat waits for the database", error=shown)
                away = True
            else:
                if away:
                    log.info("the heartbeat reaches the database again")
                away = False

    async def _stopped_within(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)
        return self._stopping.is_set()

    async def _beat(self) -> None:
        # A clock that goes back must not make the process look silent.
        self._seen_at = max(self._seen_at, self._now_ms())
        row = Replica(
            self._replica_id, self._kind, self._feed_version(), self._started_at, seen_at=self._seen_at
        )
        async with self._database.write() as connection:
            await replicas.beat(connection, row)

    async def _leave(self) -> None:
        try:
            async with asyncio.timeout(LEAVE_S), self._database.write() as connection:
                await replicas.leave(connection, self._replica_id)
        except (DirectoryError, TimeoutError) as error:
            log.warning(
                "the heartbeat could not say that it stops: revocations wait until it counts as silent",
                replica=self._replica_id,
                error=str(error) or type(error).__name__,
            )
