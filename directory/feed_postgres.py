"""How the change feed reads PostgreSQL: LISTEN and prepared reads on one connection, driven by hand.

psycopg connects; after that libpq is driven directly, since this is on the path of every deny: a read costs
a fraction of a cursor's, a notification is seen while nothing is asked, and a frozen connection is let go
without waiting for it. LISTEN needs a session: connect past a pooler of transactions.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, cast

import psycopg
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGconn, PGresult
from sqlalchemy import URL

from directory.changes import CHANNEL, Subject, SubjectKind
from directory.connections import BoundedConnection
from directory.errors import Unavailable

_NEWEST: Final = b"SELECT version FROM feed"
_CHANGES: Final = (
    b"SELECT version, subject_kind, subject_id FROM change"
    b" WHERE version > $1::bigint AND version <= $2::bigint ORDER BY version, seq"
)
_GOOD: Final = frozenset({ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK})


class PostgresSource:
    """A connection of its own that listens, and asks one question at a time.

    Args:
        url: The database.
        interval_s: Seconds between two proofs.
        timeout_s: Seconds after which a connection that does not answer is given up.
    """

    def __init__(self, url: URL, interval_s: float, timeout_s: float) -> None:
        self.interval_s = interval_s
        self._url = url
        self._timeout_s = timeout_s
        self._connection: BoundedConnection | None = None
        self._pgconn: PGconn | None = None
        self._socket = -1
        self._wake: Callable[[], None] = lambda: None
        self._answer: asyncio.Future[PGresult] | None = None
        self._result: PGresult | None = None
        self._fault: psycopg.Error | None = None

    async def open(self, wake: Callable[[], None]) -> None:
        """Connect, listen, and prepare the two reads.

        Raises:
            Unavailable: No connection, or no answer, in time.
        """
        try:
            self._connection = await BoundedConnection.open(self._url, self._timeout_s)
        except psycopg.Error as error:
            raise Unavailable(f"{self._url}: {error}; see that it runs") from error
        self._wake = wake
        self._fault = None
        # The wrapper is kept too: when it is collected, it closes what it wraps.
        pgconn = self._pgconn = self._connection.pgconn
        pgconn.nonblocking = 1
        self._socket = pgconn.socket
        asyncio.get_running_loop().add_reader(self._socket, self._readable)
        await self._ask(lambda: pgconn.send_query(f"LISTEN {CHANNEL}".encode()))
        await self._ask(lambda: pgconn.send_prepare(b"newest", _NEWEST))
        await self._ask(lambda: pgconn.send_prepare(b"changes", _CHANGES))

    def look(self) -> bool:
        """Say that a read is due: only an answer through this very connection proves that it lives."""
        return True

    async def newest(self) -> int:
        """Read the newest version.

        Raises:
            Unavailable: No answer in time.
        """
        result = await self._prepared(b"newest", ())
        if result.ntuples != 1:
            raise Unavailable(f"{self._url}: the database has no feed row: restore it from a backup")
        return int(result.get_value(0, 0) or 0)

    async def changes(self, after: int, until: int) -> list[tuple[int, Subject]]:
        """Read the subjects of the versions after `after` up to `until`, in order.

        Raises:
            Unavailable: No answer in time.
        """
        result = await self._prepared(b"changes", (b"%d" % after, b"%d" % until))
        return [
            (
                int(result.get_value(row, 0) or 0),
                Subject(
                    cast(SubjectKind, (result.get_value(row, 1) or b"").decode()),
                    (result.get_value(row, 2) or b"").decode(),
                ),
            )
            for row in range(result.ntuples)
        ]

    def close(self) -> None:
        """Let the connection go: the socket is closed, nobody is asked and nothing awaited."""
        if self._pgconn is not None:
            self._unwatch()
            self._pgconn.finish()
        self._pgconn = self._connection = None

    async def _prepared(self, name: bytes, parameters: Sequence[bytes]) -> PGresult:
        pgconn = self._pgconn
        if pgconn is None:
            raise Unavailable(f"{self._url}: the change feed is not connected: try again")
        return await self._ask(lambda: pgconn.send_query_prepared(name, parameters))

    async def _ask(self, send: Callable[[], None]) -> PGresult:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[PGresult] = loop.create_future()
        self._answer, self._result = answer, None
        timer = loop.call_later(self._timeout_s, self._silent)
        try:
            if self._fault is not None:
                raise self._fault
            send()
            self._flush()
            result = await answer
        except psycopg.Error as error:
            raise Unavailable(f"{self._url}: {str(error).strip()}; see that it runs") from error
        finally:
            timer.cancel()
            self._answer = None
        if result.status not in _GOOD:
            raise Unavailable(f"{self._url}: {result.get_error_message().strip()}; see that it runs")
        return result

    def _flush(self) -> None:
        if self._pgconn is not None and self._pgconn.flush():
            asyncio.get_running_loop().add_writer(self._socket, self._writable)

    def _writable(self) -> None:
        try:
            if self._pgconn is None or not self._pgconn.flush():
                asyncio.get_running_loop().remove_writer(self._socket)
        except psycopg.Error as error:
            self._break(error)

    def _readable(self) -> None:
        pgconn = self._pgconn
        if pgconn is None:
            return
        told = False
        try:
            pgconn.consume_input()
            while self._answer is not None and not pgconn.is_busy():
                result = pgconn.get_result()
                if result is None:
                    self._complete()
                    break
                self._result = result
            while pgconn.notifies() is not None:
                told = True
        except psycopg.Error as error:
            self._break(error)
        if told:
            self._wake()

    def _complete(self) -> None:
        if self._answer is not None and not self._answer.done() and self._result is not None:
            self._answer.set_result(self._result)
            self._answer = None

    def _silent(self) -> None:
        self._break(psycopg.OperationalError(f"no answer within {self._timeout_s:g} s"))

    def _break(self, error: psycopg.Error) -> None:
        self._fault = error
        self._unwatch()
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)
        self._wake()

    def _unwatch(self) -> None:
        # A closed socket must not stay watched: its number may be another connection's by then.
        if self._socket >= 0:
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._socket)
            loop.remove_writer(self._socket)
            self._socket = -1
