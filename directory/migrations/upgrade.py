"""Bring a database to this program's schema, or say why it does not have it."""

import os
from pathlib import Path
from typing import Any, Final, cast

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, func, inspect, select
from sqlalchemy.ext.asyncio import AsyncConnection

from directory.connections import BoundedConnection, sqlite_file
from directory.database import Database
from directory.errors import SchemaMismatch, Unavailable

_LOCK: Final = 0x6D63_0003
_LONGEST_S: Final = 3_600.0


async def migrate(database: Database) -> None:
    """Bring the database to this program's schema; a new one is made, an up-to-date one left alone.

    One transaction: it is all done or nothing is. Several processes may do it at once.

    Raises:
        SchemaMismatch: The database belongs to a newer program.
        Unavailable: The database does not answer, or the SQLite file cannot be made.
    """
    if database.dialect == "sqlite":
        await _prepare_file(database)
    async with database.write() as connection:
        await _take_time(connection)
        if database.dialect == "postgresql":
            await connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
        await connection.run_sync(_upgrade)
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
    scripts = _scripts()
    wanted = scripts.get_current_head()
    if found == wanted:
        return
    if found is None:
        raise SchemaMismatch(f"{database.url}: no schema, this program needs {wanted}: run `mchat init`")
    if found not in _known(scripts):
        raise SchemaMismatch(_newer(found, wanted))
    raise SchemaMismatch(
        f"the database has the older schema {found}, this program needs {wanted}: run `mchat init`"
    )


async def _prepare_file(database: Database) -> None:
    """Make the file, readable by its owner only (it holds hashes of passwords), and switch it to WAL."""
    path = sqlite_file(database.url)
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise Unavailable(f"the database {path} cannot be written: {error.strerror}") from error
    async with database.read() as connection:
        mode = await connection.exec_driver_sql("PRAGMA journal_mode = WAL")
        if mode.scalar_one() != "wal":
            raise Unavailable(f"the database {path} cannot use WAL: put it on a local file system")


async def _take_time(connection: AsyncConnection) -> None:
    if connection.dialect.name == "postgresql":
        _driver_connection(await connection.get_raw_connection()).answer_within_s = _LONGEST_S
        await connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
        await connection.exec_driver_sql("SET LOCAL lock_timeout = 0")


def _driver_connection(raw: Any) -> BoundedConnection:
    return cast(BoundedConnection, raw.driver_connection)


def _upgrade(connection: Connection) -> None:
    scripts = _scripts()
    found = _revision(connection)
    if found is not None and found not in _known(scripts):
        raise SchemaMismatch(_newer(found, scripts.get_current_head()))
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _config() -> Config:
    config = Config()
    # The option is interpolated, so a % in the path has to be doubled.
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    return config


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _known(scripts: ScriptDirectory) -> set[str]:
    return {script.revision for script in scripts.walk_revisions()}


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return MigrationContext.configure(connection).get_current_revision()


def _newer(found: str, wanted: str | None) -> str:
    return (
        f"the database has schema {found}, which this program does not know (its own is {wanted}): "
        "use the newer MChat that made it, or restore a backup"
    )
