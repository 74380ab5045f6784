"""One process of several works; it stops in time when it cannot renew, and the next one takes over."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from sqlalchemy import select, update
from structlog.testing import capture_logs

from acl_service.lease import Lease, new_holder
from directory import schema
from directory.database import Database
from tests.emqx.waiting import until

NAME = "work"


class Clock:
    """The wall clock, and how far a test has put it forward."""

    def __init__(self) -> None:
        self.ahead_ms = 0

    def __call__(self) -> int:
        return time.time_ns() // 1_000_000 + self.ahead_ms


@dataclass
class Worker:
    """A process that works while it leads.

    Attributes:
        began: how often it began to work.
        stopped_ms: when it stopped.
        fails: ends the work with this fault.
    """

    lease: Lease
    began: int = 0
    stopped_ms: list[int] = field(default_factory=list)
    fails: asyncio.Event = field(default_factory=asyncio.Event)

    async def work(self) -> None:
        self.began += 1
        try:
            await self.fails.wait()
            raise RuntimeError("the work failed")
        finally:
            self.stopped_ms.append(time.time_ns() // 1_000_000)

    @property
    def works(self) -> bool:
        return self.began > len(self.stopped_ms)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.lease.lead(self.work))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def worker(database: Database, now_ms: Callable[[], int], hold_s: float = 10.0) -> Worker:
    return Worker(
        Lease(
            database,
            NAME,
            holder=new_holder(),
            now_ms=now_ms,
            clock=time.monotonic,
            hold_s=hold_s,
            every_s=0.05,
        )
    )


@asynccontextmanager
async def held_up(database: Database) -> AsyncIterator[Callable[[], int]]:
    """Lock the lease's row, as a database does that is stuck; gives when the lease ends by itself."""
    other = Database.open(database.url.render_as_string(hide_password=False))
    try:
        async with other.write() as connection:
            await connection.execute(update(schema.lease).values(name=schema.lease.c.name))
            ends = (await connection.execute(select(schema.lease.c.expires_at))).scalar_one()
            yield lambda: ends
    finally:
        await other.close()


async def ends_at(database: Database) -> int:
    async with database.read() as connection:
        ends: int = (await connection.execute(select(schema.lease.c.expires_at))).scalar_one()
    return ends


async def test_one_works_and_the_other_does_as_soon_as_it_is_given_back(database: Database) -> None:
    first, second = worker(database, Clock()), worker(database, Clock())
    async with second.running():
        await until(lambda: second.works)
    assert not second.works
    async with first.running():
        await until(lambda: first.works)
        async with second.running():
            ended = await ends_at(database)
            with capture_logs():
                assert not await second.lease.take()
            assert first.lease.held
            while await ends_at(database) == ended:
                await asyncio.sleep(0.01)
            assert (first.began, second.began) == (1, 1), "renewed, and none began anew"
    async with second.running():
        await until(lambda: second.works, 2)


async def test_whoever_dies_is_followed_when_its_lease_ends(database: Database) -> None:
    clock = Clock()
    dead, next_one = worker(database, clock), worker(database, clock)
    assert await dead.lease.take()
    async with next_one.running():
        assert not await next_one.lease.take()
        clock.ahead_ms = 9_000
        assert not await next_one.lease.take()
        clock.ahead_ms = 10_100
        await until(lambda: next_one.works)
    assert not await dead.lease.take() or not next_one.works


async def test_whoever_lost_it_stops(database: Database) -> None:
    clock = Clock()
    first = worker(database, clock)
    later = worker(database, lambda: clock() + 10_100)
    async with first.running():
        await until(lambda: first.works)
        # By its clock the first one's lease is over.
        assert await later.lease.take()
        await until(lambda: not first.works)
        assert not first.lease.held
        assert later.lease.held
        await later.lease.give_back()
        await until(lambda: first.began == 2)


async def test_who_cannot_renew_stops_before_the_lease_ends(database: Database) -> None:
    first = worker(database, Clock(), hold_s=2.0)
    async with first.running():
        await until(lambda: first.works)
        async with held_up(database) as ends:
            await until(lambda: first.stopped_ms)
            assert first.stopped_ms[0] < ends()
        await until(lambda: first.began == 2)


async def test_a_database_that_was_away_for_less_does_not_stop_the_work(
    database: Database,
) -> None:
    impatient = Database.open(database.url.render_as_string(hide_password=False), timeout_s=0.1)
    first = worker(impatient, Clock())
    try:
        async with first.running():
            await until(lambda: first.works)
            with capture_logs() as told:
                async with held_up(database) as ends:
                    await until(lambda: len(told) >= 2)
            assert {(one["lease"], one["held"]) for one in told} == {(NAME, True)}
            while await ends_at(database) <= ends():
                await asyncio.sleep(0.01)
            assert first.began == 1
            assert first.works
    finally:
        await impatient.close()


async def test_without_a_database_it_is_neither_taken_nor_given_back(database: Database) -> None:
    impatient = Database.open(database.url.render_as_string(hide_password=False), timeout_s=0.1)
    having, wanting = worker(impatient, Clock()).lease, worker(impatient, Clock()).lease
    try:
        assert await having.take()
        with capture_logs() as told:
            async with held_up(database):
                assert not await wanting.take()
                await having.give_back()
        assert not having.held
        assert [one["event"] for one in told] == [
            "a lease waits for the database",
            "a lease is left to end by itself",
        ]
        assert not await wanting.take(), "the row still says that the other one has it"
    finally:
        await impatient.close()


async def test_work_that_fails_is_raised_and_the_lease_given_back(database: Database) -> None:
    first, second = worker(database, Clock()), worker(database, Clock())
    leading = asyncio.create_task(first.lease.lead(first.work))
    await until(lambda: first.works)
    first.fails.set()
    with pytest.raises(RuntimeError, match="the work failed"):
        await leading
    assert not first.lease.held
    assert await second.lease.take()
