import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection
from structlog.testing import capture_logs

from acl_service import heartbeat as module
from acl_service.heartbeat import Heartbeat
from acl_service.retention import Keeping, Retention
from directory import replicas
from directory.changes import newest_version
from directory.database import Database
from directory.errors import Unavailable
from directory.replicas import Replica
from tests.acceptance.processes import serving_hooks
from tests.acl_service.serving import activate_profile, add_person


class Clock:
    """Milliseconds that pass when told to."""

    def __init__(self, now: int = 1_000) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


class Fickle:
    """A database that is there or away, or that never answers."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.fault: Exception | None = None
        self.silent = False
        self.writes = 0

    @asynccontextmanager
    async def write(self) -> AsyncGenerator[AsyncConnection]:
        self.writes += 1
        if self.silent:
            await asyncio.Event().wait()
        if self.fault is not None:
            raise self.fault
        async with self._database.write() as connection:
            yield connection

    def __call__(self) -> Database:
        return cast(Database, self)


def beating(database: Database, clock: Clock, version: list[int]) -> Heartbeat:
    return Heartbeat(database, lambda: version[0], replica_id="one", now_ms=clock, every_s=0.005)


async def rows(database: Database) -> list[Replica]:
    async with database.read() as connection:
        return list(await replicas.list_(connection, "hooks"))


async def settled(database: Database, *expected: Replica) -> None:
    async with asyncio.timeout(10):
        while await rows(database) != list(expected):
            await asyncio.sleep(0.005)


def row(version: int, seen_at: int) -> Replica:
    return Replica("one", "hooks", version, 1_000, seen_at)


async def test_the_row_is_there_before_the_listener_opens_follows_memory_and_goes_at_the_end(
    database: Database,
) -> None:
    clock, version = Clock(), [5]
    async with beating(database, clock, version).beating():
        assert await rows(database) == [row(5, 1_000)]
        clock.now, version[0] = 1_500, 7
        await settled(database, row(7, 1_500))
    assert await rows(database) == []


async def test_without_a_database_nobody_is_answered(tmp_path: Path) -> None:
    absent = Database.open(f"sqlite:///{tmp_path / 'absent.db'}")
    served = False
    with pytest.raises(Unavailable):
        async with beating(absent, Clock(), [5]).beating():
            served = True
    assert not served
    await absent.close()


@pytest.mark.parametrize(
    ("fault", "told"), [(Unavailable("no answer"), "no answer"), (KeyError("INSERT secret"), "KeyError")]
)
async def test_an_outage_is_outlived_and_told_once(database: Database, fault: Exception, told: str) -> None:
    clock, version, fickle = Clock(), [5], Fickle(database)
    with capture_logs() as lines:
        async with beating(fickle(), clock, version).beating():
            fickle.fault = fault
            before = fickle.writes
            await _until_writes(fickle, before + 5)
            clock.now, version[0] = 9_000, 8
            fickle.fault = None
            await settled(database, row(8, 9_000))
            fickle.fault = fault
            await _until_writes(fickle, fickle.writes + 3)
            clock.now = 9_500
            fickle.fault = None
            await settled(database, row(8, 9_500))
    waits = "the heartbeat waits for the database"
    returns = "the heartbeat reaches the database again"
    assert [line["event"] for line in lines] == [waits, returns] * 2
    assert lines[0]["error"] == told


async def test_a_database_that_never_answers_holds_up_neither_the_hooks_nor_the_end(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LEAVE_S", 0.05)
    fickle = Fickle(database)
    with capture_logs() as lines:
        async with asyncio.timeout(10), beating(fickle(), Clock(), [5]).beating():
            fickle.silent = True
            await _until_writes(fickle, 2)
    assert [line["event"] for line in lines] == [
        "the heartbeat could not say that it stops: revocations wait until it counts as silent"
    ]
    assert await rows(database) == [row(5, 1_000)]


async def test_a_clock_that_goes_back_makes_nobody_silent(database: Database) -> None:
    clock, version = Clock(), [5]
    async with beating(database, clock, version).beating():
        clock.now, version[0] = 400, 6
        await settled(database, row(6, 1_000))


async def test_a_row_under_way_at_the_end_does_not_come_back(database: Database) -> None:
    under_way, written = asyncio.Event(), asyncio.Event()

    class Late(Fickle):
        """Writes its second row, and no other, a moment after it was asked to."""

        @asynccontextmanager
        async def write(self) -> AsyncGenerator[AsyncConnection]:
            late = self.writes == 1 and not under_way.is_set()
            if late:
                under_way.set()
                await asyncio.sleep(0.05)
            async with super().write() as connection:
                yield connection
            if late:
                written.set()

    async with beating(Late(database)(), Clock(), [5]).beating():
        await asyncio.wait_for(under_way.wait(), 10)
    await asyncio.wait_for(written.wait(), 10)
    assert await rows(database) == []


async def test_retention_forgets_who_is_silent_for_an_hour(database: Database) -> None:
    async with database.write() as connection:
        for name, seen_at in (("silent", 1_000), ("quiet", 1_001), ("alive", 3_600_000)):
            await replicas.beat(connection, Replica(name, "hooks", 1, 1, seen_at))
    await Retention(database, lambda: 3_601_001, Keeping()).step()
    assert [one.replica_id for one in await rows(database)] == ["alive", "quiet"]


async def test_a_process_that_serves_hooks_says_so_while_it_does(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    await activate_profile(database)
    async with serving_hooks(tmp_path, database_url):
        (one,) = await rows(database)
        assert one.replica_id.startswith("hooks_")
        await add_person(database, "alice")
        async with database.read() as connection:
            version = await newest_version(connection)
        assert version > one.applied_version
        async with asyncio.timeout(10):
            while [each.applied_version for each in await rows(database)] != [version]:
                await asyncio.sleep(0.02)
    assert await rows(database) == []


async def test_a_process_that_is_killed_leaves_its_row(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    await activate_profile(database)
    async with serving_hooks(tmp_path, database_url) as hooks:
        (before,) = await rows(database)
        hooks.process.kill()
        await hooks.process.wait()
        (after,) = await rows(database)
        assert after.replica_id == before.replica_id


async def _until_writes(fickle: Fickle, number: int) -> None:
    async with asyncio.timeout(10):
        while fickle.writes < number:
            await asyncio.sleep(0.002)
