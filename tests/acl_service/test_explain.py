"""Explanations say what the hooks do, for clients of now and for those that do not exist yet."""

import itertools

import pytest

from acl_service.askers import Asker, Assumption, assume, find_client, find_person
from acl_service.errors import UnknownAsker
from acl_service.explain import explain, rights
from acl_service.memory import Memory
from acl_service.policy.decision import Request
from acl_service.policy.rules import Action
from directory import credentials, departments, people, rules, sessions
from directory.database import Database
from directory.errors import InvalidId
from directory.sessions import SessionRow
from emqx.rules import parse_acl, permits
from tests.acl_service.serving import Served, activate_profile, add_group, add_person, join, now_ms, until

TOPICS = (
    "mchat/inbox/bob",
    "mchat/inbox/alice",
    "mchat/inbox/+",
    "mchat/msg/req/bob_pc/7",
    "mchat/msg/req/alice_pc/7",
    "mchat/msg/resp/bob_pc/+",
    "mchat/msg/resp/bob_pc/7",
    "mchat/msg/resp/bob_pc/#",
    "mchat/group/team",
    "mchat/group/other",
    "mchat/status/bob",
    "mchat/status/alice",
    "mchat/status/carol",
    "mchat/status/nobody",
    "mchat/org/tree",
    "mchat/agent/capability/+",
    "mchat/agent/capability/skill",
    "$share/g/mchat/inbox/bob",
    "$queue/x/mchat/inbox/bob",
    "$delayed/5/mchat/msg/req/bob_pc/7",
    "#",
    "mchat/#",
    "a//b",
    "bad/#/filter",
)
REQUESTS = tuple(
    Request(action, topic, 1, retain, "default")
    for topic, action, retain in itertools.product(TOPICS, (Action.PUBLISH, Action.SUBSCRIBE), (False, True))
    if action is Action.PUBLISH or not retain
)


PREFIXED = {
    ("subscribe", "$share/g/mchat/inbox/bob"): "mchat/inbox/bob",
    ("publish", "$delayed/5/mchat/msg/req/bob_pc/7"): "mchat/msg/req/bob_pc/7",
    ("subscribe", "$queue/x/mchat/inbox/bob"): None,
}


async def allowed(memory: Memory, asker: Asker) -> list[bool]:
    return [(await explain(memory, asker, request, now_ms())).allowed for request in REQUESTS]


async def test_an_account_says_what_the_hook_answers_and_who_decides(
    served: Served, database: Database
) -> None:
    memory = served.service.memory
    answer = await served.authn("bob_pc", "bob", served.tokens["bob"])
    given_rules = parse_acl(answer["acl"], {})
    await until(lambda: served.service.sessions.waiting == 0)
    asker = await find_client(database, memory, "bob_pc")
    decided = set()
    for request in REQUESTS:
        account = await explain(memory, asker, request, now_ms())
        action = request.action.value
        asked = await served.authz(
            "bob_pc", action, request.topic, retain=str(request.retain).lower(), zone="default"
        )
        assert account.allowed == asked, request
        # The prefixes that EMQX takes off (contract 2.4); of a queue by name it depends on the version.
        looked_at = PREFIXED.get((action, request.topic), request.topic)
        if looked_at is None:
            assert account.broker.by is None
        else:
            by = permits(given_rules, action, looked_at, 1, bool(request.retain))  # type: ignore[arg-type]
            assert (account.broker.by is not None) == (by is not None), request
        decided.add((account.allowed, account.broker.by is not None))
        assert account.reason
    assert decided == {(True, True), (True, False), (False, False)}


async def test_a_live_client_is_known_by_its_session(served: Served, database: Database) -> None:
    memory = served.service.memory
    unseen = await find_client(database, memory, "bob_pc")
    assert unseen.session is None
    assert await served.authn("bob_pc", "bob", served.tokens["bob"], zone="lobby")
    await until(lambda: served.service.sessions.waiting == 0)
    asker = await find_client(database, memory, "bob_pc")
    assert asker.session is not None
    account = await explain(memory, asker, Request(Action.SUBSCRIBE, "mchat/inbox/bob", 1), now_ms())
    assert account.request.zone == "lobby"
    assert account.broker.told_at == asker.session.grants_version
    assert not account.broker.outdated
    # Something about somebody else changes nothing; something about bob does.
    await add_person(database, "dora")
    await served.service.feed.catch_up()
    assert not (await find_client(database, memory, "bob_pc")).outdated
    await add_group(database, "other", "alice", ["bob"])
    await served.service.feed.catch_up()
    assert (await find_client(database, memory, "bob_pc")).outdated


async def test_a_session_is_judged_by_the_credential_that_opened_it(
    served: Served, database: Database
) -> None:
    memory = served.service.memory
    await served.authn("bob_pc", "bob", served.tokens["bob"])
    await until(lambda: served.service.sessions.waiting == 0)
    request = Request(Action.SUBSCRIBE, "mchat/inbox/bob", 1)
    asker = await find_client(database, memory, "bob_pc")
    assert (await explain(memory, asker, request, now_ms())).allowed
    assert asker.session is not None
    assert asker.session.credential_id is not None
    async with database.change("test", now_ms()) as change:
        await credentials.revoke(change, asker.session.credential_id)
    await served.service.feed.catch_up()
    account = await explain(memory, await find_client(database, memory, "bob_pc"), request, now_ms())
    assert not account.allowed
    assert "revoked" in account.reason
    assert account.broker.told == ()
    # Another session of bob, by another credential, would be fine.
    assert (
        await explain(memory, await find_client(database, memory, "bob_phone"), request, now_ms())
    ).allowed


async def test_nobody_is_told_who_would_do(served: Served, database: Database) -> None:
    memory = served.service.memory
    with pytest.raises(UnknownAsker, match="'zoe' does not exist"):
        await find_person(database, memory, "zoe")
    with pytest.raises(UnknownAsker, match=r"'a/b'.*never connect"):
        await find_client(database, memory, "a/b")
    with pytest.raises(UnknownAsker, match="which role to assume"):
        await assume(database, memory, "zoe", Assumption(groups=frozenset({"team"})))
    with pytest.raises(UnknownAsker, match=r"would belong to bob.*begins with 'zoe_'"):
        await assume(database, memory, "zoe", Assumption("employee"), "bob_pc")
    with pytest.raises(UnknownAsker, match="would belong to nobody"):
        await assume(database, memory, "zoe", Assumption("employee"), "zoepc")
    with pytest.raises(InvalidId, match="is not allowed"):
        await assume(database, memory, "z/e", Assumption("employee"))
    for impossible in (
        Assumption("employee", frozenset({"team", "x/y"})),
        Assumption("employee", department_id=""),
    ):
        with pytest.raises(InvalidId, match="is not allowed"):
            await assume(database, memory, "zoe", impossible)
    # A role of the policy's that is only there to be extended is nobody's, in the directory.
    with pytest.raises(UnknownAsker, match=r"'person'.*employee, agent"):
        await assume(database, memory, "zoe", Assumption("person"))
    stray = await find_client(database, memory, "stray")
    account = await explain(memory, stray, REQUESTS[0], now_ms())
    assert account.explanation is None
    assert "belongs to nobody" in account.reason
    assert rights(stray, "default", now_ms()).rights == ()


async def test_an_owner_that_would_come_takes_client_ids_over(served: Served, database: Database) -> None:
    memory = served.service.memory
    # bob_pc is bob's; a person of that id would take it over (decision 9), and no shorter one would.
    taken = await assume(database, memory, "bob_pc", Assumption("employee"))
    assert (await explain(memory, taken, REQUESTS[0], now_ms())).asker.client.owner is not None
    await add_person(database, "bob_pc")
    await served.service.feed.catch_up()
    with pytest.raises(UnknownAsker, match="would belong to bob_pc"):
        await assume(database, memory, "bob", Assumption(groups=frozenset({"x"})), "bob_pc_2")


ASSUMED = (
    Assumption("employee"),
    Assumption("employee", frozenset({"team"}), "sales"),
    Assumption("agent", frozenset({"other"})),
    Assumption("admin", frozenset({"team", "other"})),
    Assumption("service", frozenset(), "sales"),
)


async def test_what_was_assumed_comes_true(served: Served, database: Database) -> None:
    memory = served.service.memory
    await add_group(database, "other", "carol")
    exceptions = {
        ("group", "other"): "a//b",
        ("department", "sales"): "mchat/inbox/alice",
        ("role", "agent"): "mchat/inbox/bob",
    }
    async with database.change("test", now_ms()) as change:
        await departments.add(change, name="Sales", department_id="sales")
        await people.set_department(change, "carol", "sales")
        for (kind, id_), topic in exceptions.items():
            await rules.add(
                change,
                subject_kind=kind,
                subject_id=id_,
                effect="allow",
                action="publish",
                filter=topic,
                reason="for the test",
            )
    await served.service.feed.catch_up()
    found = set()
    for number, assumption in enumerate(ASSUMED):
        newcomer = f"new{number}"
        asker = await assume(database, memory, newcomer, assumption, f"{newcomer}_pc")
        before = await allowed(memory, asker)
        assert asker.assumed
        async with database.read() as connection:
            assert newcomer not in {one.employee_id for one in await people.list_(connection)}
        async with database.change("test", now_ms()) as change:
            await people.add(
                change,
                name="New",
                employee_id=newcomer,
                role=assumption.role or "",
                department_id=assumption.department_id,
            )
        for group_id in assumption.groups:
            await join(database, group_id, newcomer)
        await served.service.feed.catch_up()
        after = await allowed(memory, await find_client(database, memory, f"{newcomer}_pc"))
        assert [(r, b, a) for r, b, a in zip(REQUESTS, before, after, strict=True) if b != a] == []
        found.add(tuple(before))
    assert len(found) == len(ASSUMED)


async def test_assuming_changes_only_what_is_assumed(served: Served, database: Database) -> None:
    memory = served.service.memory
    await add_group(database, "other", "alice")
    await served.service.feed.catch_up()
    request = Request(Action.SUBSCRIBE, "mchat/group/other", 1, None, "default")
    still = Request(Action.SUBSCRIBE, "mchat/group/team", 1, None, "default")
    bob = await find_person(database, memory, "bob")
    perhaps = await assume(database, memory, "bob", Assumption(groups=frozenset({"other"})))
    assert not (await explain(memory, bob, request, now_ms())).allowed
    assert (await explain(memory, perhaps, request, now_ms())).allowed
    assert (await explain(memory, perhaps, still, now_ms())).allowed
    assert not (await explain(memory, bob, request, now_ms())).allowed


async def test_rights_list_every_rule_once_and_who_decides(served: Served, database: Database) -> None:
    memory = served.service.memory
    asker = await find_person(database, memory, "bob")
    every = rights(asker, "default", now_ms())
    topics = {(right.action, right.topic): right for right in every.rights}
    assert topics[Action.SUBSCRIBE, "mchat/inbox/bob"].told is not None
    assert topics[Action.PUBLISH, "mchat/msg/req/bob/+"].told is not None
    assert topics[Action.SUBSCRIBE, "mchat/group/${group_id}"].told is None
    assert topics[Action.SUBSCRIBE, "mchat/status/${peer_id}"].told is None
    assert {right.told for right in every.rights if right.told is not None} == set(every.broker.told)
    asked = rights(asker, "default", now_ms(), tells=False)
    assert [right.rule for right in asked.rights] == [right.rule for right in every.rights]
    assert not any(right.told for right in asked.rights)
    async with database.change("test", now_ms()) as change:
        await people.set_status(change, "bob", "disabled")
    await served.service.feed.catch_up()
    disabled = rights(await find_person(database, memory, "bob"), "default", now_ms())
    assert disabled.refusal is not None
    assert disabled.broker.told == ()


async def test_a_zone_with_a_mountpoint_is_said_and_asked(served: Served, database: Database) -> None:
    await activate_profile(database, "chat")
    await served.service.feed.catch_up()
    memory = served.service.memory
    bob = await find_person(database, memory, "bob")
    mounted = await explain(
        memory, bob, Request(Action.SUBSCRIBE, "chat/receive", 1, None, "mchat_chat"), now_ms()
    )
    assert (mounted.allowed, mounted.mountpoint, mounted.broker.by) == (True, "u/bob/", None)
    plain = await explain(
        memory, bob, Request(Action.SUBSCRIBE, "chat/receive", 1, None, "default"), now_ms()
    )
    assert (plain.allowed, plain.mountpoint) == (False, None)


async def test_a_session_by_jwt_is_over_at_its_end(served: Served, database: Database) -> None:
    row = SessionRow(
        client_id="bob_pc", employee_id="bob", grants_version=1, updated_at=1, expires_at=now_ms() + 60_000
    )
    async with database.write() as connection:
        await sessions.store(connection, [row])
    memory = served.service.memory
    asker = await find_client(database, memory, "bob_pc")
    request = Request(Action.SUBSCRIBE, "mchat/inbox/bob", 1)
    assert (await explain(memory, asker, request, now_ms())).allowed
    assert not (await explain(memory, asker, request, now_ms() + 60_001)).allowed
