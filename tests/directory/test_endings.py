"""Exceptions and credentials that begin or end by themselves."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import select

from directory import credentials, endings, rules, schema
from directory.database import Database
from tests.directory.company import hire, version_of


async def pass_time(database: Database, now_ms: int) -> int:
    async with database.change("time", now_ms) as change:
        left = await endings.pass_time(change, now_ms)
    assert change.version is None
    return left


async def next_ending(database: Database, after_ms: int) -> int | None:
    async with database.read() as connection:
        return await endings.next_ending(connection, after_ms)


async def allow(database: Database, employee_id: str, **times: int) -> int:
    async with database.change("sec", 1_000) as change:
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


async def left(database: Database) -> list[tuple[str, str, Any, int | None]]:
    """The work that was left for what happens by itself, in order."""
    async with database.read() as connection:
        rows = await connection.execute(select(schema.outbox).order_by(schema.outbox.c.outbox_id))
        return [
            (row.kind, row.subject, row.payload, row.version)
            for row in rows
            if row.kind in ("rule_began", "rule_ended", "credential_expired")
        ]


async def test_an_exception_begins_and_ends_once_and_no_version_is_allotted(database: Database) -> None:
    await hire(database, "a")
    rule = await allow(database, "a", valid_from_at=2_000, valid_until_at=3_000)
    await allow(database, "a")
    version = await version_of(database)
    assert [await pass_time(database, now) for now in (1_500, 1_999, 2_000, 2_000, 2_999)] == [0, 0, 1, 0, 0]
    assert [await pass_time(database, now) for now in (3_000, 3_000, 9_000)] == [1, 0, 0]
    payload = {"rule_id": rule, "subject_kind": "employee", "subject_id": "a"}
    assert await left(database) == [
        ("rule_began", "employee:a", payload, None),
        ("rule_ended", "employee:a", payload, None),
    ]
    assert await version_of(database) == version


async def test_work_on_an_ending_has_the_form_of_work_on_a_change(database: Database) -> None:
    await hire(database, "a")
    rule = await allow(database, "a", valid_until_at=3_000)
    async with database.change("hr", 1_000) as change:
        ends = await credentials.add_token(change, "a", "ab" * 32, expires_at=2_000)
        revoked = await credentials.add_token(change, "a", "cd" * 32)
    await pass_time(database, 1_000)
    await pass_time(database, 3_000)
    async with database.change("hr", 4_000) as change:
        await credentials.revoke(change, revoked)
        await rules.remove(change, rule)
    async with database.read() as connection:
        rows = (await connection.execute(select(schema.outbox))).all()
    found = {row.kind: (row.worker, row.subject, row.payload) for row in rows}
    assert found["rule_ended"] == found["rule_removed"] == found["rule_added"]
    worker, subject, payload = found["credential_revoked"]
    assert found["credential_expired"] == (worker, subject, payload | {"credential_id": ends})


async def test_a_credential_that_was_revoked_before_does_not_end_again(database: Database) -> None:
    await hire(database, "a")
    async with database.change("hr", 1_000) as change:
        kept = await credentials.add_token(change, "a", "ab" * 32, expires_at=2_000)
        revoked = await credentials.add_token(change, "a", "cd" * 32, expires_at=1_900)
    await pass_time(database, 1_000)
    async with database.change("hr", 1_500) as change:
        await credentials.revoke(change, revoked)
    assert await next_ending(database, 1_500) == 2_000
    assert await pass_time(database, 2_000) == 1
    assert await left(database) == [
        ("credential_expired", "a", {"employee_id": "a", "credential_id": kept}, None)
    ]


async def test_a_removed_exception_does_not_end(database: Database) -> None:
    await hire(database, "a")
    rule = await allow(database, "a", valid_until_at=3_000)
    await pass_time(database, 1_000)
    async with database.change("sec", 2_000) as change:
        await rules.remove(change, rule)
    assert await next_ending(database, 1_000) is None
    assert await pass_time(database, 3_000) == 0


async def test_the_first_look_finds_exceptions_that_ended_before_it_but_no_credentials(
    database: Database,
) -> None:
    # Hooks without a worker allowed subscriptions by that exception, and they still stand; the sessions of the
    # credential were ended by the broker (expire_at).
    await hire(database, "a")
    rule = await allow(database, "a", valid_until_at=3_000)
    async with database.change("hr", 1_000) as change:
        await credentials.add_token(change, "a", "ab" * 32, expires_at=3_000)
        later = await credentials.add_token(change, "a", "cd" * 32, expires_at=5_000)
    assert await pass_time(database, 4_000) == 1
    assert await pass_time(database, 5_000) == 1
    assert [
        (kind, payload.get("rule_id"), payload.get("credential_id"))
        for kind, _, payload, _ in await left(database)
    ] == [
        ("rule_ended", rule, None),
        ("credential_expired", None, later),
    ]


async def test_what_happens_to_one_subject_is_left_in_the_order_of_time(database: Database) -> None:
    await hire(database, "a")
    first = await allow(database, "a", valid_from_at=4_000, valid_until_at=5_000)
    second = await allow(database, "a", valid_from_at=2_000, valid_until_at=4_500)
    assert await pass_time(database, 9_000) == 4
    assert [(kind, payload["rule_id"]) for kind, _, payload, _ in await left(database)] == [
        ("rule_began", second),
        ("rule_began", first),
        ("rule_ended", second),
        ("rule_ended", first),
    ]


async def test_two_who_look_at_once_leave_each_ending_once(database: Database) -> None:
    await hire(database, "a", "b", "c")
    numbers = [await allow(database, one, valid_until_at=3_000) for one in ("a", "b", "c")]
    found = await asyncio.gather(*(pass_time(database, 3_000 + later) for later in range(6)))
    assert sum(found) == 3
    assert sorted(payload["rule_id"] for _, _, payload, _ in await left(database)) == numbers


async def test_a_look_that_is_undone_is_repeated(database: Database) -> None:
    await hire(database, "a")
    await allow(database, "a", valid_until_at=3_000)
    with pytest.raises(ZeroDivisionError):
        async with database.change("time", 3_000) as change:
            assert await endings.pass_time(change, 3_000) == 1
            raise ZeroDivisionError
    assert await left(database) == []
    assert await pass_time(database, 3_000) == 1


async def test_a_clock_that_goes_back_a_little_repeats_nothing(database: Database) -> None:
    await hire(database, "a")
    await allow(database, "a", valid_until_at=3_000)
    assert [await pass_time(database, now) for now in (3_000, 1_000, 3_000, 4_000)] == [1, 0, 0, 0]


async def test_what_a_wrong_clock_left_too_early_is_left_again_when_it_is_due(database: Database) -> None:
    await hire(database, "a")
    await allow(database, "a", valid_until_at=9_000)
    await pass_time(database, 1_000)
    async with database.change("hr", 1_000) as change:
        await credentials.add_token(change, "a", "ab" * 32, expires_at=9_000)
    assert await pass_time(database, 3_600_000) == 2
    # Written after that look, and over before its time.
    await allow(database, "a", valid_until_at=8_000)
    assert [await pass_time(database, now) for now in (1_000, 7_999, 8_000, 9_000, 9_001)] == [0, 0, 1, 2, 0]


async def test_a_long_pause_is_gone_through_in_steps(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endings, "STEP", 2)
    await hire(database, "a")
    numbers = [await allow(database, "a", valid_until_at=end) for end in (2_000, 3_000, 3_000, 4_000, 5_000)]
    # The moment that two share is not divided.
    assert [await pass_time(database, 9_000) for _ in range(4)] == [3, 2, 0, 0]
    assert [payload["rule_id"] for _, _, payload, _ in await left(database)] == numbers


async def test_the_next_moment_is_the_first_of_all_kinds(database: Database) -> None:
    await hire(database, "a")
    assert await next_ending(database, 0) is None
    await allow(database, "a", valid_from_at=2_000, valid_until_at=4_000)
    async with database.change("hr", 1_000) as change:
        await credentials.add_token(change, "a", "ab" * 32, expires_at=3_000)
    found = [await next_ending(database, after) for after in (0, 1_999, 2_000, 3_000, 4_000)]
    assert found == [2_000, 2_000, 3_000, 4_000, None]
