"""The schema as migrations make it, on both databases."""

import asyncio
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, select, text

from directory import client_acls, migrations, outbox, schema
from directory.database import Database
from directory.errors import SchemaMismatch, Unavailable
from directory.migrations import check_schema, migrate
from directory.migrations.upgrade import REVISIONS
from tests.postgres import PostgresServer


def _differences(connection: Connection) -> object:
    context = MigrationContext.configure(
        connection, opts={"compare_type": True, "compare_server_default": True}
    )
    return compare_metadata(context, schema.metadata)


async def test_the_steps_make_exactly_the_tables_of_the_schema(database: Database) -> None:
    await check_schema(database)
    async with database.read() as connection:
        assert await connection.run_sync(_differences) == []


def test_the_revisions_that_are_known_are_those_that_there_are() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    newest_first = [script.revision for script in ScriptDirectory.from_config(config).walk_revisions()]
    assert list(REVISIONS) == newest_first[::-1]


async def test_a_database_of_two_revisions_is_none_of_ours(database: Database) -> None:
    async with database.write() as connection:
        await connection.execute(text("INSERT INTO alembic_version VALUES ('0006')"))
    with pytest.raises(SchemaMismatch, match="schema 0005, 0006, which this program does not know"):
        await check_schema(database)
    async with database.write() as connection:
        await connection.execute(text("DELETE FROM alembic_version WHERE version_num = '0006'"))
    await check_schema(database)


async def test_ids_are_compared_by_bytes(database: Database) -> None:
    # The ranges that decision 9 needs are of bytes; a language's order would hide rows from them.
    async with database.read() as connection:
        if database.dialect == "sqlite":
            collations = await connection.execute(text("SELECT 'a_' < 'a`', 'B' < 'a', 'a-b' < 'aa'"))
            assert collations.one() == (1, 1, 1)
            return
        columns = await connection.execute(
            text(
                "SELECT table_name, column_name FROM information_schema.columns "
                "WHERE table_schema = 'public' AND data_type = 'character varying' "
                "AND collation_name IS DISTINCT FROM 'C' AND table_name <> 'alembic_version'"
            )
        )
        assert columns.all() == []


async def test_rows_of_the_schema_before_this_one_are_kept(database: Database) -> None:
    async with database.write() as connection:
        await connection.run_sync(_back_to, "0002")
        for statement in (
            (
                "INSERT INTO outbox (worker, kind, subject, payload, created_at, available_at)"
                " VALUES ('enforcer', 'member_removed', 'alice', '{}', 5, 5)"
            ),
            (
                "INSERT INTO client_acl (client_id, employee_id, rules, version, written_at)"
                " VALUES ('alice_1', 'alice', '[1]', 7, 9)"
            ),
        ):
            await connection.exec_driver_sql(statement)
    with pytest.raises(SchemaMismatch, match=r"0002.*mchat init"):
        await check_schema(database)
    await migrate(database)
    async with database.write() as connection:
        assert await connection.run_sync(_differences) == []
        (work,) = await outbox.claim(connection, "enforcer", holder="p", now_ms=5, hold_ms=5)
        assert (work.subject, work.enforced_at, work.progress) == ("alice", None, "")
        rows = await client_acls.page(connection)
        assert rows == [client_acls.ClientAcl("alice_1", "alice", "[1]", "[]", 7, 9, False, None, None)]


def _back_to(connection: Connection, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.attributes["connection"] = connection
    command.downgrade(config, revision)


async def test_migrating_again_changes_nothing(database: Database) -> None:
    await migrate(database)
    async with database.read() as connection:
        assert (await connection.execute(select(schema.feed))).all() == [(1, 0, 0)]


async def test_several_migrate_an_empty_database_at_once(
    tmp_path: Path, postgres_server: PostgresServer
) -> None:
    for url in (f"sqlite:///{tmp_path / 'new.db'}", postgres_server.create("mchat_empty")):
        databases = [Database.open(url) for _ in range(4)]
        try:
            await asyncio.gather(*(migrate(database) for database in databases))
            await check_schema(databases[0])
        finally:
            for database in databases:
                await database.close()
    postgres_server.drop("mchat_empty")


async def test_a_file_that_another_writes_in_another_journal_mode_is_waited_for(tmp_path: Path) -> None:
    # SQLite answers "locked" to the switch to WAL at once here, whatever the busy time-out.
    with closing(sqlite3.connect(tmp_path / "old.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        database = Database.open(f"sqlite:///{tmp_path / 'old.db'}")
        asyncio.get_running_loop().call_later(0.2, other.execute, "ROLLBACK")
        await migrate(database)
        await check_schema(database)
        await database.close()


async def test_a_file_that_stays_in_another_journal_mode_is_told_with_the_remedy(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "old.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        database = Database.open(f"sqlite:///{tmp_path / 'old.db'}", timeout_s=0.2)
        with pytest.raises(Unavailable, match="another journal mode: stop what has it open"):
            await migrate(database)
        await database.close()


async def test_a_newer_schema_is_refused_and_left_alone(database: Database) -> None:
    async with database.write() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(SchemaMismatch, match=r"9999.*0005.*newer MChat"):
        await check_schema(database)
    with pytest.raises(SchemaMismatch, match=r"9999.*0005.*newer MChat"):
        await migrate(database)
    async with database.read() as connection:
        assert await connection.scalar(text("SELECT version_num FROM alembic_version")) == "9999"


async def test_an_older_schema_is_told_with_the_remedy(database: Database) -> None:
    async with database.write() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    with pytest.raises(SchemaMismatch, match=r"0001.*0005.*mchat init"):
        await check_schema(database)


async def test_an_empty_database_is_told_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "empty.db").touch()
    database = Database.open(f"sqlite:///{tmp_path / 'empty.db'}")
    with pytest.raises(SchemaMismatch, match="mchat init"):
        await check_schema(database)
    await database.close()


async def test_a_missing_file_is_not_made_by_opening_it(tmp_path: Path) -> None:
    database = Database.open(f"sqlite:///{tmp_path / 'absent.db'}")
    with pytest.raises(Unavailable, match=r"absent\.db"):
        await check_schema(database)
    await database.close()
    assert not (tmp_path / "absent.db").exists()


async def test_the_file_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    database = Database.open(f"sqlite:///{tmp_path / 'new.db'}")
    await migrate(database)
    async with database.write() as connection:
        await connection.execute(text("UPDATE feed SET version = version"))
        for suffix in ("", "-wal", "-shm"):
            file = Path(f"{tmp_path / 'new.db'}{suffix}")
            assert stat.S_IMODE(file.stat().st_mode) == 0o600  # noqa: ASYNC240
    await database.close()
