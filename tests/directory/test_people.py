"""People and departments."""

import asyncio

import pytest

from directory import departments, groups, people, rules
from directory.database import Database
from directory.errors import Conflict, DirectoryError, InvalidId, InvalidValue, NotFound
from tests.directory.company import blocks, enforced, hire, know, touched, version_of


async def test_a_person_is_kept_as_given(database: Database) -> None:
    async with database.change("hr", 5) as change:
        department = await departments.add(change, name="研发部")
        await people.add(change, name="Boss", employee_id="boss")
        new = await people.add(
            change,
            name="张三",
            role="agent",
            department_id=department,
            manager_id="boss",
            is_ai_agent=True,
            agent_profile={"capabilities": ["查订单"], "response_timeout": 3},
            skills_badge=["⚡实时响应"],
        )
    assert new.startswith("emp_")
    async with database.read() as connection:
        person = await people.get(connection, new)
    assert person == people.Person(
        employee_id=new,
        name="张三",
        role="agent",
        status="active",
        department_id=department,
        manager_id="boss",
        is_ai_agent=True,
        agent_profile={"capabilities": ["查订单"], "response_timeout": 3},
        skills_badge=("⚡实时响应",),
        created_at=5,
        updated_at=5,
    )


async def test_a_new_person_is_told_as_person_and_as_owner(database: Database) -> None:
    await hire(database, "a")
    assert await touched(database) == [("employee", "a"), ("owner", "a"), ("org", "a")]


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"employee_id": "a/b"}, InvalidId),
        ({"employee_id": "#"}, InvalidId),
        ({"name": ""}, InvalidValue),
        ({"role": "root"}, InvalidValue),
        ({"department_id": "nowhere"}, NotFound),
        ({"manager_id": "nobody"}, NotFound),
        ({"employee_id": "taken"}, Conflict),
    ],
)
async def test_a_person_who_cannot_be_is_refused_and_changes_nothing(
    database: Database, values: dict[str, str], error: type[DirectoryError]
) -> None:
    await hire(database, "taken")
    before = await version_of(database)
    with pytest.raises(error):
        async with database.change("hr", 1) as change:
            await people.add(change, **({"name": "x", "employee_id": "new"} | values))  # type: ignore[arg-type]
    assert await version_of(database) == before
    async with database.read() as connection:
        assert [person.employee_id for person in await people.list_(connection)] == ["taken"]


async def test_an_id_is_never_used_again(database: Database) -> None:
    await hire(database, "a", "b")
    async with database.change("hr", 1) as change:
        await people.set_status(change, "a", "deleted")
    with pytest.raises(Conflict, match=r"'a' exists \(deleted\)"):
        await hire(database, "a")
    with pytest.raises(Conflict, match="for good"):
        async with database.change("hr", 1) as change:
            await people.set_status(change, "a", "active")


async def test_changes_of_status_role_and_department_are_told_and_left_to_the_enforcer(
    database: Database,
) -> None:
    await hire(database, "a")
    async with database.change("hr", 2) as change:
        await departments.add(change, name="D", department_id="d")
    before = await version_of(database)
    async with database.change("hr", 3) as change:
        assert await people.set_status(change, "a", "disabled")
        assert await people.set_role(change, "a", "ops")
        assert await people.set_department(change, "a", "d")
    assert await touched(database, before) == [("org", "a"), ("employee", "a")]
    assert await enforced(database, before) == [
        ("employee_status", {"employee_id": "a", "before": "active", "after": "disabled"}),
        ("employee_role", {"employee_id": "a", "before": "employee", "after": "ops"}),
        ("employee_department", {"employee_id": "a", "before": None, "after": "d"}),
    ]
    async with database.change("hr", 4) as change:
        assert not await people.set_status(change, "a", "disabled")
        assert not await people.set_role(change, "a", "ops")
        assert not await people.set_department(change, "a", "d")
    assert change.version is None
    async with database.change("hr", 4) as change:
        await people.rename(change, "a", "另一个名字")
    async with database.read() as connection:
        person = await people.get(connection, "a")
    assert (person.status, person.role, person.department_id) == ("disabled", "ops", "d")
    assert (person.name, person.updated_at) == ("另一个名字", 4)


async def test_changes_of_nobody_are_refused(database: Database) -> None:
    for refused in (
        lambda change: people.set_status(change, "nobody", "disabled"),
        lambda change: people.set_role(change, "nobody", "ops"),
        lambda change: people.set_department(change, "nobody", None),
        lambda change: people.set_manager(change, "nobody", None),
        lambda change: people.rename(change, "nobody", "x"),
    ):
        with pytest.raises(NotFound, match="'nobody'"):
            async with database.change("hr", 1) as change:
                await refused(change)


async def test_the_last_active_admin_stays(database: Database) -> None:
    await hire(database, "root", "second", role="admin")
    async with database.change("hr", 1) as change:
        await people.set_status(change, "second", "disabled")
    for status in ("disabled", "deleted"):
        with pytest.raises(Conflict, match="last active admin"):
            async with database.change("hr", 1) as change:
                await people.set_status(change, "root", status)
    with pytest.raises(Conflict, match="last active admin"):
        async with database.change("hr", 1) as change:
            await people.set_role(change, "root", "employee")
    async with database.change("hr", 1) as change:
        # One who is not active is not the last.
        await people.set_role(change, "second", "employee")


async def test_two_admins_who_depose_each_other_leave_one(database: Database) -> None:
    await hire(database, "a", "b", role="admin")

    async def depose(whom: str) -> bool:
        try:
            async with database.change("hr", 1) as change:
                await people.set_role(change, whom, "employee")
        except Conflict:
            return False
        return True

    assert sorted(await asyncio.gather(depose("a"), depose("b"))) == [False, True]


async def test_who_is_deleted_leaves_groups_and_passes_them_on(database: Database) -> None:
    await hire(database, "a", "b", "c", "d")
    async with database.change("hr", 10) as change:
        await groups.create(change, name="G", creator="a", group_id="admins", member_ids=["b", "c"])
        await groups.set_member_role(change, "admins", "c", "admin")
        await groups.create(change, name="G", creator="a", group_id="alone")
        await groups.create(change, name="G", creator="b", group_id="member", member_ids=["a"])
    async with database.change("hr", 11) as change:
        await groups.create(change, name="G", creator="a", group_id="oldest", member_ids=["d"])
    async with database.change("hr", 12) as change:
        await groups.add_members(change, "oldest", ["b"])
    before = await version_of(database)
    async with database.change("hr", 13) as change:
        await people.set_status(change, "a", "deleted")
    async with database.read() as connection:
        found = {
            name: [(one.employee_id, one.role) for one in await groups.members(connection, name)]
            for name in ("admins", "alone", "member", "oldest")
        }
        assert (await groups.get(connection, "alone")).dismissed_at == 13
    assert found == {
        "admins": [("b", "member"), ("c", "owner")],
        "alone": [],
        "member": [("b", "owner")],
        "oldest": [("b", "member"), ("d", "owner")],
    }
    assert set(await touched(database, before)) == {
        ("employee", "a"),
        ("employee", "c"),
        ("employee", "d"),
        ("group", "alone"),
        ("org", "a"),
    }


async def test_people_report_in_no_circle(database: Database) -> None:
    await hire(database, "a", "b", "c")
    async with database.change("hr", 1) as change:
        await people.set_manager(change, "b", "a")
        await people.set_manager(change, "c", "b")
    for manager in ("a", "b", "c"):
        with pytest.raises(InvalidValue, match="circle"):
            async with database.change("hr", 1) as change:
                await people.set_manager(change, "a", manager)


async def test_people_are_listed_a_page_at_a_time(database: Database) -> None:
    await hire(database, "B", "a", "c", "a-b", "a_b")
    await hire(database, "root", role="admin")
    async with database.change("hr", 1) as change:
        await people.set_status(change, "c", "disabled")
    async with database.read() as connection:
        first = await people.list_(connection, limit=2)
        second = await people.list_(connection, after=first[-1].employee_id)
        assert [one.employee_id for one in first] == ["B", "a"]
        assert [one.employee_id for one in second] == ["a-b", "a_b", "root"]
        assert [one.employee_id for one in await people.list_(connection, role="admin")] == ["root"]
        disabled = await people.list_(connection, statuses=["disabled"])
        assert [one.employee_id for one in disabled] == ["c"]


async def test_an_id_that_would_take_over_known_clients_is_refused_naming_them(database: Database) -> None:
    await hire(database, "a", "a_b_c")
    await know(database, "a_b", "a_b_phone", "a_b_c", "a_b_c_phone", "a_bc", "a_b-c", "a_c")
    before = await version_of(database)
    with pytest.raises(Conflict, match=r"a_b \(of a\), a_b_phone \(of a\):"):
        await hire(database, "a_b")
    assert await version_of(database) == before
    async with database.change("hr", 1) as change:
        await people.add(change, name="x", employee_id="a_b", force=True)
    assert await blocks(database) == [("a_b", "a", "a_b"), ("a_b_phone", "a", "a_b")]
    assert set(await touched(database, before)) == {
        ("client", "a_b"),
        ("client", "a_b_phone"),
        ("employee", "a_b"),
        ("owner", "a_b"),
        ("org", "a_b"),
    }
    assert [payload["client_id"] for kind, payload in await enforced(database, before)] == [
        "a_b",
        "a_b_phone",
    ]


async def test_a_block_keeps_its_first_owner_until_it_is_lifted(database: Database) -> None:
    await hire(database, "a")
    await know(database, "a_b_c")
    for taker in ("a_b", "a_b_c"):
        async with database.change("hr", 1) as change:
            await people.add(change, name="x", employee_id=taker, force=True)
    assert await blocks(database) == [("a_b_c", "a", "a_b_c")]


async def test_a_department_is_changed_and_stands_in_no_circle(database: Database) -> None:
    async with database.change("hr", 1) as change:
        await departments.add(change, name="A", department_id="a")
        await departments.add(change, name="B", department_id="b", parent_id="a", sort_order=2)
        await departments.add(change, name="C", department_id="c", parent_id="a", sort_order=1)
    async with database.change("hr", 2) as change:
        await departments.update_(change, "b", name="Б", parent_id="c", sort_order=0)
    assert await touched(database, change.version - 1 if change.version else 0) == [("org", "b")]
    for parent in ("a", "b", "c"):
        with pytest.raises(InvalidValue, match="circle"):
            async with database.change("hr", 1) as change:
                await departments.update_(change, "a", name="A", parent_id=parent, sort_order=0)
    async with database.read() as connection:
        assert [one.department_id for one in await departments.list_(connection)] == ["a", "c", "b"]
        assert (await departments.get(connection, "b")).name == "Б"
    with pytest.raises(Conflict):
        async with database.change("hr", 1) as change:
            await departments.add(change, name="A", department_id="a")


async def test_a_department_with_people_or_others_below_stays(database: Database) -> None:
    async with database.change("hr", 1) as change:
        await departments.add(change, name="A", department_id="a")
        await departments.add(change, name="B", department_id="b", parent_id="a")
        await people.add(change, name="x", employee_id="x", department_id="b")
        await rules.add(
            change,
            subject_kind="department",
            subject_id="b",
            effect="deny",
            action="all",
            filter="x",
            reason="r",
        )
    for department, why in (("a", "'b' below"), ("b", "active people")):
        with pytest.raises(Conflict, match=why):
            async with database.change("hr", 1) as change:
                await departments.remove(change, department)
    async with database.change("hr", 1) as change:
        await people.set_status(change, "x", "disabled")
    before = await version_of(database)
    async with database.change("hr", 1) as change:
        await departments.remove(change, "b")
    assert set(await touched(database, before)) == {("department", "b"), ("employee", "x"), ("org", "b")}
    async with database.read() as connection:
        assert (await people.get(connection, "x")).department_id is None
        assert await rules.list_(connection) == []
        with pytest.raises(NotFound):
            await departments.get(connection, "b")


async def test_what_people_see_of_a_person_is_told_and_is_nobodys_right(database: Database) -> None:
    await hire(database, "a", "b")
    before = await version_of(database)
    async with database.change("hr", 1) as change:
        await people.rename(change, "a", "Other")
        await people.set_manager(change, "b", "a")
    assert await touched(database, before) == [("org", "a"), ("org", "b")]
    assert await enforced(database, before) == []
    async with database.change("hr", 1) as change:
        await people.set_role(change, "a", "ops")
    assert ("org", "a") not in await touched(database, before + 1)


async def test_two_moves_that_would_close_a_circle_together_come_one_after_the_other(
    database: Database,
) -> None:
    await hire(database, "a", "b")
    async with database.change("hr", 1) as change:
        for one in ("a", "b"):
            await departments.add(change, name=one, department_id=one)

    async def second() -> None:
        async with database.change("hr", 2) as change:
            await departments.update_(change, "b", name="b", parent_id="a", sort_order=0)

    async def third() -> None:
        async with database.change("hr", 2) as change:
            await people.set_manager(change, "b", "a")

    async with database.change("hr", 2) as change:
        await departments.update_(change, "a", name="a", parent_id="b", sort_order=0)
        await people.set_manager(change, "a", "b")
        late = [asyncio.create_task(second()), asyncio.create_task(third())]
        # They wait, and cannot have decided by what is not committed yet.
        assert not (await asyncio.wait(late, timeout=0.3))[0]
    for end in await asyncio.gather(*late, return_exceptions=True):
        assert isinstance(end, InvalidValue) and "circle" in str(end)
