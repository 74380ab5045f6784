"""Whom each kind of work is about."""

from typing import Any

import pytest

from acl_service.enforcement import scope as module
from acl_service.enforcement.scope import Scope, Scopes, UnknownWork, united
from acl_service.memory import Memory
from directory import departments, people, rules
from directory.database import Database
from directory.outbox import OutboxRow
from tests.acl_service.serving import activate_profile, add_group, add_person, now_ms

STATUS = "mchat/status/bob"


def work(kind: str, /, **payload: Any) -> OutboxRow:
    return OutboxRow(1, "enforcer", kind, "s", payload, 1, 0, 0, None, "", "", None)


@pytest.fixture
async def scopes(database: Database, company: dict[str, str]) -> Scopes:
    return Scopes(database, Memory(database))


def people_of(*names: str, **more: Any) -> Scope:
    return Scope(people=frozenset(names), **more)


async def test_of_a_person(scopes: Scopes) -> None:
    for kind in ("employee_status", "employee_role", "credential_revoked", "credential_expired"):
        assert await scopes.of(work(kind, employee_id="bob")) == people_of("bob")


async def test_of_a_membership_it_is_who_could_see_him_too(scopes: Scopes, database: Database) -> None:
    beside = frozenset(("alice",))
    # Who joins takes nothing from those who see him: nobody is sought by topic.
    joined = await scopes.of(work("member_added", employee_id="bob", group_id="team"))
    assert joined == people_of("bob", gaining=frozenset(("bob",)), beside=beside)
    left = await scopes.of(work("member_removed", employee_id="bob", group_id="team"))
    assert left == people_of("bob", topics=(STATUS,), beside=beside)
    gone = await scopes.of(work("member_removed", employee_id="bob", group_id="none"))
    assert gone == people_of("bob", topics=(STATUS,))


async def test_of_a_department(scopes: Scopes, database: Database) -> None:
    async with database.change("test", now_ms()) as change:
        for one, name in (("d1", "alice"), ("d2", "carol")):
            await departments.add(change, name=one, department_id=one)
            await people.set_department(change, name, one)
    moved = work("employee_department", employee_id="bob", before="d1", after="d2")
    assert (await scopes.of(moved)).beside == {"alice", "carol"}
    left = work("employee_department", employee_id="bob", before="d1", after=None)
    assert (await scopes.of(left)).beside == {"alice"}


async def test_of_a_group_that_is_gone_it_is_who_was_in_it(scopes: Scopes) -> None:
    dismissed = work("group_dismissed", group_id="team", employee_ids=["alice", "bob"])
    assert await scopes.of(dismissed) == people_of("alice", "bob")


async def test_of_an_exception_it_is_who_it_is_on_now(scopes: Scopes, database: Database) -> None:
    async with database.change("test", now_ms()) as change:
        await departments.add(change, name="d1", department_id="d1")
        await people.set_department(change, "carol", "d1")
    expected = {
        ("client", "bob_pc"): Scope(clients=frozenset(("bob_pc",))),
        ("employee", "bob"): people_of("bob"),
        ("group", "team"): people_of("alice", "bob"),
        ("department", "d1"): people_of("carol"),
        ("role", "admin"): people_of("root"),
        ("everyone", ""): Scope(everybody=True),
    }
    for kind in ("rule_added", "rule_removed", "rule_began", "rule_ended"):
        for (subject_kind, subject_id), scope in expected.items():
            found = await scopes.of(work(kind, rule_id=1, subject_kind=subject_kind, subject_id=subject_id))
            assert found == scope, (kind, subject_kind)


async def test_of_client_ids(scopes: Scopes) -> None:
    for kind in ("registration_added", "registration_removed"):
        exact = work(kind, pattern="lobby", kind="exact", employee_id="bob")
        assert await scopes.of(exact) == Scope(clients=frozenset(("lobby",)))
        prefix = work(kind, pattern="gate-", kind="prefix", employee_id="bob")
        assert await scopes.of(prefix) == Scope(prefixes=("gate-",))
    assert await scopes.of(work("client_block", client_id="lobby")) == Scope(clients=frozenset(("lobby",)))


async def test_of_a_policy_it_is_everybody(scopes: Scopes) -> None:
    found = await scopes.of(work("policy_activated", policy_version=1))
    assert (found, found.wide) == (Scope(everybody=True), True)


async def test_work_of_another_version_of_mchat_is_left_to_that(scopes: Scopes) -> None:
    with pytest.raises(UnknownWork, match="'planets_aligned'"):
        await scopes.of(work("planets_aligned"))


async def test_too_many_are_everybody(
    scopes: Scopes, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST", 2)
    await add_group(database, "crowd", "alice", ["bob", "carol", "root"])
    three = ["alice", "bob", "carol"]
    assert (await scopes.of(work("group_dismissed", group_id="g", employee_ids=three))).everybody
    assert (
        await scopes.of(work("rule_added", rule_id=1, subject_kind="group", subject_id="crowd"))
    ).everybody
    left = await scopes.of(work("member_removed", employee_id="bob", group_id="crowd"))
    assert left == people_of("bob", topics=(STATUS,), everybody=True)
    assert not (await scopes.of(work("member_removed", employee_id="bob", group_id="team"))).wide
    # Who joins takes nothing from anybody.
    joined = await scopes.of(work("member_added", employee_id="bob", group_id="crowd"))
    assert joined == people_of("bob", gaining=frozenset(("bob",)))


def test_who_gains_by_one_change_and_loses_by_another_has_lost() -> None:
    bob, carol = frozenset(("bob",)), frozenset(("carol",))
    gained = Scope(people=bob | carol, gaining=bob | carol)
    assert united([gained, Scope(people=bob)]).gaining == carol
    assert united([Scope(people=bob), gained]).gaining == carol
    assert united([gained, gained]).gaining == bob | carol


async def test_rules_speak_of_the_first_people_of_a_place_only(database: Database) -> None:
    """Whoever stands further down is in nobody's rules, so nobody's have to be written anew."""
    await activate_profile(database)
    for name in ("a", "b", "c", "d", "e"):
        await add_person(database, name)
    await add_group(database, "crowd", "a", ["b", "c", "d", "e"])
    scopes = Scopes(database, Memory(database), room=2)
    seen = {
        name: (await scopes.of(work("member_added", employee_id=name, group_id="crowd"))).beside
        for name in ("a", "c", "d")
    }
    assert [sorted(seen[one]) for one in "ac"] == [list("bcde"), list("abde")]
    assert seen["d"] == set()


async def test_an_exception_about_peers_leaves_no_topic_to_find_them_by(
    scopes: Scopes, database: Database
) -> None:
    async with database.change("test", now_ms()) as change:
        await rules.add(
            change,
            subject_kind="employee",
            subject_id="carol",
            effect="allow",
            action="subscribe",
            filter="seen/${peer_id}/#",
            reason="r",
        )
    found = await scopes.of(work("member_removed", employee_id="bob", group_id="team"))
    assert found == people_of("bob", beside=frozenset(("alice",)))
