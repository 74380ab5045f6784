"""The first people of groups and departments."""

from directory import departments, groups, peers, people
from directory.database import Database
from tests.directory.company import hire


async def test_the_first_members_of_each_group_in_order(database: Database) -> None:
    await hire(database, "d", "b", "a", "c", "e")
    async with database.change("hr", 1) as change:
        first = await groups.create(change, name="First", creator="d", member_ids=["c", "a", "b"])
        second = await groups.create(change, name="Second", creator="e", member_ids=["a"])
        dismissed = await groups.create(change, name="Gone", creator="e", member_ids=["a"])
    async with database.change("hr", 2) as change:
        await groups.dismiss(change, dismissed)
        await people.set_status(change, "a", "disabled")
    async with database.change("hr", 3) as change:
        await people.set_status(change, "b", "deleted")
    async with database.read() as connection:
        found = await peers.first_members(connection, [second, first, dismissed, "unknown"], 2)
        assert found == {first: ("a", "c"), second: ("a", "e")}
        assert await peers.first_members(connection, [first], 10) == {first: ("a", "c", "d")}
        assert await peers.first_members(connection, [], 2) == {}


async def test_the_first_of_each_department_without_the_deleted(database: Database) -> None:
    await hire(database, "d", "b", "a", "c", "e", "loner")
    async with database.change("hr", 1) as change:
        top = await departments.add(change, name="Top")
        below = await departments.add(change, name="Below", parent_id=top)
        empty = await departments.add(change, name="Empty")
        for one in ("a", "b", "c", "d"):
            await people.set_department(change, one, top)
        await people.set_department(change, "e", below)
    async with database.change("hr", 2) as change:
        await people.set_status(change, "a", "deleted")
        await people.set_status(change, "b", "disabled")
    async with database.read() as connection:
        found = await peers.first_of_departments(connection, [top, below, empty, "unknown"], 2)
        assert found == {top: ("b", "c"), below: ("e",)}
        assert await peers.first_of_departments(connection, [top], 9) == {top: ("b", "c", "d")}
