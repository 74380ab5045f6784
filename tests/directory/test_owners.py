"""Whose a client id is: the queries against decision 9 read word for word."""

import asyncio
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert

from directory import registrations, schema
from directory.database import Database
from directory.ids import client_id_fault, is_id
from directory.owners import Owner, candidates, owners
from tests.directory.company import hire

# Few letters, so that ids and prefixes meet; and what no id may hold.
_ids = st.text("ab_-", min_size=1, max_size=7).filter(is_id)
_clients = st.one_of(
    st.text("ab_-.", max_size=12),
    st.text("ab_é/\0", max_size=6),
    st.sampled_from(["a" * 63 + "_b", "a" * 64 + "_b"]),
    st.just("b" * 257),
)
_patterns = st.one_of(
    st.text("ab_-", min_size=1, max_size=7), st.sampled_from(["a" * 63 + "_", "a" * 64 + "_"])
)


def _naive(client_id: str, people: set[str], registered: dict[tuple[str, str], str]) -> Owner | None:
    """Decision 9 as it is written, over everybody."""
    if client_id_fault(client_id) is not None:
        return None
    mine = [one for one in people if client_id == one or client_id.startswith(one + "_")]
    if mine:
        longest = max(mine, key=len)
        return Owner(longest, "employee", longest)
    if ("exact", client_id) in registered:
        return Owner(registered["exact", client_id], "registration", client_id)
    prefixes = [
        pattern
        for kind, pattern in registered
        if kind == "prefix" and len(pattern) <= 64 and client_id.startswith(pattern)
    ]
    if not prefixes:
        return None
    longest = max(prefixes, key=len)
    return Owner(registered["prefix", longest], "registration", longest)


@given(_clients, st.sets(_ids, max_size=8))
def test_candidates_hold_every_owner_that_could_be(client_id: str, people: set[str]) -> None:
    found = candidates(client_id)
    for one in people:
        if client_id_fault(client_id) is None and (client_id == one or client_id.startswith(one + "_")):
            assert one in found.employee_ids
    assert list(found.employee_ids) == sorted(found.employee_ids, key=len, reverse=True)
    assert list(found.prefixes) == sorted(found.prefixes, key=len, reverse=True)
    assert all(client_id.startswith(prefix) and prefix[-1] in "_-" for prefix in found.prefixes)
    assert all(len(prefix) <= 64 for prefix in found.prefixes)
    assert all(is_id(one) for one in found.employee_ids)


def test_candidates_of_a_client_id() -> None:
    found = candidates("zhang_web-1_x")
    assert found.employee_ids == ("zhang_web-1_x", "zhang_web-1", "zhang")
    assert found.prefixes == ("zhang_web-1_", "zhang_web-", "zhang_")
    assert found.exact == "zhang_web-1_x"


@pytest.mark.parametrize("client_id", ["", "$a", "a/b", "a+", "a#", "a\0", "x" * 257, "\ud800"])
def test_what_is_no_client_id_has_no_candidates(client_id: str) -> None:
    found = candidates(client_id)
    assert (found.employee_ids, found.exact, found.prefixes) == ((), None, ())


@pytest.fixture
def loop() -> Iterator[asyncio.Runner]:
    """An event loop that outlives the examples of a property test."""
    with asyncio.Runner() as runner:
        yield runner


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sets(_ids, max_size=6),
    st.dictionaries(_patterns, st.sampled_from(["exact", "prefix"]), max_size=6),
    st.sets(_clients, min_size=1, max_size=30),
)
def test_owners_are_those_of_decision_9(
    database_url: str, loop: asyncio.Runner, people: set[str], patterns: dict[str, str], clients: set[str]
) -> None:
    # Rows are written past the functions, whatever they would refuse: the query must hold for all.
    registered = {
        (kind, pattern): "owner-" + pattern[-50:]
        for pattern, kind in patterns.items()
        if kind == "exact" or pattern[-1] in "_-"
    }

    async def compare() -> None:
        database = Database.open(database_url)
        async with database.write() as connection:
            await connection.execute(delete(schema.client_registration))
            await connection.execute(delete(schema.employee))
            everybody = people | set(registered.values())
            if everybody:
                rows = [
                    {
                        "employee_id": one,
                        "name": "n",
                        "role": "employee",
                        "status": ("active", "disabled", "deleted")[len(one) % 3],
                        "created_at": 1,
                        "updated_at": 1,
                    }
                    for one in everybody
                ]
                await connection.execute(insert(schema.employee), rows)
            if registered:
                await connection.execute(
                    insert(schema.client_registration),
                    [
                        {
                            "pattern": pattern,
                            "kind": kind,
                            "employee_id": owner,
                            "author": "t",
                            "created_at": 1,
                        }
                        for (kind, pattern), owner in registered.items()
                    ],
                )
        async with database.read() as connection:
            found = await owners(connection, clients)
        await database.close()
        assert found == {one: _naive(one, everybody, registered) for one in clients}

    loop.run(compare())


async def test_owners_of_many_client_ids_take_two_queries(database: Database) -> None:
    await hire(database, *(f"e{number}" for number in range(50)))
    async with database.change("hr", 1) as change:
        await registrations.add(change, "dev-", "prefix", "e1")
    statements = 0

    def count(*_: object) -> None:
        nonlocal statements
        statements += 1

    from sqlalchemy import event

    async with database.read() as connection:
        event.listen(connection.sync_connection, "before_cursor_execute", count)
        wanted = [f"e{number}_web_{'x_' * 60}" for number in range(500)] + ["dev-1"]
        found = await owners(connection, wanted)
    assert statements == 2
    assert sum(one is not None for one in found.values()) == 51
