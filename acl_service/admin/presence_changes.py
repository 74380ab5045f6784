"""The newest changes of people's standing: looked up once for all who listen, and kept for them, bounded.

No listener has a queue of its own: what was looked up stands in one row of changes, each listener knows up to which
number it has told, and one that is further behind than what is kept is too slow. So memory does not grow with the
number of listeners, and a change is encoded once.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import structlog

from acl_service.admin.presence import shown
from acl_service.completion import completed
from directory import attendance, standing
from directory.attendance import Attendance
from directory.database import Database
from directory.errors import DirectoryError

log = structlog.get_logger(__name__)

LOOK_S: Final = 0.2
"""Seconds between two looks at the database while somebody listens."""

KEPT: Final = 20_000
"""Changes that are kept for those who are behind, at least; twice as many at most."""

_READ: Final = 1_000
_FULL_S: Final = 0.05
"""Between two looks of which the first did not find all: 20,000 changes a second are told."""

_AGAIN_S: Final = 1.0

_encode: Final = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Told:
    """A change as it goes to listeners: its number, and the event."""

    number: int
    event: bytes


def told(one: Attendance) -> Told:
    """A person's standing as an event whose id is the number of its change."""
    return Told(one.change_number, event("change", shown(one), one.change_number))


def event(name: str, data: Any, number: int | None = None) -> bytes:
    """One event of a stream (WHATWG HTML, "Server-sent events"); JSON has no line ends of its own."""
    head = b"" if number is None else b"id: %d\n" % number
    return b"%sevent: %b\ndata: %b\n\n" % (head, name.encode(), _encode(data))


class Changes:
    """Looks for changes while somebody follows them.

    Args:
        database: the directory.
        clock: monotonic seconds.
        sleep: waits that many seconds.
        kept: how many changes are kept at least.
    """

    def __init__(
        self,
        database: Database,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        kept: int = KEPT,
    ) -> None:
        self._database = database
        self._clock = clock
        self._sleep = sleep
        self._keep = kept
        self._kept: list[Told] = []
        self._floor = 0
        self._position = 0
        self._followers = 0
        self._starting = asyncio.Lock()
        self._looking: asyncio.Task[None] | None = None
        self._news = asyncio.Event()
        self.proved_at = 0.0
        """When the database last answered, by the clock."""

    @property
    def looking(self) -> bool:
        """Whether the database is looked at now and then: while there are followers."""
        return self._looking is not None

    @asynccontextmanager
    async def followed(self) -> AsyncIterator[None]:
        """Look for changes until the block ends, for this follower and all others.

        Raises:
            directory.errors.DirectoryError: the database did not answer; there is nothing to follow.
        """
        self._followers += 1
        try:
            async with self._starting:
                if self._looking is None:
                    await completed(self._start())
            yield
        finally:
            self._followers -= 1
            await completed(self._stop())

    def after(self, number: int, most: int) -> Sequence[Told] | None:
        """The next changes behind a number, `most` at most; None: they are not kept any more, or were not yet."""
        if number < self._floor:
            return None
        first = bisect_right(self._kept, number, key=lambda one: one.number)
        return self._kept[first : first + most]

    def news(self) -> asyncio.Event:
        """What is set when there are changes behind those that there are now, or something else has come up."""
        return self._news

    def wake(self) -> None:
        """Have all who wait for news look around."""
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def _stop(self) -> None:
        """Look no more if nobody follows; the last look is waited for."""
        async with self._starting:
            if self._looking is not None and not self._followers:
                self._looking.cancel()
                await asyncio.wait((self._looking,))
                self._looking = None
                self._kept.clear()

    async def _start(self) -> None:
        async with self._database.read() as connection:
            self._floor = self._position = await standing.newest_change(connection)
        self.proved_at = self._clock()
        self._looking = asyncio.create_task(self._look(), name="presence changes")

    async def _look(self) -> None:
        while True:
            await self._sleep(await completed(self._next()))

    async def _next(self) -> float:
        """Take in what has changed; returns for how long to pause."""
        try:
            async with self._database.read() as connection:
                found = await attendance.changed_after(connection, self._position, limit=_READ)
        except DirectoryError as error:
            log.warning("changes of presence wait for the database", error=str(error))
            return _AGAIN_S
        except Exception:
            # A fault of ours: those who listen are told by the time that it lasts.
            log.exception("a look for changes of presence failed")
            return _AGAIN_S
        self.proved_at = self._clock()
        if not found:
            return LOOK_S
        self._kept += map(told, found)
        self._position = found[-1].change_number
        if len(self._kept) > 2 * self._keep:
            gone = len(self._kept) - self._keep
            self._floor = self._kept[gone - 1].number
            del self._kept[:gone]
        self.wake()
        return LOOK_S if len(found) < _READ else _FULL_S
