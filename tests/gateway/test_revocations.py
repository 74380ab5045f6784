"""Answers that wait for a revocation share one look at the database."""

import asyncio

from directory import outbox
from directory.changes import Subject
from directory.database import Database
from gateway.revocations import Revocations
from tests.emqx.waiting import until


async def left(database: Database, *employee_ids: str) -> list[int]:
    """Work of a change for each of these people, and its numbers."""
    numbers = list[int]()
    for one in employee_ids:
        async with database.change("hr", 1_000) as change:
            change.touch(Subject("employee", one))
            change.enqueue("enforcer", "member_removed", one, {})
        numbers += change.outbox_ids
    return numbers


async def done(database: Database, number: int) -> None:
    async with database.write() as connection:
        await outbox.claim(connection, "enforcer", holder="w", now_ms=2_000, hold_ms=60_000)
        await outbox.finish(connection, [number], holder="w", now_ms=2_000)


async def test_many_that_wait_cost_no_more_looks_than_one(database: Database) -> None:
    first, second = await left(database, "ann", "bob")
    revocations = Revocations(database)
    early = [asyncio.create_task(revocations.in_effect(first, 10)) for _ in range(100)]
    late = [asyncio.create_task(revocations.in_effect(second, 10)) for _ in range(100)]
    await until(lambda: revocations.looks >= 2)
    await done(database, first)
    assert set(await asyncio.gather(*early)) == {True}
    assert not any(one.done() for one in late)
    before = revocations.looks
    await until(lambda: revocations.looks >= before + 2)
    await done(database, second)
    assert set(await asyncio.gather(*late)) == {True}
    assert revocations.looks < 100, "each looked for itself"


async def test_what_takes_longer_is_not_waited_for_and_nobody_looks_any_more(database: Database) -> None:
    (number,) = await left(database, "ann")
    revocations = Revocations(database)
    assert not await revocations.in_effect(number, 0.06)
    assert revocations.looks >= 1
    await until(lambda: revocations._task is None)
    await done(database, number)
    assert await revocations.in_effect(number, 10), "and it looks again for who comes later"


async def test_closing_ends_the_look_that_is_under_way_and_tells_that_nobody_knows(
    database: Database,
) -> None:
    (number,) = await left(database, "ann")
    revocations = Revocations(database)
    waiting = asyncio.create_task(revocations.in_effect(number, 10))
    await until(lambda: revocations.looks)
    await revocations.close()
    assert revocations._task is None
    assert not await waiting
    await revocations.close()


async def test_without_the_database_nobody_knows(database: Database) -> None:
    (number,) = await left(database, "ann")
    away = Database.open("postgresql://nobody@127.0.0.1:1/none", timeout_s=1)
    assert not await Revocations(away).in_effect(number, 10)
    await away.close()
