"""Sessions, events, outbox, leases, replicas, audit: rows that give nobody rights."""

import asyncio
from dataclasses import replace

from sqlalchemy import update

from directory import audit, events, leases, outbox, replicas, schema, sessions
from directory.database import Database
from directory.events import EventRow
from directory.replicas import Replica
from directory.sessions import SessionRow
from tests.directory.company import know, version_of


def _session(client_id: str, updated_at: int, version: int = 1) -> SessionRow:
    return SessionRow(client_id=client_id, employee_id="a", grants_version=version, updated_at=updated_at)


async def test_a_newer_connect_replaces_an_older_one_and_never_the_reverse(database: Database) -> None:
    for row in (_session("a_1", 10, 7), _session("a_1", 9, 6), _session("a_2", 1)):
        async with database.write() as connection:
            await sessions.store(connection, [row])
    async with database.read() as connection:
        assert await sessions.of_clients(connection, ["a_1", "nobody"]) == {"a_1": _session("a_1", 10, 7)}
        assert [one.client_id for one in await sessions.of_employee(connection, "a")] == ["a_1", "a_2"]
    assert await version_of(database) == 0


async def test_the_sessions_of_many_people_are_listed_by_client_id(database: Database) -> None:
    await know(database, "b_1", employee_id="b")
    await know(database, "a_2", "a_1", employee_id="a")
    await know(database, "c_1", employee_id="c")
    async with database.read() as connection:
        found = await sessions.of_employees(connection, ["b", "a", "nobody"])
        assert [one.client_id for one in found] == ["a_1", "a_2", "b_1"]
        assert await sessions.of_employees(connection, []) == []


async def test_a_connect_leaves_what_events_know(database: Database) -> None:
    await know(database, "a_1")
    async with database.write() as connection:
        await connection.execute(
            update(schema.client_session).values(online=True, connected_at=5, node="n", reason="r")
        )
        await sessions.store(connection, [_session("a_1", 2)])
    async with database.read() as connection:
        found = (await sessions.of_clients(connection, ["a_1"]))["a_1"]
    assert (found.online, found.connected_at, found.node, found.updated_at) == (True, 5, "n", 2)


async def test_thousands_of_sessions_are_stored_at_once_by_two(database: Database) -> None:
    rows = [_session(f"a_{number}", 1) for number in range(2_000)]

    async def store(some: list[SessionRow]) -> None:
        async with database.write() as connection:
            await sessions.store(connection, some)

    await asyncio.gather(store(rows), store(rows[::-1]), store([]))
    async with database.read() as connection:
        assert len(await sessions.of_employee(connection, "a")) == 2_000


async def test_events_are_kept_in_order_twice_if_they_came_twice(database: Database) -> None:
    connected = EventRow(
        received_at=1, kind="client.connected", client_id="a_1", username="张", epoch=2**45, body='{"x":"张"}'
    )
    rows = [connected, replace(connected, kind="client.disconnected", reason="normal"), connected]
    async with database.write() as connection:
        await events.store(connection, rows)
        await events.store(connection, [])
    async with database.read() as connection:
        found = await events.after(connection, 0)
        assert [replace(one, event_id=0) for one in found] == rows
        assert await events.after(connection, found[1].event_id) == [found[2]]
        assert await events.count(connection) == 3
    async with database.write() as connection:
        assert await events.prune(connection, 1) == 0
        assert await events.prune(connection, 2) == 3


async def _leave(database: Database, *subjects: str, worker: str = "w") -> None:
    async with database.change("t", 10) as change:
        for subject in subjects:
            change.enqueue(worker, "kind", subject, {"s": subject})


async def test_work_is_claimed_one_piece_a_subject_and_in_order(database: Database) -> None:
    await _leave(database, "a", "a", "b")
    await _leave(database, "a", worker="other")
    async with database.write() as connection:
        first = await outbox.claim(connection, "w", holder="p", now_ms=10, hold_ms=5)
        assert [(one.subject, one.attempts) for one in first] == [("a", 1), ("b", 1)]
        assert await outbox.claim(connection, "w", holder="q", now_ms=11, hold_ms=5) == []
        assert await outbox.finish(connection, [first[0].outbox_id], holder="p", now_ms=12)
        assert not await outbox.finish(connection, [first[0].outbox_id], holder="p", now_ms=12)
        (second,) = await outbox.claim(connection, "w", holder="q", now_ms=12, hold_ms=5)
        assert second.subject == "a" and second.outbox_id > first[0].outbox_id
        assert len(await outbox.pending(connection, "w")) == 2
        assert await outbox.prune(connection, 13) == 1


async def test_work_of_the_dead_and_of_the_unlucky_is_done_again(database: Database) -> None:
    await _leave(database, "a")
    async with database.write() as connection:
        (lost,) = await outbox.claim(connection, "w", holder="dead", now_ms=10, hold_ms=5)
        assert await outbox.claim(connection, "w", holder="p", now_ms=14, hold_ms=5) == []
        (again,) = await outbox.claim(connection, "w", holder="p", now_ms=15, hold_ms=5)
        assert (again.outbox_id, again.attempts) == (lost.outbox_id, 2)
        assert not await outbox.finish(connection, [lost.outbox_id], holder="dead", now_ms=16)
        assert await outbox.postpone(connection, again.outbox_id, holder="p", until_ms=30, error="张" * 2_000)
        assert await outbox.claim(connection, "w", holder="p", now_ms=29, hold_ms=5) == []
        assert len(await outbox.claim(connection, "w", holder="p", now_ms=30, hold_ms=5)) == 1


async def test_work_is_claimed_by_one_of_many(database: Database) -> None:
    await _leave(database, *(f"s{number % 40}" for number in range(60)))

    async def claim(holder: str) -> list[int]:
        async with database.write() as connection:
            found = await outbox.claim(connection, "w", holder=holder, now_ms=10, hold_ms=5, limit=30)
            return [one.outbox_id for one in found]

    claimed = [one for some in await asyncio.gather(*(claim(f"p{n}") for n in range(6))) for one in some]
    assert len(claimed) == len(set(claimed)) == 40


async def test_a_lease_is_held_by_one_until_it_ends_or_is_given_back(database: Database) -> None:
    async def acquire(holder: str, now_ms: int) -> bool:
        async with database.write() as connection:
            return await leases.acquire(connection, "seal", holder=holder, now_ms=now_ms, hold_ms=10)

    assert sum(await asyncio.gather(*(acquire(f"p{number}", 0) for number in range(5)))) == 1
    assert await acquire("late", 10)
    assert not await acquire("other", 19)
    assert await acquire("late", 19)
    assert not await acquire("other", 28)
    async with database.write() as connection:
        assert not await leases.release(connection, "seal", holder="other")
        assert await leases.release(connection, "seal", holder="late")
    assert await acquire("other", 20)


async def test_replicas_say_what_they_applied_and_it_never_goes_back(database: Database) -> None:
    one = Replica("r1", "hooks", applied_version=5, started_at=1, seen_at=10)
    async with database.write() as connection:
        for beat in (
            one,
            replace(one, applied_version=4, seen_at=11),
            replace(one, replica_id="r2", kind="x"),
        ):
            await replicas.beat(connection, beat)
        assert await replicas.list_(connection, "hooks") == [one]
        assert [each.replica_id for each in await replicas.list_(connection, "hooks", "x")] == ["r1", "r2"]
        later = replace(one, applied_version=6, seen_at=12)
        await replicas.beat(connection, later)
        assert await replicas.forget_silent(connection, 12) == 1
        assert await replicas.list_(connection) == [later]
        await replicas.leave(connection, "r1")
        assert await replicas.list_(connection) == []


async def test_the_audit_is_listed_newest_first_and_by_what_is_asked(database: Database) -> None:
    for author, now_ms in (("a", 1), ("b", 2), ("a", 3)):
        async with database.change(author, now_ms) as change:
            change.audit(f"act.{author}", "目标", {"n": now_ms})
    async with database.read() as connection:
        everything = await audit.list_(connection)
        assert [(one.author, one.target, one.detail) for one in everything] == [
            ("a", "目标", {"n": 3}),
            ("b", "目标", {"n": 2}),
            ("a", "目标", {"n": 1}),
        ]
        assert [one.created_at for one in await audit.list_(connection, author="a", limit=1)] == [3]
        assert [one.created_at for one in await audit.list_(connection, action="act.b")] == [2]
        assert [one.created_at for one in await audit.list_(connection, from_ms=2, until_ms=3)] == [2]
        older = await audit.list_(connection, before=everything[0].audit_id)
        assert [one.created_at for one in older] == [2, 1]
