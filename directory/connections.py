"""How connections to the two databases are opened: addresses, settings, time limits."""

import asyncio
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import quote

import aiosqlite
import psycopg
from psycopg import waiting
from psycopg.abc import RV, PQGen
from psycopg.pq import TransactionStatus
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from directory.errors import Conflict, InvalidValue, Unavailable

_DRIVERS: Final = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+psycopg"}

# Primary codes of SQLite that speak of the file or its locks, not of the statement:
# busy, locked, read-only, I/O, corrupt, full, cannot open, not a database.
_SQLITE_AWAY: Final = frozenset({5, 6, 8, 10, 11, 13, 14, 26})


# libpq's parameters that are secrets. SQLAlchemy hides a password before the host, and no other.
_SECRETS: Final = frozenset(
    {"password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key"}
)


def parse_url(url: str) -> URL:
    """Parse `sqlite:///path` or `postgresql://user:password@host/database`; the driver is added.

    Raises:
        InvalidValue: Another database, no database, a SQLite database without a file, or a secret among
            the parameters, where messages would show it. The message does not.
    """
    remedy = "use sqlite:///path/to/file.db or postgresql://user@host/database"
    try:
        parsed = make_url(url)
    except ArgumentError:
        # The text itself may hold a password.
        raise InvalidValue(f"the database URL cannot be read: {remedy}") from None
    backend = parsed.get_backend_name()
    if backend == "postgres" or backend not in _DRIVERS:
        raise InvalidValue(f"database {backend!r} is not supported: {remedy}")
    if not parsed.database or (backend == "sqlite" and parsed.database == ":memory:"):
        raise InvalidValue(f"the database URL names no {backend} database: {remedy}")
    shown = sorted({name for name in parsed.query if name.strip().lower() in _SECRETS})
    if shown:
        raise InvalidValue(
            f"the database URL has {', '.join(shown)} among its parameters, where it would be shown: "
            "write postgresql://user:password@host/database, or name a passfile; a key that needs "
            "sslpassword must be stored without one"
        )
    return parsed.set(drivername=_DRIVERS[backend])


def sqlite_file(url: URL) -> Path:
    """Return the absolute path of a SQLite database.

    Raises:
        Unavailable: Its folder does not exist.
    """
    path = Path(url.database or "").absolute()
    if not path.parent.is_dir():
        raise Unavailable(f"the folder {path.parent} of the database does not exist: create it first")
    return path


def sqlite_uri(path: Path) -> str:
    """Return the URI that opens `path` only if it exists: a typing error must not make an empty database."""
    return f"file:{quote(str(path))}?mode=rw"


async def connect_sqlite(path: Path, timeout_s: float) -> aiosqlite.Connection:
    """Open a connection in autocommit mode, where BEGIN is said and not implied, with its settings.

    `synchronous=FULL`: in WAL mode NORMAL survives a killed process, but a power cut may undo the last
    commits, and a revocation that was answered as done must not come undone.
    """
    connecting = aiosqlite.connect(sqlite_uri(path), uri=True, timeout=timeout_s, isolation_level=None)
    # A process that ends with connections in its pool must not wait for their threads.
    connecting._thread.daemon = True
    try:
        connection = await connecting
    except sqlite3.Error:
        # Its thread stops by itself, but must not outlive the event loop that it reports to.
        await asyncio.to_thread(connecting._thread.join, timeout_s)
        raise
    await connection.execute("PRAGMA foreign_keys = ON")
    await connection.execute("PRAGMA synchronous = FULL")
    return connection


class BoundedConnection(psycopg.AsyncConnection[Any]):
    """A PostgreSQL connection that closes itself when the server is silent for `answer_within_s`.

    psycopg asks the server to stop when a waiting task is cancelled, and waits for that too: behind a
    frozen socket both take as long as they like. Closing at once costs one connection, and is bounded.
    """

    answer_within_s: float = 5.0

    async def wait(
        self,
        gen: PQGen[RV],
        interval: float = 0.1,
        timeout: float | None = None,  # noqa: ASYNC109 - psycopg's own signature
    ) -> RV:
        """Consume `gen`, for at most `timeout` or else `answer_within_s` seconds."""
        limit = self.answer_within_s if timeout is None else timeout
        try:
            return await waiting.wait_async(gen, self.pgconn.socket, interval=interval, timeout=limit)
        except BaseException:
            if timeout is None and self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                self.pgconn.finish()
            raise

    @classmethod
    async def open(cls, url: URL, timeout_s: float) -> Self:
        """Connect within `timeout_s` seconds, with keep-alives and a time limit for statements.

        Raises:
            psycopg.OperationalError: No connection in that time, or it was refused.
        """
        limit_ms = max(1, round(timeout_s * 1_000))
        parameters: dict[str, Any] = {
            "connect_timeout": max(2, round(timeout_s)),
            "keepalives_idle": 5,
            "keepalives_interval": 2,
            "keepalives_count": 3,
            "tcp_user_timeout": limit_ms,
            "application_name": "mchat",
        } | postgres_parameters(url)
        # A process that is stopped within a transaction must not hold up the others' for longer than they can wait.
        limits = (
            f"-c statement_timeout={limit_ms} -c lock_timeout={limit_ms}"
            f" -c idle_in_transaction_session_timeout={2 * limit_ms} -c timezone=UTC"
        )
        # What the URL says comes last, and wins.
        parameters["options"] = f"{limits} {parameters.get('options', '')}".rstrip()
        try:
            async with asyncio.timeout(timeout_s):
                connection = await cls.connect(**parameters)
        except TimeoutError as error:
            raise psycopg.OperationalError(f"no connection within {timeout_s:g} s") from error
        connection.answer_within_s = timeout_s
        return connection


def postgres_parameters(url: URL) -> dict[str, Any]:
    """Return the address and options of `url` as libpq names them."""
    parameters: dict[str, Any] = {name: value for name, value in url.query.items() if isinstance(value, str)}
    named = {
        "host": url.host,
        "port": url.port,
        "user": url.username,
        "password": url.password,
        "dbname": url.database,
    }
    return parameters | {name: value for name, value in named.items() if value is not None}


def is_away(error: BaseException | None) -> bool:
    """Tell whether a driver's error speaks of the database's absence or its locks, not of the statement."""
    if isinstance(error, psycopg.OperationalError):
        return True
    if isinstance(error, psycopg.InterfaceError):
        return True
    code = getattr(error, "sqlite_errorcode", None)
    return isinstance(code, int) and code & 0xFF in _SQLITE_AWAY


@contextmanager
def translated(url: URL) -> Generator[None]:
    """Turn what drivers and pool raise into the directory's errors; programming errors stay as they are."""
    place = url.render_as_string(hide_password=True)
    try:
        yield
    except IntegrityError as error:
        raise Conflict(f"another change came first: {_first_line(error.orig)}; read again") from error
    except PoolTimeout as error:
        raise Unavailable(f"{place}: no connection is free: fewer requests, or a larger pool") from error
    except DBAPIError as error:
        if not (error.connection_invalidated or is_away(error.orig)):
            raise
        raise Unavailable(f"{place}: {_first_line(error.orig)}; see that it runs, then try again") from error
    except (psycopg.OperationalError, aiosqlite.OperationalError) as error:
        if not is_away(error):
            raise
        raise Unavailable(f"{place}: {_first_line(error)}; see that it runs, then try again") from error


def _first_line(error: BaseException | None) -> str:
    # The lines after the first may show values of the statement.
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
