"""The change feed on SQLite: what moves `data_version`, and files that go away under it."""

import os
import shutil
import sqlite3
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from directory.database import Database
from directory.errors import Unavailable
from tests.directory.processes import answer, ask, running
from tests.directory.told import feeding, touch, until


@pytest.fixture
async def sqlite(sqlite_url: str) -> AsyncIterator[Database]:
    database = Database.open(sqlite_url)
    yield database
    await database.close()


async def test_data_version_tells_of_this_process_and_of_another(sqlite: Database, sqlite_url: str) -> None:
    async with feeding(sqlite, poll_s=60) as (feed, _), running("writer", sqlite_url) as writer:
        await answer(writer)
        source = feed._source
        source.look()
        assert not source.look()
        await touch(sqlite, "here")
        assert source.look()
        assert not source.look()
        await ask(writer, "there")
        assert source.look()
        assert not source.look()


async def test_a_quiet_feed_proves_that_it_lives_without_reading_a_row(
    sqlite: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with feeding(sqlite, poll_s=0.01) as (feed, _):
        # The first look, at the start, asks for a read.
        await feed.catch_up()
        await until(lambda: not feed._source.look())
        began = time.monotonic()

        async def never() -> int:
            raise AssertionError("read without a change")

        monkeypatch.setattr(feed._source, "newest", never)
        await until(lambda: feed.proved_at > began + 0.1)


async def test_the_feeds_connection_cannot_write(sqlite: Database) -> None:
    async with feeding(sqlite) as (feed, _):
        connection = feed._source._connection  # type: ignore[attr-defined]
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            connection.execute("UPDATE feed SET version = 9")
        assert not connection.in_transaction


async def test_a_feed_never_holds_up_a_checkpoint(sqlite: Database) -> None:
    async with feeding(sqlite, poll_s=0.005) as (feed, _):
        for name in "abc":
            await touch(sqlite, name)
            await feed.catch_up()
        async with sqlite.read() as connection:
            busy = (await connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")).one()
        assert busy[0] == 0


async def test_a_file_that_is_replaced_is_a_fault_for_good(sqlite: Database, tmp_path: Path) -> None:
    path = tmp_path / "mchat.db"
    async with feeding(sqlite, poll_s=0.01) as (feed, told):
        copy = shutil.copy(path, tmp_path / "copy.db")
        os.replace(copy, path)  # noqa: PTH105
        took = await until(lambda: not feed.connected, 2)
        assert took < 0.5
        with pytest.raises(Unavailable):
            await feed.catch_up()
        proved = feed.proved_at
        for _ in range(3):
            with pytest.raises(Unavailable, match="restart MChat"):
                await feed._source.open(lambda: None)
        assert feed.proved_at == proved
        assert told.changes == []


async def test_a_file_that_was_away_for_a_moment_is_life_again(sqlite: Database, tmp_path: Path) -> None:
    path = tmp_path / "mchat.db"
    async with feeding(sqlite, poll_s=0.01) as (feed, _):
        os.rename(path, tmp_path / "away.db")  # noqa: PTH104
        await until(lambda: not feed.connected, 2)
        os.rename(tmp_path / "away.db", path)  # noqa: PTH104
        await until(lambda: feed.connected, 3)
        await touch(sqlite, "a")
        await until(lambda: feed.version == 1)


async def test_a_missing_file_is_told_at_the_start(tmp_path: Path) -> None:
    database = Database.open(f"sqlite:///{tmp_path / 'absent.db'}")
    with pytest.raises(Unavailable, match=r"absent\.db"):
        async with feeding(database):
            pass
    assert os.listdir(tmp_path) == []  # noqa: PTH208
