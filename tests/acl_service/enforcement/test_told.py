"""Whether a session was told more at its connect than it may do now, and whether it may go on."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from acl_service.enforcement.judgement import KEEP, TOO_WIDE, Judge
from acl_service.enforcement.sessions import Session
from acl_service.enforcement.told import ToldRules
from acl_service.memory import Memory
from acl_service.policy import profiles
from acl_service.policy.connect import UNTOLD, told
from acl_service.principals import Client
from acl_service.verdict import CREDENTIAL_ENDED, FOREIGN_CLIENT, INACTIVE, UNAUTHENTICATED
from directory import people, rules
from directory.database import Database
from emqx.api.subscriptions import Subscription
from tests.acl_service.enforcement.stage import ON_SQLITE
from tests.acl_service.serving import activate_profile, now_ms

pytestmark = ON_SQLITE

INBOX = '  { action = "subscribe", space = "own_inbox", reason = "messages to oneself" },\n'
NARROWER = profiles.read("mchat").replace(INBOX, "")
WIDER = profiles.read("mchat").replace(
    INBOX, INBOX + '  { action = "subscribe", space = "notices", qos = [0], reason = "more" },\n'
)


class Desk:
    """A memory that is made anew for each question, as if it had taken in every change."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def memory(self) -> Memory:
        memory = Memory(self.database)
        memory.apply(0, None)
        return memory

    async def client(self, client_id: str) -> Client:
        return await self.memory().find_client(client_id)

    async def come(self, person: str, **more: Any) -> Session:
        """A session that comes in now."""
        client = await self.client(f"{person}_pc")
        assert client.grants is not None and client.person is not None
        values: dict[str, Any] = {
            "client_id": f"{person}_pc",
            "employee_id": person,
            "role": client.person.role,
            "zone": "default",
            "credential": next(iter(client.person.credentials)),
            "version": 1,
            "told": told(client.grants, "default", now_ms()).mark,
            "mountpoint": "",
            "connected": True,
        }
        return Session(**{**values, **more})

    async def too_wide(self, session: Session) -> bool:
        client = await self.client(session.client_id)
        assert client.grants is not None
        rules_told = ToldRules(self.database, "", None)
        return await rules_told.too_wide(session, client.grants, session.zone, now_ms())

    async def judge(self, session: Session, at: Callable[[], int] = now_ms) -> Any:
        memory = self.memory()
        client = await memory.find_client(session.client_id)
        return await Judge(memory, ToldRules(self.database, "", None), at).weigh(session, client)

    async def uncovered(self, session: Session, *topics: str, qos: int = 1) -> list[str]:
        judge = Judge(self.memory(), ToldRules(self.database, "", None), now_ms)
        found = tuple(Subscription(client_id=session.client_id, topic=one, qos=qos) for one in topics)
        return await judge.uncovered(session, session.client_id, found)


@pytest.fixture
async def desk(database: Database, company: dict[str, str]) -> Desk:
    return Desk(database)


async def test_the_same_rights_are_not_too_wide(desk: Desk) -> None:
    assert not await desk.too_wide(await desk.come("bob"))


async def test_a_wider_policy_is_no_reason_and_a_narrower_one_is(desk: Desk) -> None:
    bob = await desk.come("bob")
    await activate_profile(desk.database, text=WIDER)
    assert not await desk.too_wide(bob)
    await activate_profile(desk.database, text=NARROWER)
    assert await desk.too_wide(bob)
    assert not await desk.too_wide(await desk.come("bob"))
    # Those who come in now are not told less by the next one.
    late = await desk.come("bob")
    await activate_profile(desk.database)
    assert not await desk.too_wide(late)
    assert not await desk.too_wide(bob)


async def test_a_role_counts_by_what_it_was_told(desk: Desk) -> None:
    bob, root = await desk.come("bob"), await desk.come("root")
    async with desk.database.change("test", now_ms()) as change:
        await people.set_role(change, "bob", "admin")
        await people.set_role(change, "root", "employee")
    assert not await desk.too_wide(bob)
    assert await desk.too_wide(root)


@pytest.mark.parametrize(
    ("filter_", "expected"),
    [("mchat/inbox/bob", True), ("mchat/inbox/carol", False), ("elsewhere/#", False), ("mchat/#", True)],
)
async def test_a_deny_counts_if_it_bars_what_was_told(desk: Desk, filter_: str, expected: bool) -> None:
    bob = await desk.come("bob")
    async with desk.database.change("test", now_ms()) as change:
        await rules.add(
            change,
            subject_kind="employee",
            subject_id="bob",
            effect="deny",
            action="subscribe",
            filter=filter_,
            reason="r",
        )
    assert await desk.too_wide(bob) is expected
    assert not await desk.too_wide(await desk.come("bob"))


@pytest.mark.parametrize("mark", [None, "999:abcd", "x:abcd", "", "9" * 30 + ":abcd", ":"])
async def test_a_mark_that_nobody_can_read_is_taken_for_too_much(desk: Desk, mark: str | None) -> None:
    assert await desk.too_wide(replace(await desk.come("bob"), told=mark))


async def test_who_was_told_nothing_was_not_told_too_much(desk: Desk) -> None:
    assert not await desk.too_wide(replace(await desk.come("bob"), told=UNTOLD))


async def test_the_rules_of_a_zone_count_in_that_zone(desk: Desk) -> None:
    zoned = INBOX.replace('space = "own_inbox"', 'space = "own_inbox", zone = "inner"')
    inner = await desk.come("bob", zone="inner")
    default = await desk.come("bob")
    await activate_profile(desk.database, text=profiles.read("mchat").replace(INBOX, zoned))
    assert not await desk.too_wide(inner)
    assert await desk.too_wide(default)


async def test_who_may_go_on_and_why_not(desk: Desk) -> None:
    bob = await desk.come("bob")
    assert await desk.judge(bob) == KEEP
    for changed, refusal in (
        ({"employee_id": None}, UNAUTHENTICATED),
        ({"employee_id": "carol"}, FOREIGN_CLIENT),
        ({"credential": "cred_gone"}, CREDENTIAL_ENDED),
        ({"credential": "jwt:1"}, CREDENTIAL_ENDED),
        ({"told": "999:abcd"}, TOO_WIDE),
    ):
        judged = await desk.judge(replace(bob, **changed))
        assert (judged.outcome, judged.refusal) == ("kick", refusal)
    for fine in ({"credential": f"jwt:{now_ms() // 1000 + 60}"}, {"credential": "cert:"}, {"credential": ""}):
        assert await desk.judge(replace(bob, **fine)) == KEEP  # type: ignore[arg-type]
    gateway = replace(bob, role="service", told="999:abcd")
    assert (await desk.judge(gateway)).outcome == "drain"
    async with desk.database.change("test", now_ms()) as change:
        await people.set_status(change, "bob", "disabled")
    for session in (bob, gateway):
        judged = await desk.judge(session)
        assert (judged.outcome, judged.refusal) == ("kick", INACTIVE)


async def test_what_a_session_may_stay_subscribed_to(desk: Desk) -> None:
    bob = await desk.come("bob")
    fine = ("mchat/group/team", "$share/g/mchat/group/team", "mchat/inbox/bob", "mchat/status/alice")
    ended = ("mchat/group/other", "$share/g/mchat/group/other", "#", "mchat/inbox/+", "mchat/status/carol")
    assert await desk.uncovered(bob, *fine, *ended) == list(ended)
    # Behind a mountpoint that the policy does not state, nothing is his.
    mounted = replace(bob, mountpoint="u/bob/")
    assert await desk.uncovered(mounted, "u/bob/mchat/group/team") == ["mchat/group/team"]
