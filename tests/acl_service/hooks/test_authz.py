"""Who may do what, asked over a real socket."""

import asyncio

import pytest

from acl_service.verdict import INACTIVE, Refusal
from directory import credentials, departments, groups, people, rules
from directory.database import Database
from tests.acl_service.serving import Served, add_group, join, leave, now_ms, serving


async def _until(served: Served, expected: bool, client_id: str, action: str, topic: str) -> None:
    async with asyncio.timeout(2):
        while await served.authz(client_id, action, topic) != expected:
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("action", "topic", "expected"),
    [
        ("subscribe", "mchat/inbox/bob", True),
        ("subscribe", "mchat/inbox/alice", False),
        ("subscribe", "mchat/inbox/+", False),
        ("subscribe", "mchat/group/team", True),
        ("subscribe", "mchat/group/+", False),
        ("subscribe", "mchat/group/other", False),
        ("subscribe", "mchat/msg/resp/bob_pc/+", True),
        ("subscribe", "mchat/msg/resp/bob_phone/+", False),
        ("subscribe", "mchat/msg/resp/bob_pc/#", False),
        ("subscribe", "mchat/status/alice", True),
        ("subscribe", "mchat/status/bob", True),
        ("subscribe", "mchat/status/carol", False),
        ("subscribe", "mchat/status/nobody", False),
        ("subscribe", "mchat/status/+", False),
        ("subscribe", "#", False),
        ("publish", "mchat/msg/req/bob_pc/1", True),
        ("publish", "mchat/msg/req/bob_phone/1", False),
        ("publish", "mchat/inbox/alice", False),
        ("publish", "mchat/group/team", False),
        ("publish", "mchat/msg/read_ack", False),
    ],
)
async def test_the_table_over_http(served: Served, action: str, topic: str, expected: bool) -> None:
    assert await served.authz("bob_pc", action, topic) == expected


async def test_the_sessions_attributes_must_agree_with_the_owner(served: Served) -> None:
    attributes = (await served.authn("bob_pc", "bob", served.tokens["bob"]))["client_attrs"]
    asked = {name: attributes[name] for name in ("employee_id", "grants_version", "credential_id", "zone")}
    assert await served.authz("bob_pc", "subscribe", "mchat/inbox/bob", **asked)
    # Empty attributes are those of a session that never authenticated here: EMQX's first seconds let such in.
    for changed in (
        {"employee_id": "alice"},
        {"employee_id": ""},
        {"credential_id": "cred_of_nobody"},
        {"credential_id": ""},
        {"employee_id": "", "credential_id": "", "grants_version": "", "zone": ""},
    ):
        assert not await served.authz("bob_pc", "subscribe", "mchat/inbox/bob", **{**asked, **changed})


async def test_an_ended_credential_is_denied_in_its_session(served: Served, database: Database) -> None:
    attributes = (await served.authn("bob_pc", "bob", served.tokens["bob"]))["client_attrs"]
    credential_id = attributes["credential_id"]

    async def ask() -> bool:
        return await served.authz("bob_pc", "subscribe", "mchat/inbox/bob", credential_id=credential_id)

    assert await ask()
    async with database.change("test", now_ms()) as change:
        await credentials.revoke(change, credential_id)
    async with asyncio.timeout(2):
        while await ask():
            await asyncio.sleep(0.01)
    assert await served.authz("bob_pc", "subscribe", "mchat/inbox/bob")


async def test_a_member_added_subscribes_at_once_and_a_removed_one_soon_not(
    served: Served, database: Database
) -> None:
    for _ in range(10):
        assert not await served.authz("carol_pc", "subscribe", "mchat/group/team")
        await join(database, "team", "carol")
        assert await served.authz("carol_pc", "subscribe", "mchat/group/team")
        assert await served.authz("alice_pc", "subscribe", "mchat/status/carol")
        await leave(database, "team", "carol")
        await _until(served, False, "carol_pc", "subscribe", "mchat/group/team")
        await _until(served, False, "alice_pc", "subscribe", "mchat/status/carol")
        assert await served.authz("bob_pc", "subscribe", "mchat/group/team")


async def test_a_dismissed_group_and_a_disabled_person_have_nothing_left(
    served: Served, database: Database
) -> None:
    assert await served.authz("bob_pc", "subscribe", "mchat/group/team")
    async with database.change("test", now_ms()) as change:
        await groups.dismiss(change, "team")
    await _until(served, False, "bob_pc", "subscribe", "mchat/group/team")
    assert await served.authz("bob_pc", "subscribe", "mchat/inbox/bob")
    async with database.change("test", now_ms()) as change:
        await people.set_status(change, "bob", "disabled")
    await _until(served, False, "bob_pc", "subscribe", "mchat/inbox/bob")


@pytest.mark.parametrize(
    "subject",
    [("employee", "bob"), ("group", "team"), ("role", "employee"), ("everyone", ""), ("client", "bob_pc")],
)
async def test_an_exception_holds_for_its_subject_from_its_commit_to_its_end(
    served: Served, database: Database, subject: tuple[str, str]
) -> None:
    kind, id_ = subject
    assert not await served.authz("bob_pc", "subscribe", "extra/topic")
    async with database.change("test", now_ms()) as change:
        rule_id = await rules.add(
            change,
            subject_kind=kind,
            subject_id=id_,
            effect="allow",
            action="subscribe",
            filter="extra/+",
            reason="for the test",
        )
    assert await served.authz("bob_pc", "subscribe", "extra/topic")
    assert await served.authz("bob_phone", "subscribe", "extra/topic") == (kind != "client")
    async with database.change("test", now_ms()) as change:
        await rules.add(
            change,
            subject_kind=kind,
            subject_id=id_,
            effect="deny",
            action="subscribe",
            filter="extra/secret",
            reason="a deny wins a tie",
        )
    await _until(served, False, "bob_pc", "subscribe", "extra/secret")
    await _until(served, False, "bob_pc", "subscribe", "extra/+")
    assert await served.authz("bob_pc", "subscribe", "extra/topic")
    async with database.change("test", now_ms()) as change:
        await rules.remove(change, rule_id)
    await _until(served, False, "bob_pc", "subscribe", "extra/topic")


async def test_a_department_is_shared_too(served: Served, database: Database) -> None:
    assert not await served.authz("carol_pc", "subscribe", "mchat/status/alice")
    async with database.change("test", now_ms()) as change:
        await departments.add(change, name="Sales", department_id="sales")
        for name in ("carol", "alice"):
            await people.set_department(change, name, "sales")
    assert await served.authz("carol_pc", "subscribe", "mchat/status/alice")
    async with database.change("test", now_ms()) as change:
        await people.set_department(change, "alice", None)
    await _until(served, False, "carol_pc", "subscribe", "mchat/status/alice")


async def test_in_steady_state_an_allow_reads_nothing_and_a_deny_its_share_of_one_read(
    served: Served,
) -> None:
    await served.authz("bob_pc", "subscribe", "mchat/group/team")
    service = served.service
    rounds, confirmations = service.memory.rounds, service.freshness.confirmations
    for _ in range(50):
        assert await served.authz("bob_pc", "subscribe", "mchat/group/team")
    assert (service.memory.rounds, service.freshness.confirmations) == (rounds, confirmations)
    assert not await served.authz("bob_pc", "publish", "x/1")
    assert service.freshness.confirmations == confirmations + 1
    assert service.memory.rounds == rounds


async def test_denies_that_wait_together_share_one_read(served: Served) -> None:
    service = served.service
    reads = service.feed.reads

    async def deny() -> Refusal:
        return INACTIVE

    verdicts = await asyncio.gather(*(service.freshness.settle(deny) for _ in range(1_000)))
    assert set(verdicts) == {INACTIVE}
    assert 1 <= service.feed.reads - reads <= 5


async def test_names_of_nobody_are_remembered_in_bounded_memory(
    database: Database, company: dict[str, str]
) -> None:
    async with serving(database) as served:
        await served.authz("bob_pc", "subscribe", "mchat/inbox/bob")
        await asyncio.gather(*(served.authz(f"stray{n}", "subscribe", "a") for n in range(100)))
        rounds = served.service.memory.rounds
        await asyncio.gather(*(served.authz(f"stray{n}", "subscribe", "a") for n in range(100)))
        assert served.service.memory.rounds == rounds
        assert served.service.memory.sizes["clients"] == 1
        assert served.service.memory.sizes["unproven_clients"] == 100


async def test_a_person_in_many_groups_is_answered_like_any_other(served: Served, database: Database) -> None:
    async with database.change("test", now_ms()) as change:
        for number in range(500):
            await groups.create(change, name="g", creator="carol", group_id=f"g{number}")
    assert await served.authz("carol_pc", "subscribe", "mchat/group/g499")
    assert not await served.authz("carol_pc", "subscribe", "mchat/group/team")
    await add_group(database, "late", "carol")
    assert await served.authz("carol_pc", "subscribe", "mchat/group/late")


async def test_a_blocked_client_id_may_nothing_in_a_session_without_attributes(
    served: Served, database: Database
) -> None:
    assert await served.authz("bob_pc", "subscribe", "mchat/inbox/bob")
    async with database.change("test", now_ms()) as change:
        change.block("bob_pc", "bob", "bob")
    await _until(served, False, "bob_pc", "subscribe", "mchat/inbox/bob")
    assert await served.authz("bob_phone", "subscribe", "mchat/inbox/bob")


async def test_topics_of_strangers_names_are_not_remembered(served: Served) -> None:
    before = served.service.memory.sizes
    for number in range(20):
        assert not await served.authz("bob_pc", "subscribe", f"mchat/status/{'x' * 1_000}{number}")
    assert served.service.memory.sizes["unknown_people"] == before["unknown_people"]
