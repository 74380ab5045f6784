"""Client ids of devices and shared accounts: what may be registered, and whose ids change owner by it."""

import asyncio

import pytest
from sqlalchemy import delete

from directory import people, registrations, schema
from directory.database import Database
from directory.errors import Conflict, InvalidId, InvalidValue, NotFound
from directory.owners import Owner, owner_of
from tests.directory.company import blocks, enforced, hire, know, touched, version_of


async def _register(database: Database, pattern: str, kind: str, employee_id: str) -> None:
    async with database.change("admin", 1) as change:
        await registrations.add(change, pattern, kind, employee_id)


async def test_the_registrations_of_many_people_are_listed_by_pattern(database: Database) -> None:
    await hire(database, "a", "b", "c")
    for pattern, employee_id in (("box", "b"), ("sensor-", "a"), ("lamp", "c"), ("cam", "a")):
        await _register(database, pattern, "prefix" if pattern[-1] == "-" else "exact", employee_id)
    async with database.read() as connection:
        found = await registrations.of_employees(connection, ["a", "b", "nobody"])
        assert [(one.pattern, one.kind, one.employee_id) for one in found] == [
            ("box", "exact", "b"),
            ("cam", "exact", "a"),
            ("sensor-", "prefix", "a"),
        ]
        assert await registrations.of_employees(connection, []) == []


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
        ("é" * 64 + "_", "prefix", InvalidId),
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
