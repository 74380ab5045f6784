"""The database: SQLite or PostgreSQL behind one face of short reads, snapshots, writes and changes."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from typing import Any, Literal, Self, cast

from sqlalchemy import URL, AsyncAdaptedQueuePool
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from directory.changes import Change
from directory.connections import BoundedConnection, connect_sqlite, parse_url, sqlite_file, translated
from directory.errors import InvalidValue, Unavailable

Dialect = Literal["sqlite", "postgresql"]


class Database:
    """A database and its pool of connections; made by `Database.open`.

    Attributes:
        url: The SQLAlchemy URL; its text hides the password.
        dialect: `sqlite` or `postgresql`.
        timeout_s: The most seconds that a connection, a lock or a statement is waited for.
    """

    def __init__(self, engine: AsyncEngine, url: URL, timeout_s: float) -> None:
        self.url = url
        self.timeout_s = timeout_s
        self.dialect = cast(Dialect, url.get_backend_name())
        self._engine = engine
        self._reads = self._snapshots = engine
        if self.dialect == "postgresql":
            self._reads = engine.execution_options(isolation_level="AUTOCOMMIT")
            self._snapshots = engine.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )
        # SQLite has one writer at a time and no queue: without this, writers of one process starve
        # each other by polling, each in a thread of its own.
        self._writer = asyncio.Lock()
        # Connections that are being made for tasks which were cancelled meanwhile.
        self._unwanted: set[asyncio.Task[None]] = set()

    @classmethod
    def open(cls, url: str, *, pool_size: int = 10, timeout_s: float = 5.0) -> Self:
        """Prepare the pool; connections are made when they are first needed.

        Args:
            url: `sqlite:///path` or `postgresql://user:password@host/database`.
            pool_size: The most connections.
            timeout_s: The most seconds to wait for a connection, a lock or a statement.

        Raises:
            InvalidValue: The URL is not one of these, or a number is not positive.
            Unavailable: The folder of the SQLite file does not exist.
        """
        if pool_size < 1 or timeout_s <= 0:
            raise InvalidValue(f"pool size {pool_size} and time limit {timeout_s} s must be positive")
        parsed = parse_url(url)
        creator: Any
        if parsed.get_backend_name() == "sqlite":
            creator = partial(connect_sqlite, sqlite_file(parsed), timeout_s)
        else:
            creator = partial(BoundedConnection.open, parsed, timeout_s)
        engine = create_async_engine(
            parsed.set(query={}),
            async_creator=creator,
            poolclass=AsyncAdaptedQueuePool,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=timeout_s,
            json_serializer=partial(json.dumps, ensure_ascii=False, separators=(",", ":")),
            hide_parameters=True,
        )
        return cls(engine, parsed, timeout_s)

    async def close(self) -> None:
        """Close the connections that are not in use; those in use close when they come back."""
        while self._unwanted:
            await asyncio.wait(self._unwanted)
        await self._engine.dispose()

    @asynccontextmanager
    async def read(self) -> AsyncGenerator[AsyncConnection]:
        """Give a connection for short reads, each of which sees what is committed when it starts.

        Raises:
            Unavailable: The database does not answer.
        """
        with translated(self.url):
            async with self._lent(self._reads) as connection:
                yield connection

    @asynccontextmanager
    async def snapshot(self) -> AsyncGenerator[AsyncConnection]:
        """Give a connection on which all reads see the database at one moment, that of the first read.

        Raises:
            Unavailable: The database does not answer.
        """
        with translated(self.url):
            async with self._lent(self._snapshots) as connection:
                if self.dialect == "sqlite":
                    await connection.exec_driver_sql("BEGIN DEFERRED")
                yield connection

    @asynccontextmanager
    async def write(self) -> AsyncGenerator[AsyncConnection]:
        """Give a connection in a transaction that is committed if the block ends well, else undone.

        For rows that give nobody rights; those that do are written through `change`.

        Raises:
            Conflict: A constraint refuses a row.
            Unavailable: The database does not answer, or other writers hold it for too long.
        """
        with translated(self.url):
            if self.dialect == "postgresql":
                async with self._lent(self._engine) as connection, connection.begin():
                    yield connection
                return
            async with self._alone(), self._lent(self._engine) as connection:
                await connection.exec_driver_sql("BEGIN IMMEDIATE")
                yield connection
                await connection.exec_driver_sql("COMMIT")

    @asynccontextmanager
    async def change(self, author: str, now_ms: int) -> AsyncGenerator[Change]:
        """Give the unit of work of one rights-changing transaction (decision 5).

        When the block ends well and something was touched, the next version is allotted and written with
        the change rows, all committed together; then `Change.version` is set. If it raises, nothing is.

        Args:
            author: Who asks for it: an employee id, or the name of a process.
            now_ms: The time, milliseconds since the epoch.

        Raises:
            Conflict: A constraint refuses a row.
            Unavailable: The database does not answer, or other writers hold it for too long.
        """
        async with self.write() as connection:
            change = Change(connection, author, now_ms)
            yield change
            await change.finish()

    @asynccontextmanager
    async def _lent(self, engine: AsyncEngine) -> AsyncGenerator[AsyncConnection]:
        """Lend a connection of the pool, which has it back whenever the task is cancelled."""
        connection = engine.connect()
        # SQLAlchemy forgets a connection that is being made, or made ready, when its task is cancelled: neither is it
        # closed, nor does the pool have it back.
        making = asyncio.create_task(connection.start())
        try:
            await asyncio.shield(making)
        except asyncio.CancelledError:
            giving = asyncio.create_task(_give_back(making))
            self._unwanted.add(giving)
            giving.add_done_callback(self._unwanted.discard)
            raise
        async with AsyncExitStack() as stack:
            stack.push_async_exit(connection)
            yield connection

    @asynccontextmanager
    async def _alone(self) -> AsyncGenerator[None]:
        try:
            async with asyncio.timeout(self.timeout_s):
                await self._writer.acquire()
        except TimeoutError as error:
            raise Unavailable(
                f"{self.url}: other writers were busy for {self.timeout_s:g} s; try again"
            ) from error
        try:
            yield
        finally:
            self._writer.release()


async def _give_back(making: asyncio.Task[AsyncConnection]) -> None:
    # Nobody waits for it any more, nor wants to know why there is none.
    with suppress(Exception):
        await (await making).close()
