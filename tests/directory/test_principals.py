"""The batch loader: what grants are built from, at one moment, in few queries."""

import asyncio

from sqlalchemy import event

from directory import credentials, departments, groups, people, policies, principals, registrations, rules
from directory.changes import Change
from directory.database import Database
from directory.owners import Owner
from tests.directory.company import hire, know, version_of


async def _rule(change: Change, kind: str, subject_id: str = "") -> int:
    return await rules.add(
        change,
        subject_kind=kind,
        subject_id=subject_id,
        effect="deny",
        action="all",
        filter=f"{kind}/{subject_id}",
        reason="r",
    )


async def test_a_person_comes_with_all_that_rights_are_made_of(database: Database) -> None:
    async with database.change("hr", 1) as change:
        await departments.add(change, name="D", department_id="d")
        await people.add(change, name="A", employee_id="a", department_id="d", role="ops")
        await people.add(change, name="B", employee_id="b")
        for group in ("g", "h", "other", "gone"):
            await groups.create(change, name=group, creator="b", group_id=group)
        for group in ("g", "h", "gone"):
            await groups.add_members(change, group, ["a"])
        token = await credentials.add_token(change, "a", "ab" * 32)
        old = await credentials.add_token(change, "a", "cd" * 32, expires_at=2)
        await credentials.revoke(change, token)
        mine = [
            await _rule(change, "group", "h"),
            await _rule(change, "everyone"),
            await _rule(change, "employee", "a"),
            await _rule(change, "role", "ops"),
            await _rule(change, "department", "d"),
            await _rule(change, "group", "g"),
        ]
        for kind, subject in (
            ("employee", "b"),
            ("role", "admin"),
            ("group", "other"),
            ("client", "a"),
            ("group", "gone"),
        ):
            await _rule(change, kind, subject)
    async with database.change("hr", 1) as change:
        await groups.dismiss(change, "gone")
    found = await principals.load(database, ["a", "nobody"], [])
    assert found.version == change.version == 2
    assert found.people["nobody"] is None
    assert found.clients == {}
    person = found.people["a"]
    assert person is not None
    assert (person.role, person.status, person.department_id) == ("ops", "active", "d")
    assert person.groups == {"g", "h"}
    assert {one.credential_id for one in person.credentials} == {token, old}
    assert [rule.rule_id for rule in person.rules] == mine


async def test_a_client_comes_with_its_owner_its_block_and_its_rules(database: Database) -> None:
    await hire(database, "a", "b")
    await know(database, "b_x_phone")
    async with database.change("hr", 1) as change:
        await people.add(change, name="x", employee_id="b_x", force=True)
        await registrations.add(change, "dev-", "prefix", "a")
        rule = await _rule(change, "client", "dev-1")
        everyone = await _rule(change, "everyone")
        await people.set_status(change, "a", "disabled")
    wanted = ["b_x_phone", "dev-1", "stranger", "bad/id"]
    found = await principals.load(database, [], wanted)
    assert set(found.clients) == set(wanted)
    blocked, registered, stranger, bad = (found.clients[one] for one in wanted)
    assert (blocked.owner, blocked.blocked) == (Owner("b_x", "employee", "b_x"), True)
    assert (registered.owner, registered.blocked) == (Owner("a", "registration", "dev-"), False)
    assert [one.rule_id for one in registered.rules] == [rule]
    assert (stranger.owner, stranger.blocked, stranger.rules) == (None, False, ())
    assert bad.owner is None
    # The owners come along, from the same moment.
    assert set(found.people) == {"a", "b_x"}
    owner = found.people["a"]
    assert owner is not None and owner.status == "disabled"
    assert [one.rule_id for one in owner.rules] == [everyone]


async def test_nobody_asked_for_is_nobody(database: Database) -> None:
    found = await principals.load(database, [], [])
    assert (found.version, found.people, found.clients) == (0, {}, {})


async def test_a_batch_of_500_takes_a_handful_of_queries(database: Database) -> None:
    await hire(database, *(f"e{number}" for number in range(300)))
    async with database.change("hr", 1) as change:
        for number in range(3):
            members = [f"e{one}" for one in range(300) if one % 3 == number]
            await groups.create(
                change, name="g", creator=members[0], group_id=f"g{number}", member_ids=members
            )
    statements: list[str] = []
    engine = database._engine.sync_engine
    event.listen(engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    found = await principals.load(
        database, [f"e{number}" for number in range(500)], [f"e{number}_web_1" for number in range(500)]
    )
    assert sum(one is not None for one in found.people.values()) == 300
    assert sum(one.owner is not None for one in found.clients.values()) == 300
    assert len([one for one in statements if not one.startswith("BEGIN")]) <= 10


async def test_what_is_loaded_is_of_one_moment(database: Database) -> None:
    # Each change adds one group and tells one version: groups and version must always agree.
    await hire(database, "a")
    base = await version_of(database)
    done = asyncio.Event()

    async def write() -> None:
        for number in range(40):
            async with database.change("hr", 1) as change:
                await groups.create(change, name="g", creator="a", group_id=f"g{number}")
        done.set()

    async def read() -> int:
        seen = set()
        while not done.is_set():
            found = await principals.load(database, ["a"], ["a_1"])
            person = found.people["a"]
            assert person is not None
            assert len(person.groups) == found.version - base
            seen.add(found.version)
        return len(seen)

    _, seen = await asyncio.gather(write(), read())
    assert seen > 3


async def test_the_policy_comes_with_its_version(database: Database) -> None:
    assert await principals.load_policy(database) == (0, None)
    async with database.change("sec", 1) as change:
        version = await policies.add(change, name="mchat", document="x", reason="r")
        await policies.activate(change, version)
    loaded, row = await principals.load_policy(database)
    assert loaded == change.version
    assert row is not None and row.version == version
