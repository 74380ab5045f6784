"""Bring a database to this program's schema, or say why it does not have it."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from sqlalchemy import Connection, func, inspect, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection

from directory.connections import BoundedConnection, sqlite_file
from directory.database import Database
from directory.errors import SchemaMismatch, Unavailable

if TYPE_CHECKING:
    from alembic.config import Config

REVISIONS: Final = ("0001", "0002", "0003", "0004", "0005")
"""Every revision that this program knows, the newest last: the files of `versions`, named here so that looking at a
schema takes one row and no alembic, whose import costs each process a third of a second.
"""

_LOCK: Final = 0x6D63_0003
_LONGEST_S: Final = 3_600.0
_AGAIN_S: Final = 0.01


async def migrate(database: Database) -> None:
    """Bring the database to this program's schema; a new one is made, an up-to-date one left alone.

    One transaction: it is all done or nothing is. Several processes may do it at once.

    Raises:
        SchemaMismatch: The database belongs to a newer program.
        Unavailable: The database does not answer, or the SQLite file cannot be made.
    """
    # Before anything is locked, and in no process that migrates nothing.
    from alembic import command

    if database.dialect == "sqlite":
        await _prepare_file(database)
    async with database.write() as connection:
        await _take_time(connection)
        if database.dialect == "postgresql":
            await connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
        await connection.run_sync(_upgrade, command.upgrade)
        # Its time limits are not those of the pool any more.
        if database.dialect == "postgresql":
            await connection.exec_driver_sql("SET LOCAL statement_timeout = DEFAULT")
            _driver_connection(await connection.get_raw_connection()).answer_within_s = database.timeout_s


async def check_schema(database: Database) -> None:
    """Check that the database has this program's schema, changing nothing.

    Raises:
        SchemaMismatch: It has another; names both revisions and the remedy.
        Unavailable: The database does not answer.
    """
    async with database.read() as connection:
        found = await connection.run_sync(_revision)
    wanted = REVISIONS[-1]
    if found == wanted:
        return
    if found is None:
        raise SchemaMismatch(f"{database.url}: no schema, this program needs {wanted}: run `mchat init`")
    if found not in REVISIONS:
        raise SchemaMismatch(_newer(found))
    raise SchemaMismatch(
        f"the database has the older schema {found}, this program needs {wanted}: run `mchat init`"
    )


async def _prepare_file(database: Database) -> None:
    """Make the file, readable by its owner only (it holds hashes of passwords), and switch it to WAL."""
    path = sqlite_file(database.url)
    try:
        await asyncio.to_thread(_make_file, path)
    except OSError as error:
        raise Unavailable(f"the database {path} cannot be written: {error.strerror}") from error
    try:
        async with asyncio.timeout(database.timeout_s):
            while (mode := await _switch_to_wal(database)) is None:  # noqa: ASYNC110 - a file has no event
                await asyncio.sleep(_AGAIN_S)
    except TimeoutError:
        raise Unavailable(
            f"the database {path} is in use in another journal mode: stop what has it open, then run again"
        ) from None
    if mode != "wal":
        raise Unavailable(f"the database {path} cannot use WAL: put it on a local file system")


def _make_file(path: Path) -> None:
    """Make an empty file at `path` unless there is one.

    It is made beside and linked, never opened in place: closing any descriptor of a database file drops
    all the locks that this process holds on it (SQLite, "How to corrupt", section 2.2).
    """
    if path.exists():
        return
    descriptor, beside = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(descriptor)
    try:
        os.link(beside, path)
    except FileExistsError:
        pass  # another process was first
    finally:
        Path(beside).unlink()


async def _switch_to_wal(database: Database) -> str | None:
    """Return the journal mode after the attempt; None while another connection is in its way.

    SQLite does not wait for that one as it does for writers: it would be a lock taken upwards, which two
    who switch at the same time would never get.
    """
    async with database.read() as connection:
        try:
            return cast(str, await connection.scalar(text("PRAGMA journal_mode = WAL")))
        except OperationalError as error:
            if getattr(error.orig, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_BUSY:
                raise
            return None


async def _take_time(connection: AsyncConnection) -> None:
    if connection.dialect.name == "postgresql":
        _driver_connection(await connection.get_raw_connection()).answer_within_s = _LONGEST_S
        await connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
        await connection.exec_driver_sql("SET LOCAL lock_timeout = 0")


def _driver_connection(raw: Any) -> BoundedConnection:
    return cast(BoundedConnection, raw.driver_connection)


def _upgrade(connection: Connection, upgrade: Callable[[Config, str], None]) -> None:
    found = _revision(connection)
    if found is not None and found not in REVISIONS:
        raise SchemaMismatch(_newer(found))
    config = _config()
    config.attributes["connection"] = connection
    upgrade(config, "head")


def _config() -> Config:
    from alembic.config import Config

    config = Config()
    # The option is interpolated, so a % in the path has to be doubled.
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    return config


def _revision(connection: Connection) -> str | None:
    """Read what alembic wrote; more than one revision, which none of ours leaves, is shown as it is."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found = connection.scalars(text("SELECT version_num FROM alembic_version ORDER BY version_num"))
    return ", ".join(found) or None


def _newer(found: str) -> str:
    return (
        f"the database has schema {found}, which this program does not know (its own is {REVISIONS[-1]}): "
        "use the newer MChat that made it, or restore a backup"
    )
