"""A mutating action has one effect (decision 12)."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import Struct
from sqlalchemy import delete

from directory import departments, groups, people, requests, schema
from directory.database import Database
from directory.requests import Key
from gateway import idempotency
from gateway.caller import Caller
from gateway.errors import Refused
from gateway.permissions import ADMIN, ANYONE
from gateway.router import Router
from gateway.unit_of_work import Work
from tests.directory.company import version_of
from tests.gateway.stage import TERMS, Stage, join, staged

ROUTED = Router()


class Step(Struct, kw_only=True):
    """Parameters of the test's actions.

    Attributes:
        name: What is written.
    """

    name: str = "n"


@ROUTED.action("test.fail", ANYONE, kind="mutating")
async def fail(caller: Caller, params: Step, work: Work) -> dict[str, Any]:
    """Write a department, leave a message, then fail."""
    await departments.add(work.change, name=params.name)
    work.deliver(work.topics.notify(), {"never": True})
    raise RuntimeError(f"a fault with a secret: {params.name}")


@ROUTED.action("test.refuse", ANYONE, kind="mutating")
async def refuse(caller: Caller, params: Step, work: Work) -> dict[str, Any]:
    """Write a department, leave a message, then refuse."""
    await departments.add(work.change, name=params.name)
    work.deliver(work.topics.notify(), {"never": True})
    raise Refused(409, "no", {"why": params.name})


@ROUTED.action("test.busy", ANYONE, kind="mutating")
async def busy(caller: Caller, params: Step, work: Work) -> dict[str, Any]:
    """Say that there is no time now."""
    raise Refused(503, "later")


@ROUTED.action("test.hire", ANYONE, kind="mutating", secret=("mqtt", "password"))
async def hired(caller: Caller, params: Step, work: Work) -> dict[str, Any]:
    """Show a secret."""
    return {"employee_id": "x", "mqtt": {"host": "h", "password": "mct_hush"}}


@ROUTED.action("test.remove", ANYONE, kind="mutating")
async def remove(caller: Caller, params: Step, work: Work) -> dict[str, Any]:
    """Take somebody out of a group, and wait until that is in force."""
    await groups.remove_members(work.change, "g", [params.name])
    work.revoking = True
    return {"revocation": "pending"}


@ROUTED.action("test.tell", ANYONE, kind="mutating")
async def tell(caller: Caller, params: Step, work: Work) -> dict[str, Any]:
    """Leave a message."""
    work.deliver(work.topics.inbox(caller.employee_id), {"name": params.name})
    return {}


@ROUTED.action("test.disable", ADMIN, kind="mutating")
async def disable(caller: Caller, params: Step, work: Work) -> dict[str, Any]:
    """Disable somebody."""
    await people.set_status(work.change, params.name, "disabled")
    return {}


@ROUTED.action("test.large", ANYONE, kind="mutating")
async def large(caller: Caller, params: Step, work: Work) -> dict[str, Any]:
    """Write a department, then answer with too much."""
    await departments.add(work.change, name=params.name)
    return {"x": "y" * 600_000}


@pytest.fixture
async def stage(database: Database) -> AsyncIterator[Stage]:
    await join(database, "zhang", "li")
    async with staged(database, router=ROUTED) as running:
        yield running


async def test_a_fault_undoes_everything_says_nothing_and_may_be_tried_again(stage: Stage) -> None:
    answer = await stage.send("zhang", "test.fail", seq="s", name="hush")
    assert (answer.code, list(answer.data)) == (500, ["trace_id"])
    assert b"hush" not in answer.raw and b"secret" not in answer.raw
    for table in ("department", "request", "outbox"):
        assert await stage.count(table) == 0, table
    assert await stage.audited() == [] and stage.messages() == []
    assert (await stage.send("zhang", "test.fail", seq="s", name="hush")).code == 500


async def test_a_refusal_undoes_everything_and_is_stored_and_audited(stage: Stage) -> None:
    first = await stage.send("zhang", "test.refuse", seq="s")
    assert (first.code, first.message, first.data) == (409, "no", {"why": "n"})
    assert await stage.count("department") == 0 and stage.messages() == []
    assert (await stage.send("zhang", "test.refuse", seq="s")).raw == first.raw
    (row,) = await stage.audited()
    assert (row.author, row.client_id, row.action, row.code) == ("zhang", "zhang", "test.refuse", 409)
    assert row.detail == {"seq_id": "s", "trace_id": "trace1", "refused": "no"}


async def test_who_is_told_to_come_later_may_come_later(stage: Stage) -> None:
    assert (await stage.send("zhang", "test.busy", seq="s")).code == 503
    assert await stage.count("request") == 0 and await stage.audited() == []


async def test_an_answer_that_is_too_large_undoes_the_action(stage: Stage) -> None:
    assert (await stage.send("zhang", "test.large", seq="s")).code == 413
    assert await stage.count("department") == 0


async def test_a_secret_is_shown_once_and_stored_nowhere(stage: Stage) -> None:
    first = await stage.send("zhang", "test.hire", seq="s")
    assert first.data == {"employee_id": "x", "mqtt": {"host": "h", "password": "mct_hush"}}
    again = await stage.send("zhang", "test.hire", seq="s")
    assert (again.code, again.data) == (
        0,
        {"employee_id": "x", "mqtt": {"host": "h"}, "secret_withheld": True},
    )
    async with stage.database.read() as connection:
        for table in (schema.request, schema.audit_log, schema.outbox, schema.change):
            assert "hush" not in str((await connection.execute(table.select())).all())


async def test_another_person_or_payload_under_the_same_number_is_409(
    stage: Stage, database: Database
) -> None:
    assert (await stage.send("zhang", "test.tell", seq="s", name="a")).code == 0
    assert (await stage.send("zhang", "test.tell", seq="s", name="b")).code == 409
    # The client id changed hands meanwhile; what the other one had asked for is nobody else's to see.
    async with database.write() as connection:
        await connection.execute(schema.request.update().values(employee_id="li"))
    other = await stage.send("zhang", "test.tell", seq="s", name="a")
    assert (other.code, other.data) == (409, {})
    # Another client's s is another request.
    assert (await stage.send("li", "test.tell", seq="s", name="a")).code == 0
    assert [topic for topic, _ in stage.messages()] == ["mchat/inbox/zhang", "mchat/inbox/li"]


async def test_of_two_who_disable_each_other_at_once_one_does(stage: Stage, database: Database) -> None:
    # Each keeps itself active and waits for the other: PostgreSQL ends one of the two, which is tried again.
    await join(database, "anna", "otto", "root", role="admin")
    ends = await asyncio.gather(
        stage.send("anna", "test.disable", name="otto"), stage.send("otto", "test.disable", name="anna")
    )
    assert sorted(one.code for one in ends) == [0, 401]
    async with database.read() as connection:
        found = [(await people.get(connection, one)).status for one in ("anna", "otto")]
    assert sorted(found) == ["active", "disabled"]


async def test_whoever_was_answered_finds_it_so_here(stage: Stage, database: Database) -> None:
    await join(database, "root", role="admin")
    for one in ("zhang", "li"):
        assert (await stage.send("root", "test.disable", name=one)).code == 0
        assert stage.house.version == await version_of(database)


async def test_refusals_without_end_do_not_fill_the_audit(stage: Stage) -> None:
    for number in range(63):
        assert (await stage.send("zhang", "test.refuse", seq=f"s{number}")).code == 409
    assert len(await stage.audited()) == 60 and stage.means.refusals.unaudited == 3
    assert (await stage.send("zhang", "test.tell")).code == 0
    assert (await stage.send("li", "test.refuse")).code == 409
    assert len(await stage.audited()) == 62


async def test_two_instances_that_get_a_request_at_once_answer_alike_with_one_effect(
    stage: Stage, database: Database
) -> None:
    async with staged(database, router=ROUTED, instance="gw2") as other:
        both = [stage, other] * 3
        answers = await asyncio.gather(*(one.send("zhang", "test.tell", seq="s") for one in both))
        assert {one.raw for one in answers} == {answers[0].raw} and answers[0].code == 0
        assert len(stage.messages() + other.messages()) == 1
        assert stage.dispatcher.metrics.duplicates + other.dispatcher.metrics.duplicates == 5
    assert await stage.count("outbox") == 1 and len(await stage.audited()) == 1


async def test_a_revocation_is_waited_for_and_a_duplicate_knows_its_end(
    stage: Stage, database: Database
) -> None:
    async with database.change("hr", 1) as change:
        await groups.create(change, name="G", creator="zhang", group_id="g", member_ids=["li"])
    async with database.write() as connection:
        await connection.execute(schema.outbox.update().values(done_at=1))
    sending = asyncio.create_task(stage.send("zhang", "test.remove", seq="s", name="li"))
    while not await stage.work("enforcer"):
        await asyncio.sleep(0.005)
    assert not sending.done()
    async with database.write() as connection:
        await connection.execute(schema.outbox.update().values(enforced_at=2))
    first = await sending
    assert (first.code, first.data) == (0, {"revocation": "done"})
    # Stored was what was known at the commit; the field is filled anew.
    async with database.read() as connection:
        (stored,) = await connection.scalars(
            schema.request.select().with_only_columns(schema.request.c.response)
        )
    assert json.loads(stored)["data"] == {"revocation": "pending"}
    assert (await stage.send("zhang", "test.remove", seq="s", name="li")).raw == first.raw


async def test_a_revocation_that_takes_longer_is_pending(database: Database) -> None:
    await join(database, "zhang", "li")
    async with database.change("hr", 1) as change:
        await groups.create(change, name="G", creator="zhang", group_id="g", member_ids=["li"])
    from dataclasses import replace

    async with staged(database, router=ROUTED, terms=replace(TERMS, revocation_wait_ms=60)) as stage:
        first = await stage.send("zhang", "test.remove", seq="s", name="li")
        assert first.data == {"revocation": "pending"} and first.reply.response is None
        again = await stage.send("zhang", "test.remove", seq="s", name="li")
        assert again.data == {"revocation": "pending"} and again.reply.after is None


async def test_stored_answers_are_kept_for_their_time(stage: Stage) -> None:
    await stage.send("zhang", "test.tell", seq="s")
    now = stage.clock[0]
    assert await idempotency.prune(stage.database, now + 600_000, 600_000) == 0
    assert await idempotency.prune(stage.database, now + 600_001, 600_000) == 1
    async with stage.database.write() as connection:
        values = {"employee_id": "zhang", "payload_hash": "", "action": ""}
        assert await requests.claim(connection, Key("zhang", "s"), now_ms=1, **values) is None


# Interleavings of duplicates: the requests of a run, and where each is sent again.

REQUESTS: list[tuple[str, dict[str, Any]]] = [
    ("department.create", {"name": "A", "department_id": "a"}),
    ("department.create", {"name": "B", "department_id": "b", "parent_id": "a"}),
    ("department.create", {"name": "A again", "department_id": "a"}),
    ("department.update", {"department_id": "a", "updates": {"parent_id": "b"}}),
    ("department.update", {"department_id": "b", "updates": {"parent_id": None, "name": "B2"}}),
    ("department.update", {"department_id": "a", "updates": {"parent_id": "b"}}),
    ("department.update", {"department_id": "c", "updates": {"name": "C"}}),
    ("department.create", {"name": "C", "department_id": "c"}),
    ("department.delete", {"department_id": "c"}),
    ("system.notify", {"title": "T", "body": "B"}),
    ("group.create", {"name": "G", "group_id": "g", "member_ids": ["li"]}),
    ("group.member_remove", {"group_id": "g", "member_ids": ["li"]}),
    ("group.member_add", {"group_id": "g", "member_ids": ["li", "zhang"]}),
    ("group.member_role", {"group_id": "g", "employee_id": "zhang", "role": "owner"}),
    ("group.dismiss", {"group_id": "g"}),
    ("employee.update", {"employee_id": "li", "updates": {"status": "disabled"}}),
    ("employee.delete", {"employee_id": "zhang"}),
]


@pytest.fixture
def loop() -> Iterator[asyncio.Runner]:
    """An event loop that outlives the examples of a property test."""
    with asyncio.Runner() as runner:
        yield runner


async def _run(url: str, sends: list[int]) -> tuple[dict[int, Any], list[Any]]:
    """Send requests by number on an empty house; the answers by number, and all that was left behind."""
    database = Database.open(url)
    tables = ("outbox", "change", "audit_log", "request", "challenge", "client_session")
    async with database.write() as connection:
        for table in tables:
            await connection.execute(delete(getattr(schema, table)))
        await connection.execute(schema.department.update().values(parent_id=None))
        for name in ("group_member", "group", "employee", "department"):
            await connection.execute(delete(getattr(schema, name)))
    await join(database, "root", role="admin")
    await join(database, "li", "zhang")
    from dataclasses import replace

    terms = replace(TERMS, sensitive=frozenset(), revocation_wait_ms=0)
    answers: dict[int, Any] = {}
    async with AsyncExitStack() as stack:
        gateways = [
            await stack.enter_async_context(staged(database, terms=terms, instance=f"gw{number}"))
            for number in range(2)
        ]
        for turn, number in enumerate(sends):
            action, params = REQUESTS[number]
            answer = await gateways[turn % 2].send("root", action, seq=f"s{number}", **params)
            told = (answer.code, answer.data if answer.code else sorted(answer.data), answer.raw)
            assert answers.setdefault(number, told) == told, "a duplicate was answered otherwise"
    async with database.read() as connection:
        rows: list[Any] = [
            (row.department_id, row.name, row.parent_id)
            for row in await connection.execute(schema.department.select().order_by("department_id"))
        ]
        rows += [
            (row.employee_id, row.status)
            for row in await connection.execute(schema.employee.select().order_by("employee_id"))
        ]
        rows += [
            (row.group_id, row.employee_id, row.role)
            for row in await connection.execute(schema.group_member.select().order_by("employee_id"))
        ]
        left = [
            (row.worker, row.kind)
            for row in await connection.execute(schema.outbox.select().order_by("outbox_id"))
        ]
        audited = [
            (row.action, row.target, row.code)
            for row in await connection.execute(schema.audit_log.select().order_by("audit_id"))
        ]
    await database.close()
    return {number: told[:2] for number, told in answers.items()}, [rows, left, audited]


@pytest.mark.timeout(300)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_interleaving_of_duplicates_equals_the_run_without_duplicates(
    database_url: str, loop: asyncio.Runner, data: st.DataObject
) -> None:
    once = data.draw(st.permutations(range(len(REQUESTS))), label="order")
    sends = list(once)
    for number, at in data.draw(
        st.lists(st.tuples(st.sampled_from(once), st.floats(0, 1)), min_size=4, max_size=12), label="again"
    ):
        # Anywhere after the first of it.
        first = sends.index(number)
        sends.insert(first + 1 + int(at * (len(sends) - first - 1)), number)
    assert loop.run(_run(database_url, sends)) == loop.run(_run(database_url, once))
