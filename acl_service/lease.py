"""A lease that a process takes, renews and gives back: what one worker of all does at a time.

Whoever has it works; the others ask again every few seconds. One that dies keeps it until it ends by itself, one that
stops gives it back. A worker that cannot renew it stops well before it ends, by its own clock: two never work at once
unless their clocks differ by more than what is left then (`directory.leases`).
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import secrets
import socket
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from directory import leases
from directory.database import Database
from directory.errors import DirectoryError

log = structlog.get_logger(__name__)

_SAFE: Final = 0.8
"""The share of the lease's time after which nobody works on it any more."""

_GIVE_BACK_S: Final = 1.0


def new_holder() -> str:
    """A name for this process among those who take leases: host, process id, and something that is new each time."""
    return f"{socket.gethostname()[:24]}:{os.getpid()}:{secrets.token_hex(4)}"


class Lease:
    """One lease as one process sees it.

    Args:
        database: the directory.
        name: what is done by one at a time.
        holder: this process, another name after each start.
        now_ms: wall clock, milliseconds since the epoch: all processes compare by it.
        clock: monotonic seconds: this process stops by it.
        hold_s: until the lease ends by itself (seconds).
        every_s: between two renewals, and between two tries to take it (seconds).
    """

    def __init__(
        self,
        database: Database,
        name: str,
        *,
        holder: str,
        now_ms: Callable[[], int],
        clock: Callable[[], float],
        hold_s: float = 10.0,
        every_s: float = 3.0,
    ) -> None:
        self._database = database
        self._name = name
        self._holder = holder
        self._now_ms = now_ms
        self._clock = clock
        self._hold_s = hold_s
        self._every_s = every_s
        self._ends = -math.inf

    @property
    def held(self) -> bool:
        """Whether this process may work: the lease is its own, and does not end soon."""
        return self._left() > 0

    async def lead(self, work: Callable[[], Awaitable[None]]) -> None:
        """Work whenever this process has the lease, and stop before it ends; returns when the work does.

        Args:
            work: begun anew each time that the lease is taken; it is cancelled when the lease is lost.

        Raises:
            Exception: what the work raised; the lease has been given back.
        """
        while True:
            if await self.take():
                stopping = asyncio.Event()
                renewing = asyncio.create_task(self._renew(stopping), name=f"lease {self._name}")
                working = asyncio.ensure_future(work())
                try:
                    # The end is watched here: a database that is stuck may keep a renewal beyond it.
                    while self.held and not renewing.done():
                        await asyncio.wait(
                            (working, renewing), timeout=self._left(), return_when=asyncio.FIRST_COMPLETED
                        )
                        if working.done():
                            return working.result()
                    if renewing.done():
                        renewing.result()
                finally:
                    working.cancel()
                    await asyncio.gather(working, return_exceptions=True)
                    # Not cancelled: SQLite does not let go of a writer, and the database limits its time.
                    stopping.set()
                    await asyncio.gather(renewing, return_exceptions=True)
                    await self.give_back()
            await asyncio.sleep(self._every_s)

    async def _renew(self, stopping: asyncio.Event) -> None:
        """Renew it until it is lost, or until it is told to stop."""
        while self.held and not stopping.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._every_s):
                    await stopping.wait()
                    return
            await self.take()

    async def take(self) -> bool:
        """Take the lease or renew it, within the database's time limit; tells whether this process has it.

        With the database away it is had for as long as the last answer said, and not taken.
        """
        asked = self._clock()
        try:
            taken = await self._acquire()
        except DirectoryError as error:
            log.warning("a lease waits for the database", lease=self._name, held=self.held, error=str(error))
        else:
            self._ends = asked + self._hold_s * _SAFE if taken else -math.inf
        return self.held

    async def give_back(self) -> None:
        """Leave the work to another process at once."""
        self._ends = -math.inf
        try:
            async with asyncio.timeout(_GIVE_BACK_S), self._database.write() as connection:
                await leases.release(connection, self._name, holder=self._holder)
        except (DirectoryError, TimeoutError) as error:
            log.warning(
                "a lease is left to end by itself",
                lease=self._name,
                seconds=self._hold_s,
                error=str(error) or type(error).__name__,
            )

    async def _acquire(self) -> bool:
        async with self._database.write() as connection:
            return await leases.acquire(
                connection,
                self._name,
                holder=self._holder,
                now_ms=self._now_ms(),
                hold_ms=int(self._hold_s * 1000),
            )

    def _left(self) -> float:
        return self._ends - self._clock()
