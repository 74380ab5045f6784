"""Who is there as readers see it: pages, filters, who sees whom, changes by number; on both databases."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import event

from directory import attendance, departments, groups, people, presence, standing
from directory.attendance import Attendance, Viewer, Wanted
from directory.database import Database
from directory.errors import NotFound
from directory.standing import PersonRow
from tests.directory.test_presence import device

STAFF: list[str] = ["ann", "bob", "cid", "dan", "eve", "gil", "hal"]


@pytest.fixture
async def company(database: Database) -> Database:
    """ann, bob, cid in `sales`; eve in `east`, below it; ann and dan in the group `team`; gil and hal alone."""
    async with database.change("hr", 1_000) as change:
        await departments.add(change, name="Sales", department_id="sales")
        await departments.add(change, name="East", department_id="east", parent_id="sales")
        for one in STAFF:
            place = {"eve": "east", "dan": None, "gil": None, "hal": None}.get(one, "sales")
            await people.add(change, name=one.title(), employee_id=one, department_id=place)
        await groups.create(change, name="Team", creator="ann", group_id="team", member_ids=["dan"])
        await groups.create(change, name="Else", creator="gil", group_id="else", member_ids=["dan"])
    return database


async def put(database: Database, *rows: PersonRow) -> None:
    """Store what was derived of people."""
    async with database.write() as connection:
        await standing.touch(connection, [one.employee_id for one in rows], 5)
        seen = await standing.people(connection, [one.employee_id for one in rows])
        await standing.store(connection, rows, seen=seen)


def on(employee_id: str, devices: int = 1, at: int = 100) -> PersonRow:
    return PersonRow(
        employee_id=employee_id, status="online", devices=devices, changed_at=at, last_seen_at=at + 1
    )


def off(employee_id: str, at: int = 200) -> PersonRow:
    return PersonRow(employee_id=employee_id, status="offline", changed_at=at, last_seen_at=at + 1)


async def listed(
    database: Database, wanted: Wanted | None = None, viewer: Viewer | None = None, **options: Any
) -> list[str]:
    async with database.read() as connection:
        found = await attendance.page(connection, wanted or Wanted(), viewer=viewer, **options)
    return [one.employee_id for one in found]


async def test_who_never_connected_is_offline(company: Database) -> None:
    await put(company, on("bob", 2), off("cid"))
    async with company.read() as connection:
        found = {one.employee_id: one for one in await attendance.page(connection, Wanted())}
    assert list(found) == STAFF
    assert found["ann"] == Attendance("ann", "Ann", "offline", 0, None, None, 0)
    assert found["bob"] == Attendance("bob", "Bob", "online", 2, 100, 101, 1)
    assert found["cid"] == Attendance("cid", "Cid", "offline", 0, 200, 201, 2)
    assert await listed(company, Wanted(status="online")) == ["bob"]
    assert await listed(company, Wanted(status="offline")) == [one for one in STAFF if one != "bob"]
    async with company.read() as connection:
        assert await attendance.count_online(connection) == 1


async def test_who_was_only_heard_of_is_offline(company: Database) -> None:
    async with company.write() as connection:
        await standing.touch(connection, ["ann"], 5)
    assert "ann" in await listed(company, Wanted(status="offline"))
    async with company.read() as connection:
        assert await attendance.one(connection, "ann") == Attendance(
            "ann", "Ann", "offline", 0, None, None, 0
        )


async def test_who_is_not_active_is_shown_while_a_device_is_on(company: Database) -> None:
    await put(company, on("ann"), off("bob"))
    async with company.change("hr", 2_000) as change:
        for one in ("ann", "bob", "hal"):
            await people.set_status(change, one, "disabled")
    assert await listed(company) == ["ann", "cid", "dan", "eve", "gil"]
    assert await listed(company, Wanted(status="online")) == ["ann"]
    assert await listed(company, Wanted(status="offline")) == ["cid", "dan", "eve", "gil"]
    await put(company, off("ann", 300))
    assert "ann" not in await listed(company)


async def test_departments_are_those_of_rights_and_groups_are_their_members(company: Database) -> None:
    await put(company, on("bob"), on("eve"), on("dan"), on("hal"))
    assert await listed(company, Wanted(department_id="sales")) == ["ann", "bob", "cid"]
    assert await listed(company, Wanted(department_id="east")) == ["eve"]
    assert await listed(company, Wanted(group_id="team")) == ["ann", "dan"]
    assert await listed(company, Wanted(group_id="team", department_id="sales")) == ["ann"]
    assert await listed(company, Wanted(department_id="sales", status="online")) == ["bob"]
    assert await listed(company, Wanted(department_id="sales", status="offline")) == ["ann", "cid"]
    assert await listed(company, Wanted(group_id="team", status="online")) == ["dan"]
    assert await listed(company, Wanted(group_id="nosuch")) == []
    async with company.read() as connection:
        await attendance.check(connection, Wanted(department_id="east", group_id="team"))
        with pytest.raises(NotFound, match="'nosuch'"):
            await attendance.check(connection, Wanted(group_id="nosuch"))
        with pytest.raises(NotFound, match="'nosuch'"):
            await attendance.check(connection, Wanted(department_id="nosuch"))


@pytest.mark.parametrize("filters", [{}, {"status": "online"}, {"status": "offline"}])
async def test_pages_follow_each_other(company: Database, filters: dict[str, str]) -> None:
    await put(company, *(on(one) for one in STAFF[::2]))
    wanted = Wanted(**filters)
    whole = await listed(company, wanted)
    assert len(whole) >= 3
    pages: list[str] = []
    while found := await listed(company, wanted, after=pages[-1] if pages else "", limit=2):
        assert len(found) <= 2
        pages += found
    assert pages == whole


async def test_a_viewer_sees_oneself_and_those_who_share(company: Database) -> None:
    await put(company, on("bob"), on("gil"))
    for public, who in ((False, ["ann", "bob", "cid", "dan"]), (True, STAFF)):
        viewer = Viewer(employee_id="ann", public=public)
        assert await listed(company, viewer=viewer) == who
        assert await listed(company, viewer=viewer, after="bob") == [one for one in who if one > "bob"]
        online = ["bob", "gil"] if public else ["bob"]
        assert await listed(company, Wanted(status="online"), viewer) == online
        async with company.read() as connection:
            for one in STAFF:
                seen = await attendance.one(connection, one, viewer=viewer)
                assert (seen is not None) == (one in who), one
            assert await attendance.one(connection, "nobody", viewer=viewer) is None
    assert await listed(company, viewer=Viewer(employee_id="hal")) == ["hal"]
    assert await listed(company, viewer=Viewer(employee_id="eve")) == ["eve"]


@pytest.mark.parametrize("public", [False, True])
async def test_who_is_in_a_group_or_department_shows_to_its_own_people_only(
    company: Database, public: bool
) -> None:
    viewer = Viewer(employee_id="ann", public=public)
    assert await listed(company, Wanted(group_id="team"), viewer) == ["ann", "dan"]
    assert await listed(company, Wanted(department_id="sales"), viewer) == ["ann", "bob", "cid"]
    # dan is a colleague, and that he is in `else` is nothing to ann.
    assert await listed(company, Wanted(group_id="else"), viewer) == []
    assert await listed(company, Wanted(group_id="else", department_id="sales"), viewer) == []
    assert await listed(company, Wanted(department_id="east"), viewer) == []
    assert await listed(company, Wanted(group_id="else")) == ["dan", "gil"]
    assert await listed(company, Wanted(department_id="east"), Viewer(employee_id="hal")) == []


async def test_a_viewer_does_not_see_the_deleted_and_staff_does(company: Database) -> None:
    async with company.change("hr", 2_000) as change:
        await people.set_status(change, "bob", "disabled")
        await people.set_status(change, "cid", "deleted")
    async with company.read() as connection:
        for public in (False, True):
            viewer = Viewer(employee_id="ann", public=public)
            assert await attendance.one(connection, "cid", viewer=viewer) is None
            assert await attendance.one(connection, "bob", viewer=viewer) is not None
        assert await attendance.one(connection, "cid") is not None


async def test_devices_are_listed_the_live_ones_first(company: Database) -> None:
    devices = [
        device("ann_old", online=False, updated_at=1),
        device("ann_new", online=False, updated_at=9),
        device("ann_b", updated_at=2),
        device("bob_x", employee_id="bob"),
    ]
    async with company.write() as connection:
        await presence.store_devices(connection, devices)
    async with company.read() as connection:
        found = await attendance.devices(connection, "ann")
        assert [one.client_id for one in found] == ["ann_b", "ann_new", "ann_old"]
        assert found[0] == devices[2]
        assert [one.client_id for one in await attendance.devices(connection, "ann", limit=1)] == ["ann_b"]
        assert await attendance.devices(connection, "nobody") == []


async def numbers(database: Database, after: int = 0, limit: int = 100) -> list[tuple[int, str, str]]:
    async with database.read() as connection:
        found = await attendance.changed_after(connection, after, limit=limit)
    return [(one.change_number, one.employee_id, one.status) for one in found]


async def test_each_change_of_status_or_devices_has_a_greater_number(company: Database) -> None:
    await put(company, on("ann"), on("bob"))
    assert await numbers(company) == [(1, "ann", "online"), (2, "bob", "online")]
    # Nothing that a reader sees is another.
    await put(company, on("ann"), PersonRow(**{**values(on("bob")), "version": 9, "published": True}))
    assert await numbers(company, 2) == []
    await put(company, on("bob", 2), on("ann"))
    assert await numbers(company, 2) == [(3, "bob", "online")]
    await put(company, off("ann"), on("stranger"))
    assert await numbers(company, 3) == [(4, "ann", "offline"), (5, "stranger", "online")]
    assert await numbers(company) == [(3, "bob", "online"), (4, "ann", "offline"), (5, "stranger", "online")]
    assert await numbers(company, limit=1) == [(3, "bob", "online")]
    async with company.read() as connection:
        assert await standing.newest_change(connection) == 5
        found = await attendance.changed_after(connection, 3)
    assert {one.employee_id: one.name for one in found} == {"ann": "Ann", "stranger": ""}


async def test_people_without_a_row_are_given_none(company: Database) -> None:
    async with company.write() as connection:
        await standing.store(connection, [on("ann")], seen={"ann": PersonRow(employee_id="ann")})
        assert await standing.newest_change(connection) == 0
    assert await numbers(company) == []


async def test_numbers_are_seen_in_their_order_whoever_writes(company: Database) -> None:
    """Whoever reads on behind the last number that was seen misses nobody, while four write at once."""
    names = [f"p{n:02}" for n in range(40)]
    writing = True

    async def write(mine: Sequence[str]) -> None:
        for round_ in range(6):
            for one in mine:
                await put(company, on(one, round_ + 1))

    async def read() -> dict[str, int]:
        seen: dict[str, int] = {}
        last = 0
        while True:
            over = not writing
            async with company.read() as connection:
                found = await attendance.changed_after(connection, last, limit=7)
            for one in found:
                assert one.change_number > last
                last = one.change_number
                seen[one.employee_id] = one.devices
            if over and not found:
                return seen
            await asyncio.sleep(0)

    reading = asyncio.create_task(read())
    await asyncio.gather(*(write(names[n::4]) for n in range(4)))
    writing = False
    assert await reading == dict.fromkeys(names, 6)


async def test_a_page_is_read_in_its_order_and_not_sorted(sqlite_url: str) -> None:
    """On SQLite, whose plans do not hang on the number of rows; for PostgreSQL see docs/decisions.md."""
    database = Database.open(sqlite_url)
    statements: list[tuple[str, Any]] = []
    event.listen(
        database._engine.sync_engine,
        "before_cursor_execute",
        lambda _connection, _cursor, statement, parameters, *_: statements.append((statement, parameters)),
    )
    plans: list[str] = []
    async with database.read() as connection:
        for viewer in (None, Viewer(employee_id="ann"), Viewer(employee_id="ann", public=True)):
            for status in (None, "online", "offline"):
                for place in ({}, {"department_id": "sales"}, {"group_id": "team"}):
                    await attendance.page(
                        connection, Wanted(status=status, **place), viewer=viewer, after="a"
                    )
        await attendance.changed_after(connection, 5)
        await presence.history_of(connection, "ann", before=9)
        for statement, parameters in list(statements):
            rows = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            plans += [str(row[-1]) for row in rows]
    await database.close()
    assert len(plans) > 60
    assert not [line for line in plans if "ORDER BY" in line]
    assert not [line for line in plans if line.startswith("SCAN") and "CONSTANT" not in line]


def values(row: PersonRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in PersonRow.__slots__}
