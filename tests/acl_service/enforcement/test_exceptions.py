"""Exceptions come, change and end: what was told, pushed or subscribed by the rights of before goes with them."""

from typing import Any

from directory import rules
from directory.changes import Change
from tests.acl_service.enforcement.stage import ON_SQLITE, Stage, until

pytestmark = ON_SQLITE

TEAM = "mchat/group/team"
INBOX = "mchat/inbox/bob"
NEWS = "news/today"


async def rule(
    stage: Stage, effect: str, filter_: str, *, who: str = "bob", kind: str = "employee", **more: Any
) -> int:
    found: list[int] = []

    async def add(change: Change) -> None:
        found.append(
            await rules.add(
                change,
                subject_kind=kind,
                subject_id=who,
                effect=effect,
                action="subscribe",
                filter=filter_,
                reason="of the test",
                **more,
            )
        )

    await stage.change(add)
    return found[0]


async def test_a_deny_on_a_right_that_was_told_ends_the_session(live: Stage) -> None:
    bob = await live.come("bob", None, INBOX)
    alice = await live.come("alice", None, "mchat/inbox/alice")
    await live.pushed("bob_pc", "alice_pc")
    await rule(live, "deny", INBOX)
    await bob.was_closed()
    await live.settled()
    back = await live.come("bob", None, TEAM)
    assert await back.subscribe(INBOX) == [128]
    assert alice.closed == 0
    assert live.metric("mchat_sessions_kicked_total") == 1


async def test_a_deny_on_a_group_ends_the_subscription_and_the_pushed_right(live: Stage) -> None:
    bob = await live.come("bob", None, TEAM, INBOX)
    await live.come("alice", None, TEAM)
    await live.pushed("bob_pc", "alice_pc")
    number = await rule(live, "deny", TEAM)
    await until(lambda: live.topics("bob_pc") == {INBOX})
    await live.settled()
    assert TEAM not in live.rules("bob_pc")
    assert live.topics("alice_pc") == {TEAM}
    assert bob.closed == 0
    # Taken away again, the right is back, and pushed.
    await live.change(lambda change: rules.remove(change, number))
    await until(lambda: TEAM in live.rules("bob_pc"))
    assert await bob.subscribe(TEAM) == [1]
    await live.settled()
    assert (bob.closed, live.metric("mchat_sessions_kicked_total")) == (0, 0)


async def test_an_exception_that_bars_nothing_ends_nobodys_session(live: Stage) -> None:
    bob = await live.come("bob", None, TEAM, INBOX)
    await live.pushed("bob_pc")
    await rule(live, "deny", "elsewhere/bob")
    await rule(live, "allow", NEWS)
    await live.settled()
    assert (bob.closed, live.topics("bob_pc")) == (0, {TEAM, INBOX})
    assert NEWS in live.rules("bob_pc")
    assert live.metric("mchat_sessions_kicked_total") == 0


async def test_an_allow_that_is_taken_away_ends_its_subscription(remembering: Stage) -> None:
    live = remembering
    bob = await live.come("bob")
    await live.pushed("bob_pc")
    assert await bob.subscribe(NEWS) == [128]
    number = await rule(live, "allow", NEWS)
    await live.enforced()
    assert await bob.subscribe(NEWS) == [1]
    await live.change(lambda change: rules.remove(change, number))
    await live.settled()
    assert live.topics("bob_pc") == set()
    assert NEWS not in live.rules("bob_pc")
    assert await bob.subscribe(NEWS) == [128]
    assert bob.closed == 0


async def test_an_exception_of_a_group_and_of_a_client_id_reaches_those_it_is_on(live: Stage) -> None:
    for name in ("alice", "bob", "carol"):
        await live.come(name)
    await live.come("bob", "bob_phone")
    await live.pushed("alice_pc", "bob_pc", "bob_phone", "carol_pc")
    await rule(live, "allow", NEWS, kind="group", who="team")
    await rule(live, "allow", "only/phone", kind="client", who="bob_phone")
    await live.settled()
    assert [NEWS in live.rules(f"{name}_pc") for name in ("alice", "bob", "carol")] == [True, True, False]
    assert "only/phone" in live.rules("bob_phone")
    assert "only/phone" not in live.rules("bob_pc")
    await rule(live, "deny", NEWS, kind="everyone", who="", priority=1)
    await live.settled()
    assert NEWS not in live.rules("alice_pc") | live.rules("bob_pc")


async def test_a_deny_that_ends_gives_the_right_back_and_pushes_it(live: Stage) -> None:
    await rule(live, "deny", TEAM, valid_until_at=live.clock() + 60_000)
    bob = await live.come("bob", None, INBOX)
    await live.pushed("bob_pc")
    assert await bob.subscribe(TEAM) == [128]
    assert TEAM not in live.rules("bob_pc")
    live.clock.ahead_ms = 60_001
    await until(lambda: TEAM in live.rules("bob_pc"))
    assert await bob.subscribe(TEAM) == [1]
    await live.settled()
    assert (bob.closed, live.topics("bob_pc")) == (0, {INBOX, TEAM})


async def test_an_allow_that_ends_takes_its_subscription_with_it(live: Stage) -> None:
    await rule(live, "allow", NEWS, valid_until_at=live.clock() + 60_000)
    await rule(live, "allow", NEWS, who="carol")
    bob = await live.come("bob", None, NEWS, INBOX)
    carol = await live.come("carol", None, NEWS)
    await live.pushed("bob_pc", "carol_pc")
    # It ends by itself, and nobody might be there to take it out of the broker: it is asked.
    assert NEWS not in live.rules("bob_pc")
    live.clock.ahead_ms = 60_001
    await until(lambda: live.topics("bob_pc") == {INBOX})
    await live.settled()
    assert live.topics("carol_pc") == {NEWS}
    assert (bob.closed, carol.closed) == (0, 0)
