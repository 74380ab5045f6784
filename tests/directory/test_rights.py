"""Credentials, exceptions and policies."""

import asyncio

import pytest

from directory import credentials, people, policies, rules
from directory.database import Database
from directory.errors import Conflict, DirectoryError, InvalidId, InvalidValue, NotFound
from directory.secret import hash_password, new_token, token_digest
from tests.directory.company import enforced, hire, touched, version_of


async def test_a_credential_is_kept_and_told(database: Database) -> None:
    await hire(database, "a")
    digest, before = token_digest(new_token()), await version_of(database)
    async with database.change("hr", 5) as change:
        token = await credentials.add_token(change, "a", digest, label="手机", expires_at=9)
    async with database.change("hr", 6) as change:
        password = await credentials.add_password(change, "a", hash_password("correct horse"))
    async with database.change("hr", 7) as change:
        await credentials.add_certificate(change, "a", "ab" * 32)
    assert await touched(database, before) == [("employee", "a")] * 3
    async with database.read() as connection:
        first, second, third = await credentials.list_(connection, "a")
    assert (first.credential_id, first.kind, first.hash, first.label) == (token, "token", digest, "手机")
    assert (second.credential_id, second.kind, third.kind) == (password, "password", "certificate")
    assert first.usable(8) and not first.usable(9) and second.usable(2**60)
    assert digest not in repr(first)


@pytest.mark.parametrize(
    ("employee_id", "digest", "values", "error"),
    [
        ("nobody", "ab" * 32, {}, NotFound),
        ("gone", "ab" * 32, {}, Conflict),
        ("a", "AB" * 32, {}, InvalidValue),
        ("a", "mct_" + "a" * 32, {}, InvalidValue),
        ("a", "ab" * 32, {"label": "a\nb"}, InvalidValue),
        ("a", "ab" * 32, {"expires_at": 5}, InvalidValue),
        ("a", "cd" * 32, {}, Conflict),
    ],
)
async def test_a_credential_that_cannot_be_is_refused(
    database: Database, employee_id: str, digest: str, values: dict[str, int], error: type[DirectoryError]
) -> None:
    await hire(database, "a", "b", "gone")
    async with database.change("hr", 1) as change:
        await people.set_status(change, "gone", "deleted")
        await credentials.add_token(change, "b", "cd" * 32)
    before = await version_of(database)
    with pytest.raises(error) as caught:
        async with database.change("hr", 5) as change:
            await credentials.add_token(change, employee_id, digest, **values)  # type: ignore[arg-type]
    assert digest not in str(caught.value)
    assert await version_of(database) == before


async def test_a_bare_password_is_never_stored(database: Database) -> None:
    await hire(database, "a")
    with pytest.raises(InvalidValue) as caught:
        async with database.change("hr", 1) as change:
            await credentials.add_password(change, "a", "correct horse")
    assert "horse" not in str(caught.value)


async def test_a_revoked_credential_stays_revoked_and_is_left_to_the_enforcer(database: Database) -> None:
    await hire(database, "a")
    async with database.change("hr", 1) as change:
        token = await credentials.add_token(change, "a", "ab" * 32)
    before = await version_of(database)
    async with database.change("hr", 7) as change:
        assert await credentials.revoke(change, token)
    async with database.change("hr", 8) as change:
        assert not await credentials.revoke(change, token)
    assert change.version is None
    assert await touched(database, before) == [("employee", "a")]
    assert await enforced(database, before) == [
        ("credential_revoked", {"employee_id": "a", "credential_id": token})
    ]
    async with database.read() as connection:
        (row,) = await credentials.list_(connection, "a")
    assert row.revoked_at == 7 and not row.usable(7)
    with pytest.raises(NotFound):
        async with database.change("hr", 9) as change:
            await credentials.revoke(change, "cred_none")


async def test_last_use_is_noted_in_bulk_and_never_goes_back(database: Database) -> None:
    await hire(database, "a")
    async with database.change("hr", 1) as change:
        first = await credentials.add_token(change, "a", "ab" * 32)
        second = await credentials.add_token(change, "a", "cd" * 32)
    before = await version_of(database)
    for used in ({first: 10, second: 20, "gone": 1}, {first: 5, second: 30}, {}):
        async with database.write() as connection:
            await credentials.mark_used(connection, used)
    assert await version_of(database) == before
    async with database.read() as connection:
        found = {one.credential_id: one.last_used_at for one in await credentials.list_(connection, "a")}
    assert found == {first: 10, second: 30}


async def test_an_exception_is_kept_as_given_and_told(database: Database) -> None:
    await hire(database, "a")
    before = await version_of(database)
    async with database.change("sec", 5) as change:
        rule_id = await rules.add(
            change,
            subject_kind="employee",
            subject_id="a",
            effect="allow",
            action="publish",
            filter="告警/${client_id}/+",
            qos=[1, 0, 1],
            retain=True,
            priority=-3,
            zone="internal",
            reason="ticket 7",
            valid_from_at=6,
            valid_until_at=7,
        )
    assert await touched(database, before) == [("employee", "a")]
    expected = rules.RuleRow(
        rule_id=rule_id,
        subject_kind="employee",
        subject_id="a",
        effect="allow",
        action="publish",
        filter="告警/${client_id}/+",
        qos=frozenset({0, 1}),
        retain=True,
        priority=-3,
        zone="internal",
        reason="ticket 7",
        author="sec",
        valid_from_at=6,
        valid_until_at=7,
        created_at=5,
    )
    async with database.read() as connection:
        assert await rules.get(connection, rule_id) == expected
    async with database.change("sec", 6) as change:
        assert await rules.remove(change, rule_id) == expected
    assert [kind for kind, _ in await enforced(database, before)] == ["rule_added", "rule_removed"]
    assert await touched(database, before) == [("employee", "a")] * 2
    with pytest.raises(NotFound):
        async with database.change("sec", 6) as change:
            await rules.remove(change, rule_id)
    async with database.change("sec", 7) as change:
        # A number is never given again: the audit names rules by it.
        assert (
            await rules.add(
                change, subject_kind="everyone", effect="deny", action="all", filter="x", reason="r"
            )
            > rule_id
        )
    assert (await touched(database, before))[-1] == ("everyone", "")


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"subject_kind": "planet"}, InvalidValue),
        ({"effect": "maybe"}, InvalidValue),
        ({"action": "connect"}, InvalidValue),
        ({"subject_id": "nobody"}, NotFound),
        ({"subject_kind": "group", "subject_id": "nothing"}, NotFound),
        ({"subject_kind": "department", "subject_id": "nowhere"}, NotFound),
        ({"subject_kind": "role", "subject_id": "root"}, InvalidValue),
        ({"subject_kind": "client", "subject_id": "a/b"}, InvalidId),
        ({"subject_kind": "everyone"}, InvalidValue),
        ({"filter": ""}, InvalidValue),
        ({"filter": "a\0b"}, InvalidValue),
        ({"reason": ""}, InvalidValue),
        ({"qos": []}, InvalidValue),
        ({"qos": [3]}, InvalidValue),
        ({"priority": 1_000_001}, InvalidValue),
        ({"zone": "a b"}, InvalidValue),
        ({"valid_until_at": 5}, InvalidValue),
        ({"valid_from_at": 9, "valid_until_at": 9}, InvalidValue),
    ],
)
async def test_an_exception_that_cannot_be_is_refused(
    database: Database, values: dict[str, object], error: type[DirectoryError]
) -> None:
    await hire(database, "a")
    before = await version_of(database)
    given = {
        "subject_kind": "employee",
        "subject_id": "a",
        "effect": "allow",
        "action": "all",
        "filter": "x",
        "reason": "r",
    }
    with pytest.raises(error):
        async with database.change("sec", 5) as change:
            await rules.add(change, **(given | values))  # type: ignore[arg-type]
    assert await version_of(database) == before


async def test_exceptions_are_listed_by_subject_and_page(database: Database) -> None:
    await hire(database, "a", "b")
    async with database.change("sec", 5) as change:
        numbers = [
            await rules.add(
                change,
                subject_kind="employee",
                subject_id=one,
                effect="allow",
                action="all",
                filter="x",
                reason="r",
            )
            for one in ("a", "b", "a")
        ]
    async with database.read() as connection:
        assert [one.rule_id for one in await rules.list_(connection)] == numbers
        assert [one.rule_id for one in await rules.list_(connection, after=numbers[0], limit=1)] == [
            numbers[1]
        ]
        mine = await rules.list_(connection, subject_kind="employee", subject_id="a")
        assert [one.rule_id for one in mine] == [numbers[0], numbers[2]]
        about = await rules.about(connection, [("employee", "b"), ("group", "a"), ("employee", "nobody")])
        assert [one.rule_id for one in about] == [numbers[1]]
        both = await rules.about(connection, [("employee", "b"), ("employee", "a")])
        assert [one.rule_id for one in both] == numbers
        assert await rules.about(connection, []) == ()


async def test_one_policy_is_active_and_another_takes_its_place(database: Database) -> None:
    async with database.read() as connection:
        assert await policies.active_policy(connection) is None
    async with database.change("sec", 5) as change:
        first = await policies.add(change, name="mchat", document="# 策略\n", reason="first")
    assert change.version is None
    async with database.change("sec", 6) as change:
        second = await policies.add(change, name="mchat", document="x = 1", reason="second")
        assert await policies.activate(change, first)
    assert await touched(database) == [("policy", "")]
    async with database.change("sec", 7) as change:
        assert not await policies.activate(change, first)
        assert await policies.activate(change, second)
    async with database.read() as connection:
        active = await policies.active_policy(connection)
        listed = await policies.list_(connection)
        assert (await policies.get(connection, first)).document == "# 策略\n"
        with pytest.raises(NotFound):
            await policies.get(connection, 99)
    assert active is not None and (active.version, active.activated_at, active.active) == (second, 7, True)
    assert [(one.version, one.active) for one in listed] == [(second, True), (first, False)]
    with pytest.raises(NotFound, match="99"):
        async with database.change("sec", 8) as change:
            await policies.activate(change, 99)


@pytest.mark.parametrize(
    ("name", "document"), [("a b", "x"), ("mchat", ""), ("mchat", "a\0"), ("m", "x" * 2**21)]
)
async def test_a_policy_that_cannot_be_stored_is_refused(
    database: Database, name: str, document: str
) -> None:
    with pytest.raises(InvalidValue):
        async with database.change("sec", 5) as change:
            await policies.add(change, name=name, document=document, reason="r")


async def test_activating_at_once_leaves_one_active(database: Database) -> None:
    async with database.change("sec", 5) as change:
        versions = [await policies.add(change, name="p", document="x", reason="r") for _ in range(4)]

    async def activate(version: int) -> None:
        async with database.change("sec", 6) as change:
            await policies.activate(change, version)

    await asyncio.gather(*(activate(version) for version in versions))
    async with database.read() as connection:
        assert sum(one.active for one in await policies.list_(connection)) == 1


async def _credentials(database: Database, *ends: int | None) -> list[str]:
    made = []
    for number, expires_at in enumerate(ends):
        async with database.change("hr", number + 1) as change:
            digest = token_digest(new_token())
            made.append(await credentials.add_token(change, "a", digest, expires_at=expires_at))
    return made


async def test_all_credentials_of_a_person_end_and_a_new_one_stays(database: Database) -> None:
    await hire(database, "a", "b")
    first, expired, second = await _credentials(database, None, 50, 900)
    async with database.change("hr", 5) as change:
        await credentials.add_token(change, "b", "ab" * 32)
    before = await version_of(database)
    async with database.change("hr", 100) as change:
        assert await credentials.end_all(change, "a") == sorted([first, second])
        new = await credentials.add_token(change, "a", "cd" * 32)
    assert await touched(database, before) == [("employee", "a")]
    assert await enforced(database, before) == [
        ("credential_revoked", {"employee_id": "a", "credential_id": one}) for one in sorted([first, second])
    ]
    async with database.read() as connection:
        usable = {one.credential_id: one.usable(100) for one in await credentials.list_(connection, "a")}
        (of_b,) = await credentials.list_(connection, "b")
    assert usable == {first: False, expired: False, second: False, new: True}
    assert of_b.usable(100)
    async with database.change("hr", 101) as change:
        assert await credentials.end_all(change, "nobody") == []
    assert change.version is None


async def test_with_a_grace_credentials_expire_instead_and_none_lives_longer_by_it(
    database: Database,
) -> None:
    await hire(database, "a")
    first, soon, later = await _credentials(database, None, 150, 900)
    before = await version_of(database)
    async with database.change("hr", 100) as change:
        assert await credentials.end_all(change, "a", grace_ms=100) == sorted([first, later])
    assert await touched(database, before) == [("employee", "a")]
    assert await enforced(database, before) == []
    async with database.read() as connection:
        ends = {one.credential_id: one.expires_at for one in await credentials.list_(connection, "a")}
    assert ends == {first: 200, soon: 150, later: 200}
