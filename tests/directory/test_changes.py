"""The unit of work itself: a part that fails is undone alone, and audit rows are made one."""

import pytest
from sqlalchemy import func, select

from directory import audit, people, schema
from directory.changes import Subject
from directory.database import Database
from directory.errors import Conflict, NotFound, Unavailable
from tests.directory.company import enforced, hire, touched, version_of


async def test_what_failed_is_undone_and_the_rest_stands(database: Database) -> None:
    await hire(database, "a", "b")
    before = await version_of(database)
    async with database.change("hr", 5_000) as change:
        change.touch(Subject("client", "first"))
        with pytest.raises(NotFound):
            async with change.attempt():
                await people.set_status(change, "a", "disabled")
                await people.set_status(change, "nobody", "disabled")
        async with change.attempt():
            await people.set_role(change, "b", "ops")
    assert await touched(database, before) == [("client", "first"), ("employee", "b")]
    assert [kind for kind, _ in await enforced(database, before)] == ["employee_role"]
    async with database.read() as connection:
        assert (await people.get(connection, "a")).status == "active"
        assert (await people.get(connection, "b")).role == "ops"
        assert [row.target for row in await audit.list_(connection, from_ms=5_000)] == ["b"]


async def test_a_refused_row_inside_an_attempt_is_a_conflict(database: Database) -> None:
    await hire(database, "a")
    group = {"group_id": "g", "name": "G", "creator_employee_id": "a", "created_at": 1, "updated_at": 1}
    async with database.change("hr", 5_000) as change:
        with pytest.raises(Conflict):
            async with change.attempt():
                for _ in range(2):
                    await change.connection.execute(schema.group.insert().values(group))
        # The transaction goes on, on PostgreSQL too.
        assert (await change.connection.execute(select(schema.group))).all() == []
        await people.rename(change, "a", "Still here")
    async with database.read() as connection:
        assert (await people.get(connection, "a")).name == "Still here"


async def test_a_connection_that_is_lost_within_an_attempt_is_the_databases_absence(
    database: Database,
) -> None:
    """Whoever asked tries again: it is no fault of ours."""
    if database.dialect == "sqlite":
        pytest.skip("a file has no connections to lose")
    with pytest.raises(Unavailable):
        async with database.change("hr", 5_000) as change, change.attempt():
            await people.add(change, name="A", employee_id="a")
            ours = await change.connection.scalar(select(func.pg_backend_pid()))
            async with database.read() as other:
                await other.execute(select(func.pg_terminate_backend(ours, 5_000)))
            await change.connection.execute(select(1))
    async with database.change("hr", 5_000) as change, change.attempt():
        await people.add(change, name="A", employee_id="a")


async def test_audit_rows_are_made_one_that_says_who_asked_from_where(database: Database) -> None:
    await hire(database, "a")
    async with database.change("a", 5_000) as change:
        change.client_id = "a_pc"
        await people.rename(change, "a", "Other")
        await people.set_role(change, "a", "ops")
        change.audit_as_one("employee.update", "a", {"trace_id": "t"})
    async with database.change("a", 6_000) as change:
        change.audit_as_one("employee.delete", "b", {}, code=403)
    async with database.read() as connection:
        refused, done = await audit.list_(connection, from_ms=5_000)
    assert (done.author, done.client_id, done.action, done.target, done.code) == (
        "a",
        "a_pc",
        "employee.update",
        "a",
        0,
    )
    assert done.detail["trace_id"] == "t"
    assert [step["action"] for step in done.detail["steps"]] == ["employee.rename", "employee.role"]
    assert (refused.code, refused.client_id, refused.detail) == (403, None, {})
