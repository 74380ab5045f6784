import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import cast

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection
from structlog.testing import capture_logs

from acl_service.enforcement.endings import Endings
from directory import credentials, endings, outbox, rules
from directory.changes import Change, newest_version
from directory.database import Database
from directory.errors import Unavailable
from tests.acl_service.serving import add_person, until

KINDS = ("rule_began", "rule_ended", "credential_expired")


class Clock:
    """Milliseconds that pass when told to."""

    def __init__(self, now: int = 1_000) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


class Woken:
    """How often the enforcer was woken."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> None:
        self.times += 1


class Watched:
    """A database that counts what is asked of it, and may be away."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.away = False
        self.reads = self.changes = self.refused = 0

    @asynccontextmanager
    async def read(self) -> AsyncGenerator[AsyncConnection]:
        self._refuse()
        self.reads += 1
        async with self._database.read() as connection:
            yield connection

    @asynccontextmanager
    async def change(self, author: str, now_ms: int) -> AsyncGenerator[Change]:
        self._refuse()
        self.changes += 1
        async with self._database.change(author, now_ms) as change:
            yield change

    def _refuse(self) -> None:
        if self.away:
            self.refused += 1
            raise Unavailable("away")

    def __call__(self) -> Database:
        return cast(Database, self)


async def allow(database: Database, employee_id: str, *, now_ms: int = 1_000, **times: int) -> int:
    async with database.change("sec", now_ms) as change:
        return await rules.add(
            change,
            subject_kind="employee",
            subject_id=employee_id,
            effect="allow",
            action="subscribe",
            filter="news",
            reason="r",
            **times,  # type: ignore[arg-type]
        )


async def left(database: Database) -> list[tuple[str, int | str]]:
    """The work for what happened by itself: its kind, and the rule or credential."""
    async with database.read() as connection:
        rows = await outbox.pending(connection, "enforcer")
    return [
        (row.kind, row.payload.get("rule_id") or row.payload["credential_id"])
        for row in rows
        if row.kind in KINDS
    ]


async def test_an_exception_that_ends_is_left_and_the_enforcer_woken_once(database: Database) -> None:
    await add_person(database, "alice")
    rule = await allow(database, "alice", valid_until_at=3_000)
    clock, woken = Clock(), Woken()
    worker = Endings(database, clock, woken, every_s=0.5)
    pauses = []
    for clock.now in (1_000, 2_800, 3_000, 3_001, 9_000):
        pauses.append(await worker.step())
    assert await left(database) == [("rule_ended", rule)]
    assert woken.times == 1
    # It sleeps to the next end, or its longest sleep.
    assert pauses == pytest.approx([0.5, 0.2, 0.5, 0.5, 0.5])


async def test_an_end_that_was_written_after_the_last_look_is_seen_too(database: Database) -> None:
    await add_person(database, "alice")
    clock, woken = Clock(), Woken()
    worker = Endings(database, clock, woken)
    await worker.step()
    rule = await allow(database, "alice", valid_from_at=1_500, valid_until_at=2_000)
    async with database.change("hr", 1_000) as change:
        token = await credentials.add_token(change, "alice", "ab" * 32, expires_at=1_700)
    for clock.now in (1_400, 1_500, 1_600, 1_700, 1_999, 2_000, 2_001):
        await worker.step()
    assert await left(database) == [("rule_began", rule), ("credential_expired", token), ("rule_ended", rule)]
    assert woken.times == 3


async def test_two_workers_leave_each_end_once(database: Database) -> None:
    await add_person(database, "alice")
    numbers = [await allow(database, "alice", valid_until_at=2_000 + n) for n in range(5)]
    clock, woken = Clock(), Woken()
    workers = [Endings(database, clock, woken) for _ in range(2)]
    for clock.now in (1_000, *range(2_000, 2_006)):
        await asyncio.gather(*(worker.step() for worker in workers))
    assert await left(database) == [("rule_ended", number) for number in numbers]
    assert woken.times == 5


async def test_a_restart_repeats_nothing_and_misses_nothing(database: Database) -> None:
    await add_person(database, "alice")
    first = await allow(database, "alice", valid_until_at=2_000)
    second = await allow(database, "alice", valid_until_at=3_000)
    clock = Clock(2_500)
    await Endings(database, clock, Woken()).step()
    clock.now = 4_000
    for _ in range(2):
        await Endings(database, clock, Woken()).step()
    assert await left(database) == [("rule_ended", first), ("rule_ended", second)]


async def test_an_idle_worker_writes_nothing_and_no_version_is_allotted(database: Database) -> None:
    await add_person(database, "alice")
    await allow(database, "alice", valid_until_at=9_000)
    async with database.read() as connection:
        version = await newest_version(connection)
    clock, watched = Clock(), Watched(database)
    worker = Endings(watched(), clock, Woken())
    for clock.now in range(1_000, 6_000, 500):
        await worker.step()
    assert watched.changes == 1
    clock.now = 9_000
    await worker.step()
    assert watched.changes == 2
    async with database.read() as connection:
        assert await newest_version(connection) == version


async def test_many_ends_at_once_are_left_in_steps_without_a_pause(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endings, "STEP", 2)
    await add_person(database, "alice")
    for end in (2_000, 2_100, 2_200, 2_300, 2_400):
        await allow(database, "alice", valid_until_at=end)
    clock, woken = Clock(5_000), Woken()
    worker = Endings(database, clock, woken)
    assert [await worker.step() for _ in range(4)] == [0, 0, 0.5, 0.5]
    assert (len(await left(database)), woken.times) == (5, 3)


async def test_a_clock_that_goes_back_misses_nothing(database: Database) -> None:
    await add_person(database, "alice")
    clock = Clock(3_600_000)
    worker = Endings(database, clock, Woken())
    await worker.step()
    rule = await allow(database, "alice", valid_until_at=2_000)
    for clock.now in (1_000, 1_999, 2_000, 2_001):
        await worker.step()
    assert await left(database) == [("rule_ended", rule)]


async def test_the_loop_leaves_an_end_soon_after_its_time(database: Database) -> None:
    def wall() -> int:
        return time.time_ns() // 1_000_000

    await add_person(database, "alice")
    rule = await allow(database, "alice", now_ms=wall() - 1_000, valid_until_at=wall() + 300)
    woken = Woken()
    work = asyncio.create_task(Endings(database, wall, woken).run())
    try:
        await until(lambda: woken.times == 1)
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
    assert await left(database) == [("rule_ended", rule)]


async def test_an_outage_is_outlived_and_told_once(database: Database) -> None:
    await add_person(database, "alice")
    rule = await allow(database, "alice", valid_until_at=2_000)
    clock, woken, watched = Clock(), Woken(), Watched(database)
    with capture_logs() as lines:
        work = asyncio.create_task(Endings(watched(), clock, woken, every_s=0.005).run())
        try:
            await until(lambda: watched.reads > 2)
            watched.away = True
            refused = watched.refused
            await until(lambda: watched.refused > refused + 3)
            clock.now = 2_000
            watched.away = False
            await until(lambda: woken.times == 1 and len(lines) == 2)
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
    assert [line["event"] for line in lines] == [
        "endings wait for the database",
        "endings reach the database again",
    ]
    assert await left(database) == [("rule_ended", rule)]
