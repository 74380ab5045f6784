"""Groups and who is in them."""

import asyncio

import pytest

from directory import groups, people
from directory.database import Database
from directory.errors import Conflict, DirectoryError, InvalidId, InvalidValue, NotFound
from tests.directory.company import enforced, hire, touched, version_of


@pytest.fixture
async def company(database: Database) -> Database:
    """People a to d, x who is disabled, and group g of a (its owner) and b."""
    await hire(database, "a", "b", "c", "d", "x")
    async with database.change("hr", 1) as change:
        await people.set_status(change, "x", "disabled")
        await groups.create(change, name="Г", creator="a", group_id="g", member_ids=["b", "b", "a"])
    return database


async def _members(database: Database, group_id: str = "g") -> dict[str, str]:
    async with database.read() as connection:
        return {one.employee_id: one.role for one in await groups.members(connection, group_id)}


async def test_a_group_is_made_with_its_creator_as_owner(company: Database) -> None:
    assert await _members(company) == {"a": "owner", "b": "member"}
    async with company.read() as connection:
        group = await groups.get(connection, "g")
    assert (group.name, group.creator_employee_id, group.dismissed_at) == ("Г", "a", None)
    async with company.change("a", 2) as change:
        generated = await groups.create(change, name="other", creator="a", description="多语言")
    assert generated.startswith("grp_")


@pytest.mark.parametrize(
    ("values", "error", "says"),
    [
        ({"member_ids": ["b", "nobody", "x"]}, InvalidValue, "nobody, x"),
        ({"creator": "x"}, InvalidValue, "x: no such people"),
        ({"group_id": "g"}, Conflict, "'g' exists"),
        ({"group_id": "a/b"}, InvalidId, "a/b"),
        ({"name": "\n"}, InvalidValue, "name"),
    ],
)
async def test_a_group_that_cannot_be_is_refused_and_nothing_made(
    company: Database, values: dict[str, object], error: type[DirectoryError], says: str
) -> None:
    before = await version_of(company)
    with pytest.raises(error, match=says):
        async with company.change("a", 2) as change:
            await groups.create(change, **({"name": "n", "creator": "a", "group_id": "new"} | values))  # type: ignore[arg-type]
    assert await version_of(company) == before
    async with company.read() as connection:
        assert [group.group_id for group in await groups.list_(connection)] == ["g"]


async def test_members_are_added_once_and_only_they_are_touched(company: Database) -> None:
    before = await version_of(company)
    async with company.change("a", 2) as change:
        assert await groups.add_members(change, "g", ["d", "b", "c", "d"]) == ["d", "c"]
    assert await touched(company, before) == [("employee", "d"), ("employee", "c")]
    assert await enforced(company, before) == [
        ("member_added", {"group_id": "g", "employee_id": "d"}),
        ("member_added", {"group_id": "g", "employee_id": "c"}),
    ]
    async with company.change("a", 3) as change:
        assert await groups.add_members(change, "g", ["c"]) == []
    assert change.version is None


async def test_nobody_is_added_if_one_cannot_be(company: Database) -> None:
    with pytest.raises(InvalidValue, match="x"):
        async with company.change("a", 2) as change:
            await groups.add_members(change, "g", ["c", "x"])
    assert await _members(company) == {"a": "owner", "b": "member"}


async def test_members_are_removed_and_only_they_are_touched(company: Database) -> None:
    before = await version_of(company)
    async with company.change("a", 2) as change:
        assert await groups.remove_members(change, "g", ["c", "b", "nobody"]) == ["b"]
    assert await touched(company, before) == [("employee", "b")]
    assert await enforced(company, before) == [("member_removed", {"group_id": "g", "employee_id": "b"})]
    assert await _members(company) == {"a": "owner"}


async def test_the_owner_is_not_removed_and_nobody_with_it(company: Database) -> None:
    with pytest.raises(Conflict, match="'a' owns"):
        async with company.change("a", 2) as change:
            await groups.remove_members(change, "g", ["b", "a"])
    assert await _members(company) == {"a": "owner", "b": "member"}


async def test_a_group_is_handed_over_and_has_one_owner(company: Database) -> None:
    before = await version_of(company)
    async with company.change("a", 2) as change:
        assert await groups.set_member_role(change, "g", "b", "owner")
        assert not await groups.set_member_role(change, "g", "b", "owner")
    assert await _members(company) == {"a": "admin", "b": "owner"}
    assert set(await touched(company, before)) == {("employee", "a"), ("employee", "b")}
    with pytest.raises(Conflict, match="'b' owns"):
        async with company.change("a", 2) as change:
            await groups.set_member_role(change, "g", "b", "member")
    with pytest.raises(NotFound, match="'c' is not in"):
        async with company.change("a", 2) as change:
            await groups.set_member_role(change, "g", "c", "admin")
    with pytest.raises(InvalidValue, match="'king'"):
        async with company.change("a", 2) as change:
            await groups.set_member_role(change, "g", "b", "king")


async def test_a_dismissed_group_has_nobody_and_never_comes_back(company: Database) -> None:
    before = await version_of(company)
    async with company.change("a", 9) as change:
        assert await groups.dismiss(change, "g") == ["a", "b"]
    assert await touched(company, before) == [("group", "g")]
    assert await enforced(company, before) == [
        ("group_dismissed", {"group_id": "g", "employee_ids": ["a", "b"]})
    ]
    assert await _members(company) == {}
    async with company.read() as connection:
        assert (await groups.get(connection, "g")).dismissed_at == 9
        assert await groups.list_(connection) == []
    for again in (
        lambda change: groups.dismiss(change, "g"),
        lambda change: groups.add_members(change, "g", ["c"]),
        lambda change: groups.remove_members(change, "g", ["b"]),
        lambda change: groups.set_member_role(change, "g", "b", "admin"),
        lambda change: groups.update_(change, "g", name="n", description="", avatar=""),
    ):
        with pytest.raises(NotFound, match="dismissed"):
            async with company.change("a", 10) as change:
                await again(change)
    with pytest.raises(Conflict, match="existed"):
        async with company.change("a", 10) as change:
            await groups.create(change, name="n", creator="a", group_id="g")


async def test_an_unknown_group_is_named(company: Database) -> None:
    with pytest.raises(NotFound, match="'nothing' does not exist"):
        async with company.change("a", 1) as change:
            await groups.add_members(change, "nothing", ["a"])
    async with company.read() as connection:
        with pytest.raises(NotFound, match="'nothing'"):
            await groups.get(connection, "nothing")


async def test_groups_are_listed_a_page_at_a_time_and_by_person(company: Database) -> None:
    async with company.change("b", 1) as change:
        for name in ("h", "i"):
            await groups.create(change, name=name, creator="b", group_id=name)
        await groups.update_(change, "h", name="新", description="d", avatar="a")
    async with company.read() as connection:
        assert [one.group_id for one in await groups.list_(connection, limit=2)] == ["g", "h"]
        assert [one.name for one in await groups.list_(connection, after="g", limit=1)] == ["新"]
        assert [one.group_id for one in await groups.list_(connection, employee_id="a")] == ["g"]
        assert [one.employee_id for one in await groups.members(connection, "g", after="a")] == ["b"]


async def test_adding_and_dismissing_at_once_leaves_no_member_behind(company: Database) -> None:
    async def add() -> None:
        async with company.change("a", 1) as change:
            await groups.add_members(change, "g", ["c"])

    async def dismiss() -> None:
        async with company.change("a", 1) as change:
            await groups.dismiss(change, "g")

    added, dismissed = await asyncio.gather(add(), dismiss(), return_exceptions=True)
    assert dismissed is None
    assert added is None or isinstance(added, NotFound)
    assert await _members(company) == {}


async def test_adding_the_same_people_at_once_adds_them_once(company: Database) -> None:
    async def add() -> list[str]:
        async with company.change("a", 1) as change:
            return await groups.add_members(change, "g", ["c", "d"])

    found = await asyncio.gather(*(add() for _ in range(6)))
    assert sorted(found) == [[]] * 5 + [["c", "d"]]


async def test_groups_are_listed_as_a_person_sees_them(company: Database) -> None:
    async with company.change("c", 2) as change:
        await groups.create(change, name="H", creator="c", group_id="h", member_ids=["a", "d"])
        await groups.create(change, name="I", creator="c", group_id="i")
        await groups.create(change, name="J", creator="a", group_id="j")
        await groups.dismiss(change, "j")

    async def listed(
        employee_id: str, everybodys: bool = False, after: str = "", limit: int = 9
    ) -> list[object]:
        async with company.read() as connection:
            found = await groups.listed(
                connection, employee_id, everybodys=everybodys, after=after, limit=limit
            )
        return [(one.group.group_id, one.member_count, one.role) for one in found]

    assert await listed("a") == [("g", 2, "owner"), ("h", 3, "member")]
    assert await listed("a", everybodys=True) == [("g", 2, "owner"), ("h", 3, "member"), ("i", 1, None)]
    assert await listed("a", after="g") == [("h", 3, "member")]
    assert await listed("a", limit=1) == [("g", 2, "owner")]
    assert await listed("x") == []


async def test_roles_and_numbers_of_members_are_read(company: Database) -> None:
    async with company.read() as connection:
        assert await groups.roles(connection, "g", ["b", "a", "c"]) == {"a": "owner", "b": "member"}
        assert await groups.count(connection, "g") == 2
        assert await groups.count(connection, "nothing") == 0
