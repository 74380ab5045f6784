"""Requests that were carried out, challenges, participants and the organisation, as the database keeps them."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from directory import challenges, requests, schema
from directory.challenges import MAX_OPEN, Purpose
from directory.database import Database
from directory.requests import Key
from tests.directory.company import hire

KEY = Key("zhang_web_1", "seq_1")


async def _claim(
    database: Database, key: Key = KEY, now_ms: int = 1, **more: str
) -> requests.Answered | None:
    values = {"employee_id": "zhang", "payload_hash": "ab" * 32, "action": "group.create"} | more
    async with database.write() as connection:
        before = await requests.claim(connection, key, now_ms=now_ms, **values)
        if before is None:
            await requests.answer(connection, key, '{"code":0}')
        return before


async def test_a_request_is_taken_once_and_then_known_with_its_answer(database: Database) -> None:
    assert await _claim(database) is None
    before = await _claim(database, now_ms=9, employee_id="li", payload_hash="cd" * 32, action="other")
    assert before == requests.Answered("zhang", "ab" * 32, "group.create", '{"code":0}', None, 1)
    # Another number, and another client with the same one, are other requests.
    assert await _claim(database, Key("zhang_web_1", "seq_2")) is None
    assert await _claim(database, Key("zhang_web_2", "seq_1")) is None


async def test_what_was_undone_was_not_taken(database: Database) -> None:
    with pytest.raises(RuntimeError):
        async with database.write() as connection:
            values = {"employee_id": "zhang", "payload_hash": "ab" * 32, "action": "a"}
            assert await requests.claim(connection, KEY, now_ms=1, **values) is None
            raise RuntimeError
    assert await _claim(database) is None


async def test_of_many_at_once_one_takes_it_and_the_others_get_its_answer(database: Database) -> None:
    ends = await asyncio.gather(*(_claim(database) for _ in range(8)))
    assert sum(one is None for one in ends) == 1
    assert {one.response for one in ends if one is not None} == {'{"code":0}'}


class _Pruned:
    """A connection that finds, after its first statement, that another transaction has pruned everything."""

    def __init__(self, connection: AsyncConnection, database: Database) -> None:
        self._connection = connection
        self._database = database
        self.statements = 0
        self.dialect = connection.dialect

    async def execute(self, statement: Any) -> Any:
        done = await self._connection.execute(statement)
        self.statements += 1
        if self.statements == 1:
            async with self._database.write() as other:
                assert await requests.prune(other, 10) == 1
        return done


async def test_a_request_that_is_pruned_while_it_is_looked_for_is_taken(database: Database) -> None:
    if database.dialect == "sqlite":
        pytest.skip("SQLite has one writer at a time")
    assert await _claim(database, now_ms=1) is None
    values = {"employee_id": "zhang", "payload_hash": "ab" * 32, "action": "group.create"}
    async with database.write() as connection:
        between: Any = _Pruned(connection, database)
        assert await requests.claim(between, KEY, now_ms=20, **values) is None
        await requests.answer(connection, KEY, "{}")
    before = await _claim(database, now_ms=30)
    assert before is not None and (before.created_at, before.response) == (20, "{}")


async def test_the_work_that_an_answer_waits_for_is_noted(database: Database) -> None:
    assert await _claim(database) is None
    async with database.write() as connection:
        await requests.revokes(connection, KEY, 77)
    before = await _claim(database)
    assert before is not None and before.outbox_id == 77


async def test_old_requests_are_pruned_step_by_step(database: Database) -> None:
    for number in range(5):
        assert await _claim(database, Key("c", f"s{number}"), now_ms=number) is None
    async with database.write() as connection:
        assert await requests.prune(connection, 4, limit=3) == 3
    async with database.write() as connection:
        assert await requests.prune(connection, 4, limit=3) == 1
        assert await requests.prune(connection, 4, limit=3) == 0
    kept = await _claim(database, Key("c", "s4"))
    assert kept is not None and kept.created_at == 4


PURPOSE = Purpose("zhang", "zhang_web", "employee.delete", "li")


async def _spend(
    database: Database, challenge_id: str, purpose: Purpose, digest: str, now_ms: int = 5
) -> bool:
    async with database.write() as connection:
        return await challenges.spend(connection, challenge_id, purpose, digest, now_ms=now_ms)


async def _make(database: Database, purpose: Purpose = PURPOSE, now_ms: int = 1) -> str:
    async with database.write() as connection:
        return await challenges.make(connection, purpose, "ab" * 32, now_ms=now_ms, expires_at=10)


async def test_a_challenge_is_for_one_use_and_for_its_purpose_only(database: Database) -> None:
    await hire(database, "zhang", "li")
    one = await _make(database)
    assert one.startswith("ch_")
    others = [
        Purpose("li", "zhang_web", "employee.delete", "li"),
        Purpose("zhang", "zhang_phone", "employee.delete", "li"),
        Purpose("zhang", "zhang_web", "employee.update", "li"),
        Purpose("zhang", "zhang_web", "employee.delete", "wang"),
    ]
    for other in others:
        assert not await _spend(database, one, other, "ab" * 32)
    assert not await _spend(database, one, PURPOSE, "cd" * 32)
    assert not await _spend(database, "ch_none", PURPOSE, "ab" * 32)
    assert not await _spend(database, one, PURPOSE, "ab" * 32, now_ms=10)
    assert await _spend(database, one, PURPOSE, "ab" * 32, now_ms=9)
    assert not await _spend(database, one, PURPOSE, "ab" * 32, now_ms=9)


async def test_of_two_who_spend_a_challenge_at_once_one_has_it(database: Database) -> None:
    await hire(database, "zhang")
    one = await _make(database)
    ends = await asyncio.gather(*(_spend(database, one, PURPOSE, "ab" * 32) for _ in range(4)))
    assert sorted(ends) == [False, False, False, True]


async def test_challenges_of_a_person_are_bounded_and_old_ones_pruned(database: Database) -> None:
    await hire(database, "zhang", "li")
    first = await _make(database)
    of_li = await _make(database, Purpose("li", "li", "a", "t"))
    for number in range(MAX_OPEN):
        await _make(database, now_ms=2 + number)
    async with database.read() as connection:
        assert await connection.scalar(select(func.count()).select_from(schema.challenge)) == MAX_OPEN + 1
    assert not await _spend(database, first, PURPOSE, "ab" * 32)
    assert await _spend(database, of_li, Purpose("li", "li", "a", "t"), "ab" * 32)
    async with database.write() as connection:
        assert await challenges.prune(connection, 10) == 0
        assert await challenges.prune(connection, 11) == MAX_OPEN + 1
