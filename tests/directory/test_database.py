"""Reads, snapshots, writes and changes on both databases."""

import asyncio
import gc
import time
import warnings

import psycopg
import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.exc import OperationalError, ProgrammingError

from directory import schema
from directory.changes import Subject, changed_since, changes_since, newest_version, prune_changes
from directory.database import Database
from directory.errors import Conflict, InvalidValue, NotFound, SchemaMismatch, Unavailable
from directory.sets import among
from tests.directory.processes import answer, ask, running
from tests.directory.told import touch, until


def _department(department_id: str, parent_id: str | None = None) -> dict[str, object]:
    return {
        "department_id": department_id,
        "name": "研发 Ünal",
        "parent_id": parent_id,
        "created_at": 1,
        "updated_at": 1,
    }


async def _names(database: Database) -> list[str]:
    async with database.read() as connection:
        return list(await connection.scalars(select(schema.department.c.department_id)))


async def test_a_write_is_committed_at_the_end_of_its_block(database: Database) -> None:
    async with database.write() as connection:
        await connection.execute(insert(schema.department).values(_department("d")))
        assert await _names(database) == []
    assert await _names(database) == ["d"]


async def test_a_write_that_raises_is_undone(database: Database) -> None:
    with pytest.raises(RuntimeError):
        async with database.write() as connection:
            await connection.execute(insert(schema.department).values(_department("d")))
            raise RuntimeError
    assert await _names(database) == []
    async with database.write() as connection:
        await connection.execute(insert(schema.department).values(_department("e")))
    assert await _names(database) == ["e"]


async def test_a_write_that_is_cancelled_is_undone_and_lets_others_write(database: Database) -> None:
    inside = asyncio.Event()

    async def slow() -> None:
        async with database.write() as connection:
            await connection.execute(insert(schema.department).values(_department("d")))
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(slow())
    await inside.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert await touch(database, "a") == 1
    assert await _names(database) == []


async def test_a_snapshot_sees_one_moment_and_a_read_each_its_own(database: Database) -> None:
    async with database.snapshot() as snapshot, database.read() as read:
        assert await newest_version(snapshot) == 0
        assert await newest_version(read) == 0
        await touch(database, "a")
        assert await newest_version(snapshot) == 0
        assert await newest_version(read) == 1
    async with database.snapshot() as snapshot:
        assert await newest_version(snapshot) == 1


async def test_a_change_that_touches_nothing_has_no_version(database: Database) -> None:
    async with database.change("a", 1) as change:
        change.audit("look", "at nothing")
        change.enqueue("worker", "kind", "subject", {"x": "张"})
    assert change.version is None
    async with database.read() as connection:
        assert await newest_version(connection) == 0
        row = (await connection.execute(select(schema.outbox))).one()
        assert (row.worker, row.subject, row.payload, row.version) == ("worker", "subject", {"x": "张"}, None)


async def test_a_change_tells_each_subject_once_in_order_with_its_version(database: Database) -> None:
    async with database.change("author", 7) as change:
        change.touch(Subject("employee", "b"), Subject("policy"))
        change.touch(Subject("employee", "a"), Subject("employee", "b"))
        change.enqueue("enforcer", "k", "b", {"employee_id": "b"})
        change.audit("act", "target", {"n": 1})
        assert change.version is None
    assert change.version == 1
    async with database.read() as connection:
        assert await changes_since(connection, 0) == [
            (1, Subject("employee", "b")),
            (1, Subject("policy", "")),
            (1, Subject("employee", "a")),
        ]
        assert await changes_since(connection, 1) == []
        outbox = (await connection.execute(select(schema.outbox))).one()
        assert (outbox.version, outbox.created_at, outbox.available_at) == (1, 7, 7)
        audit = (await connection.execute(select(schema.audit_log))).one()
        assert (audit.author, audit.action, audit.target, audit.detail) == (
            "author",
            "act",
            "target",
            {"n": 1},
        )


async def test_whether_subjects_changed_since(database: Database) -> None:
    async with database.change("author", 7) as change:
        change.touch(Subject("employee", "a"), Subject("group", "b"))
    async with database.change("author", 9) as change:
        change.touch(Subject("policy"))
    async with database.read() as connection:

        async def changed(version: int, *subjects: Subject) -> bool:
            return await changed_since(connection, version, subjects)

        assert await changed(0, Subject("employee", "a"))
        assert await changed(0, Subject("employee", "x"), Subject("group", "b"))
        assert not await changed(0, Subject("employee", "b"), Subject("group", "a"))
        assert not await changed(1, Subject("employee", "a"), Subject("group", "b"))
        assert await changed(1, Subject("employee", "a"), Subject("policy"))
        assert not await changed(2, Subject("policy"))
        assert not await changed(0)
    async with database.write() as connection:
        await prune_changes(connection, 8)
    async with database.read() as connection:
        # Nobody can say any more.
        assert await changed_since(connection, 0, [Subject("employee", "x")])
        assert not await changed_since(connection, 1, [Subject("employee", "x")])


async def test_a_change_that_raises_has_no_version(database: Database) -> None:
    with pytest.raises(NotFound):
        async with database.change("a", 1) as change:
            change.touch(Subject("employee", "a"))
            raise NotFound("gone")
    assert await touch(database, "b") == 1


async def test_an_unknown_kind_of_subject_is_refused(database: Database) -> None:
    with pytest.raises(InvalidValue, match="'peron'"):
        async with database.change("a", 1) as change:
            change.touch(Subject("peron", "a"))  # type: ignore[arg-type]


async def test_a_database_without_its_feed_row_refuses_changes(database: Database) -> None:
    async with database.write() as connection:
        await connection.execute(text("DELETE FROM feed"))
    with pytest.raises(SchemaMismatch, match="feed row"):
        await touch(database, "a")


async def test_changes_are_read_a_bounded_number_of_versions_at_a_time(database: Database) -> None:
    for name in "abc":
        await touch(database, name, f"{name}2")
    async with database.read() as connection:
        assert [version for version, _ in await changes_since(connection, 1, limit=1)] == [2, 2]


async def test_a_row_that_a_constraint_refuses_is_a_conflict(database: Database) -> None:
    with pytest.raises(Conflict):
        async with database.write() as connection:
            await connection.execute(insert(schema.department).values(_department("d", parent_id="nobody")))
    with pytest.raises(Conflict):
        async with database.write() as connection:
            await connection.execute(insert(schema.feed).values(id=2, version=0, pruned_version=0))


async def test_a_wrong_statement_is_no_missing_database(database: Database) -> None:
    with pytest.raises((ProgrammingError, OperationalError)):
        async with database.read() as connection:
            await connection.execute(text("SELECT * FROM nothing_of_that_name"))


async def test_many_writers_of_one_process_all_come_through(database: Database) -> None:
    began = time.monotonic()
    versions = await asyncio.gather(*(touch(database, f"e{number}") for number in range(200)))
    assert sorted(versions) == list(range(1, 201))
    print(f"change.{database.dialect} {200 / (time.monotonic() - began):.0f} a second by 200 at once")


async def test_writers_of_two_processes_both_come_through(database: Database, database_url: str) -> None:
    async with running("writer", database_url) as writer:
        await answer(writer)

        async def theirs() -> list[int]:
            return [int((await ask(writer, f"t{turn}"))[0]) for turn in range(40)]

        async def ours() -> list[int]:
            return [await touch(database, f"o{turn}") for turn in range(40)]

        there, here = await asyncio.gather(theirs(), ours())
    assert sorted(there + here) == list(range(1, 81))


async def test_a_writer_that_waits_too_long_is_told(database_url: str) -> None:
    holder, waiter = Database.open(database_url), Database.open(database_url, timeout_s=0.3)
    async with holder.change("holder", 1) as change:
        change.touch(Subject("employee", "a"))
        await change.connection.execute(text("UPDATE feed SET version = version"))
        began = time.monotonic()
        with pytest.raises(Unavailable):
            await touch(waiter, "b")
        assert time.monotonic() - began < 2
    await waiter.close()
    await holder.close()


async def test_a_pool_without_a_free_connection_is_told(database_url: str) -> None:
    database = Database.open(database_url, pool_size=1, timeout_s=0.2)
    async with database.read():
        with pytest.raises(Unavailable, match="larger pool"):
            async with database.read():
                pass
    await database.close()


async def test_conditions_on_many_values_are_one_parameter(database: Database) -> None:
    async with database.write() as connection:
        await connection.execute(
            insert(schema.department), [_department(f"d{number}") for number in range(1_000)]
        )
    async with database.read() as connection:
        key = schema.department.c.department_id
        wanted = {f"d{number}" for number in range(500, 60_000)} | {"张三", "it's", '"'}
        found = set(await connection.scalars(select(key).where(among(connection, key, wanted))))
        assert found == {f"d{number}" for number in range(500, 1_000)}
        assert (await connection.scalars(select(key).where(among(connection, key, [])))).all() == []


async def test_a_killed_writer_leaves_nothing_half_done(database: Database, database_url: str) -> None:
    async with running("writer", database_url) as writer:
        await answer(writer)
        version, _ = await ask(writer, "a")
        writer.kill()
        await writer.wait()
    async with database.read() as connection:
        assert await newest_version(connection) == int(version)
        assert await changes_since(connection, 0) == [(1, Subject("employee", "a"))]


async def test_what_a_writer_read_is_still_true_when_it_writes(sqlite_url: str) -> None:
    # Two pools stand for two processes. A deferred transaction would let the second in to read, and refuse
    # one of them when it writes.
    first, second = Database.open(sqlite_url), Database.open(sqlite_url, timeout_s=0.2)
    async with first.write() as connection:
        version = await newest_version(connection)
        with pytest.raises(Unavailable):
            async with second.write() as other:
                await newest_version(other)
        await connection.execute(text("UPDATE feed SET version = :v"), {"v": version + 1})
    assert await touch(second, "a") == version + 2
    await first.close()
    await second.close()


async def test_writers_that_wait_for_each_other_leave_connections_to_readers(sqlite_url: str) -> None:
    database = Database.open(sqlite_url, pool_size=2)
    async with database.write():
        waiting = [asyncio.create_task(touch(database, f"e{number}")) for number in range(10)]
        await until(lambda: len(database._writer._waiters or ()) == len(waiting))
        async with asyncio.timeout(2), database.read() as connection:
            assert await newest_version(connection) == 0
    assert sorted(await asyncio.gather(*waiting)) == list(range(1, 11))
    await database.close()


async def test_a_connection_that_is_being_made_for_a_cancelled_task_is_closed(database_url: str) -> None:
    """Whichever step of it the task is cancelled at: a connection that nobody has is never closed."""
    with warnings.catch_warnings(record=True) as left_open:
        warnings.simplefilter("always")
        for steps in (*range(1, 60, 2), *range(60, 3_000, 60)):
            database = Database.open(database_url)
            reading = asyncio.create_task(_read_one(database))
            for _ in range(steps):
                await asyncio.sleep(0)
            reading.cancel()
            await asyncio.wait([reading])
            await database.close()
        gc.collect()
    assert [str(one.message) for one in left_open] == []


async def test_a_connection_that_is_being_lent_to_a_cancelled_task_comes_back(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pool has one; psycopg gives way, when the event loop was busy, while it is made ready."""
    monkeypatch.setattr(psycopg.waiting, "MAX_BUSY_TIME", 0)
    with warnings.catch_warnings(record=True) as left_open:
        warnings.simplefilter("always")
        for steps in range(1, 30):
            database = Database.open(database_url, pool_size=1)
            async with database.snapshot() as connection:
                assert await newest_version(connection) == 0
            reading = asyncio.create_task(_read_one(database))
            for _ in range(steps):
                await asyncio.sleep(0)
            reading.cancel()
            await asyncio.wait([reading])
            async with asyncio.timeout(3):
                assert await _read_one(database) == 1
            await database.close()
        gc.collect()
    assert [str(one.message) for one in left_open] == []


async def test_who_waited_for_a_connection_in_vain_leaves_the_pool_whole(database_url: str) -> None:
    database = Database.open(database_url, pool_size=1)
    try:
        async with database.read():
            waiting = asyncio.create_task(_read_one(database))
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.wait([waiting])
        async with asyncio.timeout(3):
            assert await _read_one(database) == 1
    finally:
        await database.close()


@pytest.mark.postgres
async def test_who_stands_still_in_a_transaction_holds_up_others_for_a_bounded_time(
    postgres_url: str,
) -> None:
    still, moving = Database.open(postgres_url, timeout_s=0.5), Database.open(postgres_url)
    try:
        with pytest.raises(Unavailable):
            async with still.write() as connection:
                await connection.execute(text("UPDATE feed SET version = version"))
                # The server ends it: this one says nothing meanwhile, like a process that was stopped.
                assert await asyncio.wait_for(touch(moving, "a"), 4) == 1
        assert await touch(still, "b") == 2
    finally:
        await still.close()
        await moving.close()


async def _read_one(database: Database) -> int:
    async with database.read() as connection:
        return int((await connection.exec_driver_sql("SELECT 1")).scalar_one())
