"""A person is disabled, gets another role, or a credential of theirs ends: whose session goes, and whose does not."""

from directory import credentials, people
from directory.changes import Change
from directory.secret import new_token, token_digest
from tests.acl_service.enforcement.stage import ON_SQLITE, Stage, until

pytestmark = ON_SQLITE

TEAM = "mchat/group/team"


async def test_a_disabled_person_is_out_and_stays_out(live: Stage) -> None:
    bob = await live.come("bob", None, TEAM)
    phone = await live.come("bob", "bob_phone", TEAM, clean_session=False)
    await phone.disconnect()
    alice = await live.come("alice", None, TEAM)
    await live.pushed("bob_pc", "bob_phone", "alice_pc")
    await live.change(lambda change: people.set_status(change, "bob", "disabled"))
    await bob.was_closed()
    await until(lambda: live.laptop.broker.session("bob_phone") is None)
    await live.settled()
    assert live.rules("bob_pc") == live.rules("bob_phone") == set()
    assert (await live.row("bob_pc"), await live.row("bob_phone")) == (None, None)
    again = live.clients.make("bob_pc", username="bob", password=live.tokens["bob"])
    assert await again.connect() == 5
    assert (alice.closed, live.topics("alice_pc")) == (0, {TEAM})
    assert live.metric("mchat_sessions_kicked_total") == 2
    # Enabled again, he comes in.
    await live.change(lambda change: people.set_status(change, "bob", "active"))
    await live.come("bob", None, TEAM)


async def test_a_narrower_role_ends_sessions_that_were_told_more(live: Stage) -> None:
    root = await live.come("root", None, "mchat/status/+")
    await live.pushed("root_pc")
    # Somebody else stays an admin, or the last one could not be demoted.
    await live.change(lambda change: people.set_role(change, "alice", "admin"))
    await live.settled()
    alice = await live.come("alice", None, "mchat/status/+")
    assert root.closed == 0
    await live.change(lambda change: people.set_role(change, "root", "employee"))
    await root.was_closed()
    await live.settled()
    back = await live.come("root")
    assert await back.subscribe("mchat/status/+") == [128]
    assert (alice.closed, live.topics("alice_pc")) == (0, {"mchat/status/+"})
    assert live.metric("mchat_sessions_kicked_total") == 1


async def test_a_role_that_was_told_no_less_ends_nobodys_session(live: Stage) -> None:
    bob = await live.come("bob", None, TEAM)
    await live.pushed("bob_pc")
    # The same rights as an agent; more as an admin; and as an agent again those of the connect still.
    for role in ("agent", "admin", "agent", "employee"):
        await live.change(lambda change, role=role: people.set_role(change, "bob", role))  # type: ignore[misc]
        await live.settled()
    assert (bob.closed, live.topics("bob_pc")) == (0, {TEAM})
    assert live.metric("mchat_sessions_kicked_total") == 0


async def test_a_revoked_credential_ends_the_sessions_that_came_in_by_it(live: Stage) -> None:
    other = new_token()
    found: list[str] = []

    async def give(change: Change) -> None:
        found.append(await credentials.add_token(change, "bob", token_digest(other)))

    await live.change(give)
    by_first = await live.come("bob", "bob_pc", TEAM)
    live.tokens["bob"], first = other, live.tokens["bob"]
    by_second = await live.come("bob", "bob_phone", TEAM)
    await live.pushed("bob_pc", "bob_phone")
    await live.change(lambda change: credentials.revoke(change, found[0]))
    await by_second.was_closed()
    await live.settled()
    assert (by_first.closed, live.topics("bob_pc")) == (0, {TEAM})
    assert live.rules("bob_phone") == set()
    again = live.clients.make("bob_phone", username="bob", password=other)
    assert await again.connect() == 5
    live.tokens["bob"] = first
    await live.come("bob", "bob_phone", TEAM)
    await live.pushed("bob_phone")


async def test_a_credential_that_expires_ends_the_session_even_if_the_broker_would_not(
    stood: Stage,
) -> None:
    other = new_token()
    ends = stood.clock() + 60_000
    await stood.change(
        lambda change: credentials.add_token(change, "bob", token_digest(other), expires_at=ends)
    )
    async with stood.working():
        await stood.settled()
        by_first = await stood.come("bob", "bob_pc", TEAM)
        stood.tokens["bob"] = other
        by_second = await stood.come("bob", "bob_phone", TEAM)
        await stood.pushed("bob_pc", "bob_phone")
        stood.clock.ahead_ms = 60_001
        await by_second.was_closed()
        await stood.settled()
    assert (by_first.closed, live_kicks(stood)) == (0, 1)


def live_kicks(stage: Stage) -> float:
    return stage.metric("mchat_sessions_kicked_total")


async def test_a_session_that_nobody_let_in_is_ended_when_a_change_is_about_it(live: Stage) -> None:
    """While no authenticator stood, somebody came in under bob's id; bob's rules are never under it meanwhile."""
    entry = await live.api.authentication.get("password_based:http")
    await live.api.authentication.put("password_based:http", entry.writable(enable=False))
    intruder = await live.clients.connected("bob_pc", username="bob", password="no token")
    stranger = await live.clients.connected("stranger", username="bob", password="no token")
    await live.api.authentication.put("password_based:http", entry.writable(enable=True))
    given: list[str] = []

    async def watch(request: object) -> None:
        if live.rules("bob_pc"):
            given.append(str(request))

    live.wire.fault = watch
    await live.leave("team", "bob")
    await intruder.was_closed()
    await live.settled()
    assert given == []
    assert live.rules("bob_pc") == set()
    # By the user name that he claimed.
    assert stranger.closed == 1
