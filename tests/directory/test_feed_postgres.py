"""The change feed on PostgreSQL: order of commits, and connections that are cut or frozen."""

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator

import psycopg
import pytest
from sqlalchemy.pool import QueuePool

from directory.changes import Change, Subject
from directory.connections import parse_url
from directory.database import Database
from directory.errors import Unavailable
from tests.directory.processes import answer, running
from tests.directory.told import feeding, touch, until
from tests.postgres import PostgresServer

pytestmark = pytest.mark.postgres


@pytest.fixture
async def postgres(postgres_url: str) -> AsyncIterator[Database]:
    database = Database.open(postgres_url)
    yield database
    await database.close()


async def _end_listeners(url: str) -> int:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        found = await connection.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE '%feed%'"
        )
        row = await found.fetchone()
        assert row is not None
        return int(row[0])


async def _waits_for_a_lock(url: str) -> None:
    """Until a transaction of this database waits for another one."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    async with (
        asyncio.timeout(10),
        await psycopg.AsyncConnection.connect(url, autocommit=True) as connection,
    ):
        while (await (await connection.execute(waiting)).fetchone()) == (0,):
            await asyncio.sleep(0.002)


async def test_transactions_that_commit_in_the_opposite_order_of_their_starts_are_both_seen(
    postgres: Database,
) -> None:
    # With a sequence the first would have version 1, be committed after 2, and be lost by a reader at 2.
    async with feeding(postgres) as (feed, told):
        started, second_done = asyncio.Event(), asyncio.Event()

        async def first() -> int | None:
            async with postgres.change("first", 1) as change:
                change.touch(Subject("employee", "first"))
                await change.connection.exec_driver_sql("SELECT 1")
                started.set()
                await second_done.wait()
            return change.version

        task = asyncio.create_task(first())
        await started.wait()
        assert await touch(postgres, "second") == 1
        await until(lambda: feed.version == 1)
        second_done.set()
        assert await task == 2
        await until(lambda: feed.version == 2)
    assert told.changes == [(1, [Subject("employee", "second")]), (2, [Subject("employee", "first")])]


async def test_a_transaction_that_holds_a_version_is_never_overtaken(
    postgres: Database, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    holding, go = asyncio.Event(), asyncio.Event()
    finish = Change.finish

    async def held(change: Change) -> None:
        await finish(change)
        if change.author == "slow":
            holding.set()
            await go.wait()

    monkeypatch.setattr(Change, "finish", held)
    async with feeding(postgres) as (feed, told):

        async def slow() -> None:
            async with postgres.change("slow", 1) as change:
                change.touch(Subject("employee", "slow"))

        task = asyncio.create_task(slow())
        await holding.wait()
        quick = asyncio.create_task(touch(postgres, "quick"))
        await _waits_for_a_lock(postgres_url)
        assert not quick.done()
        assert await feed.catch_up() == 0
        go.set()
        await task
        assert await quick == 2
        assert await feed.catch_up() == 2
    assert told.versions == [1, 2]


async def test_a_listening_connection_that_is_cut_is_made_anew_and_nobody_notices(
    postgres: Database, postgres_url: str
) -> None:
    async with feeding(postgres) as (feed, told):
        for trial in range(1, 6):
            async with asyncio.timeout(5):
                # The new connection may not listen yet.
                while not await _end_listeners(postgres_url):
                    await asyncio.sleep(0.01)
            await touch(postgres, f"e{trial}")
            assert await feed.catch_up() == trial
            assert feed.connected
        await touch(postgres, "last")
        await until(lambda: feed.version == 6, 2)
    # What a new connection leads to may be another history: each time everything is unknown.
    assert told.versions == sorted(told.versions)
    assert [subjects for _, subjects in told.changes].count(None) == 5
    assert told.changes[-1] == (6, [Subject("employee", "last")])


async def test_a_cut_is_noticed_without_a_question(postgres: Database, postgres_url: str) -> None:
    async with feeding(postgres, proof_s=60) as (feed, _):
        old = feed._source._pgconn  # type: ignore[attr-defined]
        await _end_listeners(postgres_url)
        await until(lambda: feed._source._pgconn not in (None, old), 2)  # type: ignore[attr-defined]
        await touch(postgres, "a")
        await until(lambda: feed.version == 1, 1)


async def test_a_frozen_connection_is_noticed_within_2_s_and_recovered(
    postgres: Database, postgres_server: PostgresServer, postgres_url: str
) -> None:
    async with running("proxy", str(postgres_server.port)) as proxy:
        (port,) = await answer(proxy)
        through = Database.open(postgres_url.replace(f":{postgres_server.port}/", f":{port}/"))
        async with feeding(through) as (feed, told):
            await touch(postgres, "before")
            await until(lambda: feed.version == 1, 1)
            proxy.send_signal(signal.SIGSTOP)
            noticed = await until(lambda: not feed.connected, 3)
            print(f"feed.frozen.noticed {noticed:.2f} s")
            assert noticed < 2
            assert time.monotonic() - feed.proved_at < 2.1
            called = time.monotonic()
            with pytest.raises(Unavailable):
                await feed.catch_up()
            assert time.monotonic() - called < 0.1
            await touch(postgres, "meanwhile")
            proxy.send_signal(signal.SIGCONT)
            recovered = await until(lambda: feed.connected, 5)
            print(f"feed.frozen.recovered {recovered:.2f} s")
            assert feed.version == 2
            await touch(postgres, "after")
            await until(lambda: feed.version == 3, 1)
            assert told.versions == [1, 2, 3]
        await through.close()


async def test_those_who_wait_behind_a_frozen_connection_are_told_in_time(
    postgres_server: PostgresServer, postgres_url: str
) -> None:
    async with running("proxy", str(postgres_server.port)) as proxy:
        (port,) = await answer(proxy)
        through = Database.open(postgres_url.replace(f":{postgres_server.port}/", f":{port}/"))
        async with feeding(through, timeout_s=0.5) as (feed, _):
            proxy.send_signal(signal.SIGSTOP)
            called = time.monotonic()
            with pytest.raises(Unavailable, match=r"no answer within 0\.5 s"):
                await feed.catch_up()
            assert time.monotonic() - called < 1
            stopped = time.monotonic()
        assert time.monotonic() - stopped < 0.5
        proxy.send_signal(signal.SIGCONT)
        await through.close()


async def test_a_frozen_server_keeps_no_read_of_the_pool_for_longer_than_the_time_limit(
    postgres_server: PostgresServer, postgres_url: str
) -> None:
    async with running("proxy", str(postgres_server.port)) as proxy:
        (port,) = await answer(proxy)
        through = Database.open(postgres_url.replace(f":{postgres_server.port}/", f":{port}/"), timeout_s=0.5)
        async with through.read() as connection:
            await connection.exec_driver_sql("SELECT 1")
        proxy.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        with pytest.raises(Unavailable):
            async with through.read() as connection:
                await connection.exec_driver_sql("SELECT 1")
        assert time.monotonic() - began < 1.5
        pool = through._engine.sync_engine.pool
        assert isinstance(pool, QueuePool)
        idle = pool.checkedout()
        task = asyncio.create_task(touch(through, "cancelled"))
        await until(lambda: pool.checkedout() > idle)
        began = time.monotonic()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, Unavailable):
            await task
        assert time.monotonic() - began < 1
        proxy.send_signal(signal.SIGCONT)
        await through.close()


async def test_a_server_that_is_not_there_is_told_without_the_password() -> None:
    url = "postgresql://mchat:hunter2-secret@127.0.0.1:1/mchat"
    database = Database.open(url)
    with pytest.raises(Unavailable) as caught:
        async with database.read():
            pass
    assert "hunter2" not in f"{caught.value!r}{caught.value.__cause__!r}{database.url}"
    assert "127.0.0.1" in str(caught.value)
    await database.close()
    assert str(parse_url(url)) == "postgresql+psycopg://mchat:***@127.0.0.1:1/mchat"
