"""Work that is in effect before it is done, renewed claims, progress, and what health is told of it."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import delete, event

from directory import outbox, schema
from directory.changes import Subject
from directory.database import Database
from directory.errors import InvalidValue
from directory.outbox import Backlog, OutboxRow


async def leave(database: Database, *subjects: str, now_ms: int = 1) -> None:
    async with database.change("t", now_ms) as change:
        for subject in subjects:
            change.enqueue("w", "kind", subject, {})


async def claim(database: Database, now_ms: int, holder: str = "p") -> Sequence[OutboxRow]:
    async with database.write() as connection:
        return await outbox.claim(connection, "w", holder=holder, now_ms=now_ms, hold_ms=10)


async def claim_enforced(
    database: Database, now_ms: int, holder: str = "p", limit: int = 100
) -> Sequence[OutboxRow]:
    async with database.write() as connection:
        return await outbox.claim_enforced(
            connection, "w", holder=holder, now_ms=now_ms, hold_ms=10, limit=limit
        )


async def enforce(
    database: Database, row: OutboxRow, now_ms: int, confirm_at_ms: int, holder: str = "p"
) -> bool:
    async with database.write() as connection:
        held = await outbox.enforced(
            connection, [row.outbox_id], holder=holder, now_ms=now_ms, confirm_at_ms=confirm_at_ms
        )
    return held == {row.outbox_id}


async def only(database: Database) -> OutboxRow:
    async with database.read() as connection:
        (row,) = await outbox.pending(connection, "w")
        return row


async def backlog(database: Database) -> Backlog:
    async with database.read() as connection:
        return await outbox.backlog(connection, "w")


async def test_work_in_effect_holds_up_no_later_work_and_is_not_claimed_as_new(database: Database) -> None:
    await leave(database, "a", "a")
    (first,) = await claim(database, 10)
    assert await enforce(database, first, 12, 50)
    (second,) = await claim(database, 13)
    assert second.outbox_id > first.outbox_id
    assert await claim(database, 99) == [replace(second, attempts=2)]


async def test_work_not_in_effect_goes_on_holding_up_later_work(database: Database) -> None:
    await leave(database, "a", "a")
    (first,) = await claim(database, 10)
    async with database.write() as connection:
        await outbox.postpone(connection, first.outbox_id, holder="p", until_ms=90, error="no")
    assert await claim(database, 50) == []


async def test_work_in_effect_is_looked_at_when_due_until_it_is_finished(database: Database) -> None:
    await leave(database, "a")
    (row,) = await claim(database, 10)
    assert await claim_enforced(database, 99) == []
    assert await enforce(database, row, 12, 20)
    assert await claim_enforced(database, 19) == []
    (again,) = await claim_enforced(database, 20)
    assert (again.outbox_id, again.enforced_at, again.attempts) == (row.outbox_id, 12, 1)
    assert await claim_enforced(database, 29, "q") == []
    assert await enforce(database, again, 25, 40)
    assert (await only(database)).enforced_at == 12
    assert await claim_enforced(database, 39) == []
    (last,) = await claim_enforced(database, 40, "q")
    async with database.write() as connection:
        assert await outbox.finish(connection, [last.outbox_id], holder="q", now_ms=41)
    assert await claim_enforced(database, 99) == []


async def test_only_who_holds_work_says_that_it_is_in_effect(database: Database) -> None:
    await leave(database, "a")
    (row,) = await claim(database, 10)
    assert not await enforce(database, row, 11, 20, holder="q")
    assert (await only(database)).enforced_at is None
    assert await enforce(database, row, 11, 20)
    # It was given back with that.
    assert not await enforce(database, row, 12, 20)


async def test_what_the_dead_held_is_looked_at_by_another(database: Database) -> None:
    await leave(database, "a")
    (row,) = await claim(database, 10)
    await enforce(database, row, 11, 20)
    await claim_enforced(database, 20, "dead")
    assert await claim_enforced(database, 29) == []
    (again,) = await claim_enforced(database, 30)
    assert not await enforce(database, again, 31, 40, holder="dead")
    assert await enforce(database, again, 31, 40)


async def test_the_longest_due_is_looked_at_first(database: Database) -> None:
    await leave(database, "a", "b", "c")
    for row, due in zip(await claim(database, 10), (30, 20, 25), strict=True):
        await enforce(database, row, 11, due)
    found = [(await claim_enforced(database, 40, limit=1))[0].subject for _ in range(3)]
    assert found == ["b", "c", "a"]


async def test_work_in_effect_is_claimed_by_one_of_many(database: Database) -> None:
    await leave(database, *(f"s{number}" for number in range(40)))
    for row in await claim(database, 10):
        await enforce(database, row, 11, 12)
    some = await asyncio.gather(*(claim_enforced(database, 12, f"p{n}", limit=20) for n in range(6)))
    found = [row.outbox_id for rows in some for row in rows]
    assert len(found) == len(set(found)) == 40


async def test_nobody_waits_for_rows_that_another_transaction_is_claiming(database: Database) -> None:
    if database.dialect == "sqlite":
        pytest.skip("SQLite has one writer at a time")
    await leave(database, "a", "b")
    for row in await claim(database, 10):
        await enforce(database, row, 11, 12)
    async with database.write() as connection:
        held = await outbox.claim_enforced(connection, "w", holder="p", now_ms=12, hold_ms=10, limit=1)
        others = await asyncio.wait_for(claim_enforced(database, 12, "q"), 3)
        assert [row.subject for row in (*held, *others)] == ["a", "b"]


async def test_a_claim_is_renewed_by_who_has_it(database: Database) -> None:
    await leave(database, "a", "b", "c")
    mine, lost, done = [row.outbox_id for row in await claim(database, 10)]
    async with database.write() as connection:
        await outbox.finish(connection, [done], holder="p", now_ms=11)
        assert await outbox.renew(connection, [mine], holder="p", now_ms=19, hold_ms=10) == {mine}
        (taken,) = await outbox.claim(connection, "w", holder="q", now_ms=20, hold_ms=10)
        assert taken.outbox_id == lost
        everything = [done, lost, mine]
        assert await outbox.renew(connection, everything, holder="p", now_ms=21, hold_ms=10) == {mine}
        assert await outbox.renew(connection, everything, holder="q", now_ms=21, hold_ms=10) == {lost}
        assert await outbox.renew(connection, [], holder="p", now_ms=21, hold_ms=10) == set()
        assert await outbox.claim(connection, "w", holder="r", now_ms=30, hold_ms=10) == []


async def test_a_claim_that_ran_out_is_renewed_unless_another_took_the_work(database: Database) -> None:
    await leave(database, "a")
    (row,) = await claim(database, 10)
    async with database.write() as connection:
        kept = await outbox.renew(connection, [row.outbox_id], holder="p", now_ms=50, hold_ms=10)
    assert kept == {row.outbox_id}
    assert await claim(database, 59, "q") == []


async def test_progress_is_kept_over_claims_and_noted_by_the_holder_only(database: Database) -> None:
    await leave(database, "a")
    (row,) = await claim(database, 10)
    assert row.progress == ""
    async with database.write() as connection:
        assert await outbox.note(connection, row.outbox_id, holder="p", progress="张 3/9")
        assert not await outbox.note(connection, row.outbox_id, holder="q", progress="lies")
        with pytest.raises(InvalidValue, match="4001"):
            await outbox.note(connection, row.outbox_id, holder="p", progress="x" * 4_001)
    (again,) = await claim(database, 20, "q")
    assert again.progress == "张 3/9"


async def test_done_work_is_listed_newest_first_with_its_times(database: Database) -> None:
    await leave(database, "a", "b", "c")
    rows = await claim(database, 10)
    for row, done_at in zip(rows, (30, 50, 40), strict=True):
        if row.subject == "b":
            await enforce(database, row, 12, 13)
            await claim_enforced(database, 13)
        async with database.write() as connection:
            await outbox.finish(connection, [row.outbox_id], holder="p", now_ms=done_at)
    await leave(database, "open")
    async with database.read() as connection:
        found = await outbox.recent(connection, "w")
        assert [(row.subject, row.enforced_at, row.done_at) for row in found] == [
            ("b", 12, 50),
            ("c", None, 40),
            ("a", None, 30),
        ]
        assert [row.subject for row in await outbox.recent(connection, "w", 1)] == ["b"]
        assert [row.subject for row in await outbox.recent(connection, "w", since_ms=40)] == ["b", "c"]
        assert await outbox.recent(connection, "other") == []


async def test_the_backlog_says_how_much_since_when_and_what_went_wrong(database: Database) -> None:
    assert await backlog(database) == Backlog(0, 0, None, "")
    await leave(database, "a", now_ms=3)
    await leave(database, "b", "c", now_ms=5)
    first, second, third = await claim(database, 10)
    assert await backlog(database) == Backlog(3, 0, 3, "")
    await enforce(database, first, 12, 20)
    async with database.write() as connection:
        await outbox.postpone(connection, third.outbox_id, holder="p", until_ms=30, error="EMQX answers 500")
    assert await backlog(database) == Backlog(2, 1, 5, "EMQX answers 500")
    async with database.write() as connection:
        await outbox.finish(connection, [second.outbox_id], holder="p", now_ms=13)
    assert await enforce(database, (await claim(database, 30))[0], 31, 40)
    assert await backlog(database) == Backlog(0, 2, None, "")
    for row in await claim_enforced(database, 40):
        async with database.write() as connection:
            await outbox.finish(connection, [row.outbox_id], holder="p", now_ms=41)
    assert await backlog(database) == Backlog(0, 0, None, "")


async def test_claiming_reads_neither_done_nor_unconfirmed_work(database: Database) -> None:
    if database.dialect != "sqlite":
        pytest.skip("the plan of a small table is a matter of statistics on PostgreSQL")
    asked: list[tuple[str, Any]] = []
    await leave(database, "a")

    def remember(_connection: Any, _cursor: Any, statement: str, values: Any, *_more: Any) -> None:
        asked.append((statement, values))

    async with database.write() as connection:
        event.listen(connection.sync_connection, "before_cursor_execute", remember)
        await outbox.claim(connection, "w", holder="p", now_ms=1, hold_ms=1)
        await outbox.claim_enforced(connection, "w", holder="p", now_ms=1, hold_ms=1)
    async with database.read() as connection:
        plans = [
            " ".join(
                row.detail for row in await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {one}", values)
            )
            for one, values in asked
            if one.startswith("SELECT")
        ]
    claiming, looking = plans
    assert "ix_outbox_unenforced " in claiming and "ix_outbox_unenforced_subject " in claiming
    assert "ix_outbox_unconfirmed " in looking
    assert "SCAN" not in claiming + looking and "TEMP B-TREE" not in claiming


async def test_it_is_told_whether_there_is_something_to_do_by_now(database: Database) -> None:
    async def some(now_ms: int, *, in_effect: bool) -> bool:
        async with database.read() as connection:
            return await outbox.some(connection, "w", now_ms, in_effect=in_effect)

    assert not await some(10, in_effect=False)
    await leave(database, "a")
    assert await some(10, in_effect=False)
    assert not await some(10, in_effect=True)
    (row,) = await claim(database, 10)
    async with database.write() as connection:
        await outbox.enforced(connection, [row.outbox_id], holder="p", now_ms=11, confirm_at_ms=20)
    assert not await some(19, in_effect=False)
    assert not await some(19, in_effect=True)
    assert await some(20, in_effect=True)
    assert not await some(20, in_effect=False)
    async with database.write() as connection:
        await outbox.claim_enforced(connection, "w", holder="p", now_ms=20, hold_ms=10)
        assert await outbox.some(connection, "w", 20, in_effect=True)
        await outbox.finish(connection, [row.outbox_id], holder="p", now_ms=21)
    assert not await some(99, in_effect=True)


async def test_work_that_is_held_from_the_start_is_its_makers_until_the_claim_runs_out(
    database: Database,
) -> None:
    async with database.change("t", 10) as change:
        change.enqueue("w", "kind", "a", {"n": 1}, holder="maker", hold_ms=20)
        change.enqueue("w", "kind", "b", {"n": 2})
    held, free = change.outbox_ids
    assert [row.outbox_id for row in await claim(database, 29)] == [free]
    async with database.write() as connection:
        assert await outbox.finish(connection, [held, free], holder="maker", now_ms=29) == {held}
    async with database.change("t", 30) as change:
        change.enqueue("w", "kind", "c", {}, holder="maker", hold_ms=20)
    assert [(row.outbox_id, row.attempts) for row in await claim(database, 50)] == [
        (free, 2),
        (change.outbox_ids[0], 2),
    ]


async def test_the_numbers_of_work_come_in_the_order_of_leaving_it(database: Database) -> None:
    async with database.change("t", 10) as change:
        for number in range(300):
            change.enqueue("w", "kind", f"s{number % 7}", {"n": number})
    async with database.read() as connection:
        rows = {row.outbox_id: row.payload["n"] for row in await outbox.pending(connection, "w")}
    assert [rows[one] for one in change.outbox_ids] == list(range(300))


async def test_the_number_of_work_is_never_used_again(database: Database) -> None:
    """Whoever was told a number asks by it later, when the row may be gone."""
    async with database.change("t", 10) as change:
        change.enqueue("w", "kind", "a", {})
        change.enqueue("w", "kind", "b", {})
    first = change.outbox_ids
    with pytest.raises(RuntimeError):
        async with database.change("t", 10) as undone:
            undone.enqueue("w", "kind", "c", {})
            await undone.finish()
            raise RuntimeError
    async with database.write() as connection:
        await connection.execute(delete(schema.outbox))
    async with database.change("t", 10) as change:
        change.enqueue("w", "kind", "d", {})
        change.enqueue("w", "kind", "e", {})
    assert min(change.outbox_ids) > max(first)
    async with database.read() as connection:
        rows = {row.outbox_id: row.subject for row in await outbox.pending(connection, "w")}
    assert [rows[one] for one in change.outbox_ids] == ["d", "e"]


async def test_work_of_one_kind_is_claimed_by_itself(database: Database) -> None:
    async with database.change("t", 1) as change:
        change.enqueue("w", "one", "a", {})
        change.enqueue("w", "other", "b", {})
    async with database.write() as connection:
        rows = await outbox.claim(connection, "w", holder="p", now_ms=1, hold_ms=9, kind="other")
    assert [row.subject for row in rows] == ["b"]
    assert [row.subject for row in await claim(database, 1)] == ["a"]


async def test_work_is_in_effect_with_all_that_its_change_left_beside_it(database: Database) -> None:
    async def in_effect(outbox_id: int) -> bool:
        async with database.read() as connection:
            return await outbox.in_effect(connection, outbox_id)

    async with database.change("t", 1) as change:
        change.touch(Subject("everyone"))
        change.enqueue("w", "kind", "a", {})
        change.enqueue("w", "kind", "b", {})
        change.enqueue("others", "kind", "c", {})
    first, second, _ = change.outbox_ids
    await leave(database, "d")
    a, b, later = await claim(database, 2)
    assert not await in_effect(first)
    assert await enforce(database, a, 3, 50)
    assert not await in_effect(first)
    async with database.write() as connection:
        await outbox.finish(connection, [b.outbox_id], holder="p", now_ms=3)
    assert await in_effect(first) and await in_effect(second)
    assert not await in_effect(later.outbox_id)
    async with database.write() as connection:
        await outbox.prune(connection, 9)
    assert await in_effect(second)
