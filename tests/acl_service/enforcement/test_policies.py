"""A policy is activated: whoever was told more than it allows comes in anew, and nobody else notices."""

from acl_service.policy import profiles
from tests.acl_service.enforcement.stage import ON_SQLITE, Stage, until
from tests.acl_service.serving import activate_profile

pytestmark = ON_SQLITE

TEAM = "mchat/group/team"
FOLLOW = '  { action = "subscribe", space = "status", reason = "staff may see everybody\'s presence" },\n'
GROUPS = (
    '  { action = "subscribe", space = "own_groups", reason = "messages of a group are for its members" },\n'
)
MCHAT = profiles.read("mchat")
assert FOLLOW in MCHAT and GROUPS in MCHAT


async def test_a_narrower_policy_ends_sessions_that_were_told_more_and_no_others(live: Stage) -> None:
    root = await live.come("root", None, "mchat/status/+")
    alice = await live.come("alice", None, TEAM)
    bob = await live.come("bob", None, TEAM)
    away = await live.come("root", "root_phone", "mchat/status/+", clean_session=False)
    await away.disconnect()
    await live.pushed("root_pc", "root_phone", "alice_pc", "bob_pc")
    live.wire.requests.clear()
    await activate_profile(live.database, text=MCHAT.replace(FOLLOW, ""))
    await root.was_closed()
    await live.settled()
    assert live.laptop.broker.session("root_phone") is None
    assert (alice.closed, bob.closed, live.topics("alice_pc"), live.topics("bob_pc")) == (
        0,
        0,
        {TEAM},
        {TEAM},
    )
    assert live.metric("mchat_sessions_kicked_total") == 2
    # Their rules are what they were, so none is written, and nothing is taken.
    touched = [call for call in live.wire.writes() if "alice_pc" in call or "bob_pc" in call]
    assert all(call.endswith("/authorization/cache") for call in touched)
    back = await live.come("root")
    assert await back.subscribe("mchat/status/+") == [128]


async def test_a_wider_policy_ends_nobodys_session(live: Stage) -> None:
    await activate_profile(live.database, text=MCHAT.replace(FOLLOW, ""))
    await live.settled()
    root = await live.come("root")
    alice = await live.come("alice", None, TEAM)
    await live.pushed("root_pc", "alice_pc")
    await activate_profile(live.database)
    await live.settled()
    assert await root.subscribe("mchat/status/+") == [1]
    assert (root.closed, alice.closed, live.topics("alice_pc")) == (0, 0, {TEAM})
    assert live.metric("mchat_sessions_kicked_total") == 0


async def test_a_policy_without_a_changing_right_takes_it_out_of_the_broker(live: Stage) -> None:
    alice = await live.come("alice", None, TEAM, "mchat/inbox/alice")
    await live.pushed("alice_pc")
    await activate_profile(live.database, text=MCHAT.replace(GROUPS, ""))
    await until(lambda: live.topics("alice_pc") == {"mchat/inbox/alice"})
    await live.settled()
    assert TEAM not in live.rules("alice_pc")
    assert alice.closed == 0
    done = next(row for row in await live.done() if row.kind == "policy_activated")
    assert done.progress == "1 sessions confirmed"
