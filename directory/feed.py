"""The change feed: what other processes changed, told in order, proved alive, confirmed on demand.

Decision 5 allots versions in commit order; decision 6 asks for the newest version before a deny; decision 7
asks for a proof every half second that all this still works.
"""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from directory.changes import Subject
from directory.database import Database
from directory.errors import Unavailable
from directory.feed_postgres import PostgresSource
from directory.feed_source import Source
from directory.feed_sqlite import SqliteSource

_log = logging.getLogger(__name__)

_MAX_GAP: Final = 10_000
_FIRST_PAUSE_S: Final = 0.05
_LONGEST_PAUSE_S: Final = 1.0

OnChange = Callable[[int, Sequence[Subject] | None], None]


class ChangeFeed(Protocol):
    """What those need of a feed who answer from memory."""

    @property
    def version(self) -> int:
        """The newest version that was told."""

    @property
    def proved_at(self) -> float:
        """The clock when the last read that succeeded was sent."""

    async def catch_up(self) -> int:
        """Tell all changes that were committed before this call; returns the newest version.

        Raises:
            directory.errors.Unavailable: The database does not answer.
        """


class Feed:
    """Tells a process which versions were committed, each once and in order.

    Args:
        database: The database, whose kind decides how changes are noticed.
        on_change: Called with a version and its subjects before `version` moves to it, on the event loop
            and without waiting. Subjects None means that what changed is unknown: drop everything; so it
            is after every loss of the connection, and the version may then be the same as before, or
            lower. If it raises, the version is told again.
        clock: Seconds that only grow.
        poll_s: Seconds between two looks on SQLite.
        proof_s: Seconds between two proofs on PostgreSQL, where changes are told.
        timeout_s: Seconds after which a connection that does not answer is given up.
        spacing_s: Seconds between two reads at least, so that the rate of reads is flat in the rate of those
            who ask; one who asks after a pause does not wait.

    Attributes:
        reads: Reads of the newest version sent so far, those that nobody waited for too.
    """

    def __init__(
        self,
        database: Database,
        *,
        on_change: OnChange,
        clock: Callable[[], float] = time.monotonic,
        poll_s: float = 0.025,
        proof_s: float = 0.5,
        timeout_s: float = 1.0,
        spacing_s: float = 0.002,
    ) -> None:
        self._source: Source = (
            SqliteSource(database.url, poll_s)
            if database.dialect == "sqlite"
            else PostgresSource(database.url, proof_s, timeout_s)
        )
        self._on_change = on_change
        self._clock = clock
        self._patience_s = timeout_s / 2
        self._spacing_s = spacing_s
        self._sent_at = float("-inf")
        self.reads = 0
        self._version = 0
        self._proved_at = float("-inf")
        self._connected = False
        self._wake = asyncio.Event()
        self._waiting: list[asyncio.Future[int]] = []
        self._served: list[asyncio.Future[int]] = []
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def version(self) -> int:
        """The version up to which all changes were told."""
        return self._version

    @property
    def proved_at(self) -> float:
        """The clock when the last read that succeeded was sent: nothing older than that is unknown."""
        return self._proved_at

    @property
    def connected(self) -> bool:
        """Whether the last read succeeded; while it is False, `catch_up` raises at once."""
        return self._connected

    async def start(self) -> None:
        """Connect, and take the newest version as told; build what you keep from then on.

        Raises:
            Unavailable: The database does not answer.
        """
        if self._task is not None:
            raise RuntimeError("the feed has been started already")
        try:
            await self._source.open(self._wake.set)
            sent = self._clock()
            self._version = await self._source.newest()
        except BaseException:
            self._source.close()
            raise
        self._proved_at = sent
        self._connected = True
        self._task = asyncio.create_task(self._run(), name="change-feed")
        self._tick()

    async def stop(self) -> None:
        """Disconnect; those who wait in `catch_up` get `Unavailable`."""
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        self._connected = False
        self._source.close()
        self._refuse("the change feed was stopped")

    async def catch_up(self) -> int:
        """Tell all changes that were committed before this call, and return the newest version.

        All who wait share one read, at most one is in flight, and nobody is served by one that was sent
        before the call (decision 6).

        Raises:
            Unavailable: The database does not answer, or the feed does not run.
        """
        if not self._connected:
            raise Unavailable("the change feed has no connection to the database: try again")
        waiter: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        # The reader runs after everybody who is ready now, so that they come along.
        self._wake.set()
        return await waiter

    def _tick(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._source.interval_s, self._tick)
        if not self._connected:
            return
        before = self._clock()
        if self._source.look():
            self._wake.set()
        elif not self._wake.is_set():
            self._proved_at = before

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            early = self._sent_at + self._spacing_s - self._clock()
            if early > 0:
                await asyncio.sleep(early)
            self._wake.clear()
            self._served, self._waiting = self._waiting, []
            try:
                await self._read_stubbornly()
            except Exception as error:
                # Whatever it is: a feed that has ended denies everybody until the process is restarted.
                _log_fault("change feed: %s", error)
                self._connected = False
                self._refuse(_why(error))
                await self._recover()
            for waiter in self._served:
                if not waiter.done():
                    waiter.set_result(self._version)
            self._served = []

    async def _read_stubbornly(self) -> None:
        began = self._clock()
        try:
            await self._read()
        except Unavailable:
            # A connection that was cut is made anew at once, and nobody notices; behind one that is
            # frozen, those who wait have waited long enough.
            if self._clock() - began > self._patience_s:
                raise
            await self._read_anew()

    async def _recover(self) -> None:
        pause = _FIRST_PAUSE_S
        while True:
            try:
                await self._read_anew()
            except Exception as error:
                _log_fault("change feed, still: %s", error, logging.DEBUG)
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_S)
            else:
                self._connected = True
                _log.warning("change feed: connected again, at version %d", self._version)
                return

    async def _read_anew(self) -> None:
        self._source.close()
        await self._source.open(self._wake.set)
        # A connection made anew may lead to another history: a replica that lagged when it took over, a
        # backup that was restored. There the same numbers stand for other changes.
        await self._read(known_history=False)

    async def _read(self, *, known_history: bool = True) -> None:
        self.reads += 1
        self._sent_at = sent = self._clock()
        version = await self._source.newest()
        if not known_history:
            self._tell(version, None)
        elif version != self._version:
            await self._advance(version)
        self._proved_at = sent

    async def _advance(self, version: int) -> None:
        told = self._version
        if version < told:
            _log.warning("change feed: version %d after %d, an older database was restored", version, told)
        if version < told or version - told > _MAX_GAP:
            self._tell(version, None)
            return
        subjects: defaultdict[int, list[Subject]] = defaultdict(list)
        for one, subject in await self._source.changes(told, version):
            subjects[one].append(subject)
        if len(subjects) != version - told:
            # Versions have no holes: the rows of some were pruned, long ago or between the two reads.
            self._tell(version, None)
            return
        for one in range(told + 1, version + 1):
            self._tell(one, subjects[one])

    def _tell(self, version: int, subjects: Sequence[Subject] | None) -> None:
        try:
            self._on_change(version, subjects)
        except Exception as error:
            _log.exception("change feed: version %d could not be applied", version)
            raise Unavailable(f"version {version} could not be applied: see the log") from error
        self._version = version

    def _refuse(self, why: str) -> None:
        for waiter in (*self._served, *self._waiting):
            if not waiter.done():
                waiter.set_exception(Unavailable(why))
        self._served, self._waiting = [], []


def _log_fault(message: str, error: Exception, level: int = logging.WARNING) -> None:
    if isinstance(error, Unavailable):
        _log.log(level, message, error)
    else:
        _log.error(message, _why(error), exc_info=error)


def _why(error: Exception) -> str:
    if isinstance(error, Unavailable):
        return str(error)
    return f"the change feed met a {type(error).__name__}: see the log, and report it"
