"""What `mchat revocations` shows is what the rows say: what is open and why, and how long the last changes took."""

import json
from typing import Any

import pytest

from acl_service.enforcement.overview import Behind, Overview, Times, about, as_data, overview
from directory import client_acls, outbox, replicas
from directory.changes import Subject
from directory.client_acls import Claim
from directory.database import Database
from directory.outbox import OutboxRow
from directory.replicas import Replica

SILENCE_MS = 1_000


async def leave(database: Database, kind: str, subject: str, now_ms: int, **payload: Any) -> int:
    """Commit a change of rights with work for the enforcer; returns its version."""
    async with database.change("test", now_ms) as change:
        change.touch(Subject("employee", subject))
        change.enqueue("enforcer", kind, subject, payload)
    assert change.version is not None
    return change.version


async def claim(database: Database, now_ms: int) -> list[OutboxRow]:
    async with database.write() as connection:
        return list(
            await outbox.claim(connection, "enforcer", holder="worker", now_ms=now_ms, hold_ms=60_000)
        )


async def enforce(database: Database, row: OutboxRow, now_ms: int) -> None:
    async with database.write() as connection:
        assert await outbox.enforced(
            connection, [row.outbox_id], holder="worker", now_ms=now_ms, confirm_at_ms=now_ms
        )


async def confirm(database: Database, now_ms: int) -> None:
    async with database.write() as connection:
        for row in await outbox.claim_enforced(
            connection, "enforcer", holder="worker", now_ms=now_ms, hold_ms=60_000
        ):
            assert await outbox.finish(connection, [row.outbox_id], holder="worker", now_ms=now_ms)


async def beat(database: Database, name: str, applied: int, seen_at: int, kind: str = "hooks") -> None:
    async with database.write() as connection:
        await replicas.beat(connection, Replica(name, kind, applied, 0, seen_at))


async def look(database: Database, now_ms: int, last: int = 20) -> Overview:
    return await overview(database, now_ms, SILENCE_MS, last)


async def test_a_change_from_commit_to_confirmed(database: Database) -> None:
    assert await look(database, 50) == Overview(
        50, 0, 0, 0, (), (), None, (), Times(0, None, None), Times(0, None, None)
    )
    version = await leave(database, "member_removed", "bob", 100, group_id="team", employee_id="bob")
    seen = await look(database, 150)
    (waiting,) = seen.open
    assert (seen.version, seen.unenforced, seen.unconfirmed) == (version, 1, 0)
    assert (waiting.row.kind, waiting.row.subject, waiting.row.attempts) == ("member_removed", "bob", 0)
    (row,) = await claim(database, 160)
    await enforce(database, row, 300)
    seen = await look(database, 350)
    assert (seen.unenforced, seen.unconfirmed, seen.open[0].row.enforced_at) == (0, 1, 300)
    await confirm(database, 2_100)
    seen = await look(database, 2_200)
    assert (seen.open, seen.unenforced, seen.unconfirmed) == ((), 0, 0)
    assert [(one.kind, one.done_at) for one in seen.done] == [("member_removed", 2_100)]
    assert (seen.enforced, seen.confirmed) == (Times(1, 200, 200), Times(1, 2_000, 2_000))
    (data,) = json.loads(json.dumps(as_data(seen)))["done"]
    assert (data["committed_at"], data["enforced_at"], data["confirmed_at"]) == (100, 300, 2_100)
    assert (data["kind"], data["subject"], data["about"]) == ("member_removed", "bob", {"group_id": "team"})


async def test_work_that_fails_shows_its_tries_and_its_last_error(database: Database) -> None:
    await leave(database, "employee_status", "bob", 100, employee_id="bob")
    (row,) = await claim(database, 110)
    async with database.write() as connection:
        assert await outbox.postpone(
            connection, row.outbox_id, holder="worker", until_ms=120, error="EMQX is away"
        )
    (row,) = await claim(database, 130)
    (one,) = (await look(database, 140)).open
    assert (one.row.attempts, one.row.last_error) == (2, "EMQX is away")
    (data,) = as_data(await look(database, 140))["open"]
    assert (data["attempts"], data["last_error"], data["age"]) == (2, "EMQX is away", 40)


async def test_a_replica_that_is_behind_is_named_until_its_silence_counts(database: Database) -> None:
    first = await leave(database, "member_removed", "bob", 100, employee_id="bob")
    second = await leave(database, "member_removed", "carol", 200, employee_id="carol")
    await beat(database, "current", second, 900)
    await beat(database, "behind", first, 900)
    await beat(database, "frozen", first - 1, 500)
    await beat(database, "gate", first, 900, kind="gateway")
    await beat(database, "worker", 0, 900, kind="worker")
    seen = await look(database, 1_000)
    assert [one.behind for one in seen.open] == [("frozen",), ("behind", "frozen", "gate")]
    assert seen.behind == (
        Behind("behind", first, since_ms=200, seen_ms=900, counts_at_ms=1_900),
        Behind("frozen", first - 1, since_ms=100, seen_ms=500, counts_at_ms=1_500),
        Behind("gate", first, since_ms=200, seen_ms=900, counts_at_ms=1_900),
    )
    assert [one["replica"] for one in as_data(seen)["replicas_behind"]] == ["behind", "frozen", "gate"]
    # Silent for longer than it can serve from memory: it answers nobody by older rights any more.
    assert [one.replica_id for one in (await look(database, 1_501)).behind] == ["behind", "gate"]
    assert (await look(database, 1_901)).behind == ()


async def test_gateways_that_were_told_to_reconnect_are_named_beside_the_work_that_told_them(
    database: Database,
) -> None:
    told = await leave(database, "employee_role", "gate", 100, employee_id="gate")
    await leave(database, "employee_role", "bob", 110, employee_id="bob")
    assert [one.draining for one in (await look(database, 120)).open] == [(), ()]
    async with database.change("enforcer", 130) as change:
        change.enqueue("gateway", "reconnect", "gate_1", {"client_id": "gate_1", "version": told})
    seen = await look(database, 140)
    assert [one.draining for one in seen.open] == [("gate_1",), ()]
    assert as_data(seen)["open"][0]["draining"] == ["gate_1"]
    assert (seen.unenforced, len(seen.open)) == (2, 2)


async def test_progress_comes_with_the_number_of_clients_that_it_is_of(database: Database) -> None:
    async with database.write() as connection:
        await client_acls.claim(
            connection, [Claim("a_pc", "a", 1), Claim("b_pc", "b", 1)], holder="worker", now_ms=1, hold_ms=1
        )
    await leave(database, "policy_activated", "policy", 100, policy_version=7)
    assert (await look(database, 110)).given is None
    (row,) = await claim(database, 120)
    async with database.write() as connection:
        assert await outbox.note(connection, row.outbox_id, holder="worker", progress="1 sessions in line")
    seen = await look(database, 130)
    assert (seen.given, seen.open[0].row.progress) == (2, "1 sessions in line")
    assert as_data(seen)["open"][0]["about"] == {"policy_version": 7}


async def test_only_the_last_ones_are_shown_and_measured(database: Database) -> None:
    for number in range(4):
        await leave(database, "member_added", f"p{number}", 1_000 * number, employee_id=f"p{number}")
        (row,) = await claim(database, 1_000 * number)
        await enforce(database, row, 1_000 * number + 10 * (number + 1))
        await confirm(database, 1_000 * number + 500)
    seen = await look(database, 10_000, last=3)
    assert [one.subject for one in seen.done] == ["p3", "p2", "p1"]
    assert (seen.enforced, seen.confirmed) == (Times(3, 30, 40), Times(3, 500, 500))
    assert (await look(database, 10_000, last=0)).enforced == Times(0, None, None)


@pytest.mark.parametrize(
    ("values", "times"),
    [
        ([], Times(0, None, None)),
        ([7], Times(1, 7, 7)),
        ([1, 9], Times(2, 1, 9)),
        (list(range(200, 0, -1)), Times(200, 100, 198)),
    ],
)
def test_percentiles_are_times_that_were_measured(values: list[int], times: Times) -> None:
    assert Times.of(values) == times


def test_a_long_list_of_people_is_only_counted() -> None:
    row = OutboxRow(
        1,
        "enforcer",
        "group_dismissed",
        "team",
        {"group_id": "team", "employee_ids": ["a", "b"]},
        1,
        1,
        0,
        None,
        "",
        "",
        None,
    )
    assert about(row) == {"employee_ids": 2}
