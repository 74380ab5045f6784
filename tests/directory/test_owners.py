"""Whose a client id is: the queries against decision 9 read word for word."""

import asyncio
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert

from directory import people, registrations, schema
from directory.database import Database
from directory.errors import Conflict, InvalidId, InvalidValue, NotFound
from directory.ids import client_id_fault, is_id
from directory.owners import Owner, candidates, owner_of, owners
from tests.directory.company import blocks, enforced, hire, know, touched, version_of

# Few letters, so that ids and prefixes meet; and what no id may hold.
_ids = st.text("ab_-", min_size=1, max_size=7).filter(is_id)
_clients = st.one_of(
    st.text("ab_-.", max_size=12),
    st.text("ab_é/\0", max_size=6),
    st.just("a" * 64 + "_b"),
    st.just("b" * 257),
)
_patterns = st.text("ab_-", min_size=1, max_size=7)


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
    prefixes = [pattern for kind, pattern in registered if kind == "prefix" and client_id.startswith(pattern)]
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
        (kind, pattern): "owner-" + pattern
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


async def _register(database: Database, pattern: str, kind: str, employee_id: str) -> None:
    async with database.change("admin", 1) as change:
        await registrations.add(change, pattern, kind, employee_id)


async def test_a_registration_is_told_and_listed(database: Database) -> None:
    await hire(database, "a")
    before = await version_of(database)
    await _register(database, "传感器-", "prefix", "a")
    await _register(database, "box", "exact", "a")
    assert await touched(database, before) == [("owner", "传感器-"), ("owner", "box"), ("client", "box")]
    async with database.read() as connection:
        assert await owner_of(connection, "传感器-7") == Owner("a", "registration", "传感器-")
        assert await owner_of(connection, "box_1") is None
        listed = await registrations.list_(connection, employee_id="a")
        assert [(one.pattern, one.kind, one.author) for one in listed] == [
            ("box", "exact", "admin"),
            ("传感器-", "prefix", "admin"),
        ]
        assert [one.pattern for one in await registrations.list_(connection, after="box")] == ["传感器-"]


@pytest.mark.parametrize(
    ("pattern", "kind", "error"),
    [
        ("dev", "prefix", InvalidId),
        ("_", "prefix", InvalidId),
        ("de/v_", "prefix", InvalidId),
        ("", "exact", InvalidId),
        ("$x", "exact", InvalidId),
        ("dev", "regex", InvalidValue),
        ("x" * 257, "exact", InvalidId),
    ],
)
async def test_a_pattern_that_cannot_be_is_refused(
    database: Database, pattern: str, kind: str, error: type[InvalidValue]
) -> None:
    await hire(database, "a")
    with pytest.raises(error):
        await _register(database, pattern, kind, "a")


@pytest.mark.parametrize(
    ("pattern", "kind"),
    [
        ("bob", "exact"),
        ("bob_phone", "exact"),
        ("bob_", "prefix"),
        ("bob_phone-", "prefix"),
        ("x-", "prefix"),
        ("x-bob_y_", "prefix"),
        ("a_web", "exact"),
    ],
)
async def test_one_that_overlaps_a_persons_ids_is_refused(
    database: Database, pattern: str, kind: str
) -> None:
    await hire(database, "a", "bob", "x-bob")
    with pytest.raises(Conflict, match="overlaps the client ids of"):
        await _register(database, pattern, kind, "a")
    assert await touched(database, 3) == []


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("dev-1", "exact"), ("dev-1", "exact")),
        (("dev-1", "exact"), ("dev-", "prefix")),
        (("dev-", "prefix"), ("dev-1", "exact")),
        (("dev-", "prefix"), ("dev-x_", "prefix")),
        (("dev-x_", "prefix"), ("dev-", "prefix")),
        (("dev-", "prefix"), ("dev-", "exact")),
    ],
)
async def test_one_that_overlaps_anothers_is_refused_and_ones_own_is_not(
    database: Database, first: tuple[str, str], second: tuple[str, str]
) -> None:
    await hire(database, "a", "b")
    await _register(database, *first, "a")
    with pytest.raises(Conflict, match="'a'"):
        await _register(database, *second, "b")
    if first[0] != second[0]:
        await _register(database, *second, "a")


async def test_neighbours_do_not_overlap(database: Database) -> None:
    await hire(database, "a", "b", "bob")
    for number, (pattern, kind) in enumerate(
        [("dev-", "prefix"), ("dev_", "prefix"), ("dev", "exact"), ("dev.", "exact"), ("bobby", "exact")]
    ):
        await _register(database, pattern, kind, "ab"[number % 2])


async def test_registering_at_once_lets_one_win(database: Database) -> None:
    await hire(database, "a", "b")
    found = await asyncio.gather(
        _register(database, "dev-", "prefix", "a"),
        _register(database, "dev-1", "exact", "b"),
        return_exceptions=True,
    )
    assert sorted(type(one).__name__ for one in found) == ["Conflict", "NoneType"]


async def test_hiring_and_registering_at_once_lets_one_win(database: Database) -> None:
    await hire(database, "a")
    found = await asyncio.gather(
        _register(database, "bob_", "prefix", "a"), hire(database, "bob"), return_exceptions=True
    )
    assert sorted(type(one).__name__ for one in found) == ["Conflict", "NoneType"]


async def test_nothing_is_registered_for_nobody_or_the_deleted(database: Database) -> None:
    await hire(database, "a")
    async with database.change("hr", 1) as change:
        await people.set_status(change, "a", "deleted")
    with pytest.raises(Conflict, match="deleted"):
        await _register(database, "dev-", "prefix", "a")
    with pytest.raises(NotFound, match="'nobody'"):
        await _register(database, "dev-", "prefix", "nobody")


async def test_known_clients_are_blocked_when_a_registration_comes_and_goes(database: Database) -> None:
    await hire(database, "a")
    await know(database, "dev-1", "dev-2", "dev")
    await _register(database, "dev-", "prefix", "a")
    assert await blocks(database) == [("dev-1", None, "a"), ("dev-2", None, "a")]
    async with database.write() as connection:
        await connection.execute(delete(schema.client_block))
    before = await version_of(database)
    async with database.change("admin", 2) as change:
        removed = await registrations.remove(change, "dev-")
    assert removed.employee_id == "a"
    assert await blocks(database) == [("dev-1", "a", None), ("dev-2", "a", None)]
    assert set(await touched(database, before)) == {
        ("client", "dev-1"),
        ("client", "dev-2"),
        ("owner", "dev-"),
    }
    assert [kind for kind, _ in await enforced(database, before)] == [
        "client_block",
        "client_block",
        "registration_removed",
    ]
    with pytest.raises(NotFound):
        async with database.change("admin", 3) as change:
            await registrations.remove(change, "dev-")


async def test_a_narrower_registration_of_the_same_person_moves_nobody(database: Database) -> None:
    await hire(database, "a")
    await _register(database, "dev-", "prefix", "a")
    await know(database, "dev-1")
    await _register(database, "dev-1", "exact", "a")
    assert await blocks(database) == []


@pytest.mark.parametrize("employee_id", ["dev-bob", "dev", "box"])
async def test_an_employee_id_across_a_registration_is_refused_unless_forced(
    database: Database, employee_id: str
) -> None:
    await hire(database, "a")
    for pattern, kind in (("dev-", "prefix"), ("dev_", "prefix"), ("box", "exact")):
        await _register(database, pattern, kind, "a")
    with pytest.raises(Conflict, match=r"the registration (dev-|dev_|box) \(of a\)"):
        await hire(database, employee_id)
    async with database.change("hr", 1) as change:
        await people.add(change, name="x", employee_id=employee_id, force=True)
    async with database.read() as connection:
        assert await owner_of(connection, f"{employee_id}_1") == Owner(employee_id, "employee", employee_id)
