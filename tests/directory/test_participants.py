"""Who takes part in the chat, and the organisation as everybody sees it."""

import asyncio

from directory import departments, groups, organisation, participants, people
from directory.database import Database
from tests.directory.company import hire, know, version_of


async def test_people_and_clients_are_loaded_at_one_moment(database: Database) -> None:
    await hire(database, "zhang", "li", "gone")
    async with database.change("hr", 1) as change:
        await groups.create(change, name="G", creator="zhang", group_id="g", member_ids=["li"])
        await groups.create(change, name="H", creator="zhang", group_id="h")
        await groups.dismiss(change, "h")
        await people.set_status(change, "gone", "deleted")
    await know(database, "zhang_web", employee_id="zhang")
    found = await participants.load(
        database, ["zhang", "li", "gone", "nobody"], ["zhang_web", "zhang_pc", "x"]
    )
    assert found.version == await version_of(database)
    zhang, li, gone = found.people["zhang"], found.people["li"], found.people["gone"]
    assert zhang is not None and (zhang.name, zhang.role, zhang.groups) == (
        "Name of zhang",
        "employee",
        {"g": "owner"},
    )
    assert li is not None and li.groups == {"g": "member"}
    assert gone is not None and gone.status == "deleted"
    assert found.people["nobody"] is None
    assert found.devices["zhang_web"].employee_id == "zhang"
    assert found.devices["zhang_pc"].employee_id is None
    owner = found.devices["zhang_pc"].owner
    assert owner is not None and owner.employee_id == "zhang"
    assert found.devices["x"].owner is None


async def test_nothing_asked_is_nothing_found(database: Database) -> None:
    found = await participants.load(database, [], [])
    assert (found.people, found.devices) == ({}, {})


async def test_who_is_held_stays_active_until_the_end_of_the_transaction(database: Database) -> None:
    await hire(database, "zhang")
    order: list[str] = []

    async def disable() -> None:
        async with database.change("hr", 2) as change:
            await people.set_status(change, "zhang", "disabled")
        order.append("disabled")

    async with database.write() as connection:
        held = await participants.held(connection, "zhang")
        assert held is not None and held.status == "active"
        disabling = asyncio.create_task(disable())
        # Until it waits for the row (PostgreSQL) or for the writer (SQLite), it cannot have changed anything.
        await asyncio.wait([disabling], timeout=0.2)
        order.append("committing")
    await disabling
    assert order == ["committing", "disabled"]
    async with database.write() as connection:
        held = await participants.held(connection, "zhang")
    assert held is not None and held.status == "disabled"


async def test_the_organisation_is_listed_as_a_whole_and_from_a_department_down(database: Database) -> None:
    async with database.change("hr", 1) as change:
        await departments.add(change, name="A", department_id="a")
        await departments.add(change, name="B", department_id="b", parent_id="a")
        await departments.add(change, name="C", department_id="c", parent_id="b")
        await departments.add(change, name="X", department_id="x")
        for employee_id, place in (("p", "a"), ("q", "c"), ("r", "x"), ("off", "a")):
            await people.add(change, name=employee_id, employee_id=employee_id, department_id=place)
        await people.add(change, name="s", employee_id="s", skills_badge=["go"])
        await people.add(change, name="gw", employee_id="gw", role="service")
        await people.set_status(change, "off", "disabled")
    async with database.read() as connection:
        within = await organisation.below(connection, "a")
        assert within == {"a", "b", "c"}
        assert await organisation.below(connection, "nowhere") == set()
        everybody = await organisation.people(connection, None)
        assert [one.employee_id for one in everybody] == ["p", "q", "r", "s"]
        assert everybody[3].skills_badge == ("go",)
        assert [one.employee_id for one in await organisation.people(connection, within)] == ["p", "q"]
        page = await organisation.people(connection, None, after="p", limit=2)
        assert [one.employee_id for one in page] == ["q", "r"]
        found = await organisation.departments(connection, within, after="a")
        assert [one.department_id for one in found] == ["b", "c"]
        assert len(await organisation.departments(connection, None)) == 4
