"""Members come and go: what their live sessions may do follows, and nobody else's is touched."""

import asyncio

import pytest

from directory import departments, groups, people
from emqx.api.publishing import Message
from tests.acl_service.enforcement.stage import ON_SQLITE, Stage, until
from tests.acl_service.serving import add_group

TEAM = "mchat/group/team"
REFUSED = [128]


async def test_a_member_that_is_removed_loses_the_group_and_nothing_else(live: Stage) -> None:
    alice = await live.come("alice", None, TEAM, "mchat/inbox/alice")
    bob = await live.come("bob", None, TEAM, "mchat/inbox/bob")
    carol = await live.come("carol", None, "mchat/inbox/carol")
    await live.pushed("alice_pc", "bob_pc", "carol_pc")
    live.wire.requests.clear()
    await live.leave("team", "bob")
    await until(lambda: TEAM not in live.topics("bob_pc"))
    await until(lambda: TEAM not in live.rules("bob_pc"))
    assert live.topics("bob_pc") == {"mchat/inbox/bob"}
    assert await bob.subscribe(TEAM) == REFUSED
    await live.settled()
    # The innocent: who stays in the group hears on, who was never in it is not even looked at.
    assert live.topics("alice_pc") == {TEAM, "mchat/inbox/alice"}
    assert TEAM in live.rules("alice_pc")
    assert [one.closed for one in (alice, bob, carol)] == [0, 0, 0]
    assert live.wire.about("carol_pc") == []
    assert not any("unsubscribe" in one for one in live.wire.about("alice_pc"))


async def test_a_member_that_is_added_may_subscribe_although_refused_a_moment_before(
    remembering: Stage,
) -> None:
    live = remembering
    alice = await live.come("alice", None, TEAM)
    carol = await live.come("carol")
    await live.pushed("alice_pc", "carol_pc")
    assert await carol.subscribe(TEAM) == REFUSED
    assert TEAM in live.cached("carol_pc")
    before = len(live.wire.about("carol_pc"))
    await live.join("team", "carol")
    await live.enforced()
    # Who gains cannot hold what is not to be held.
    assert not any("subscriptions" in one for one in live.wire.about("carol_pc")[before:])
    assert TEAM in live.rules("carol_pc")
    assert await carol.subscribe(TEAM) == [1]
    await live.settled()
    # Those who were in the group see the new one's status, too, and hear on.
    await until(lambda: "mchat/status/carol" in live.rules("alice_pc"))
    assert (live.topics("alice_pc"), alice.closed) == ({TEAM}, 0)


async def test_peers_lose_the_status_of_who_leaves_unless_they_share_another_group(live: Stage) -> None:
    await add_group(live.database, "other", "alice", ["bob"])
    await add_group(live.database, "third", "carol", ["bob"])
    await live.settled()
    status = "mchat/status/bob"
    await live.come("alice", None, status)
    await live.come("carol", None, status)
    await live.come("root", None, "mchat/status/+")
    await live.pushed("alice_pc", "carol_pc", "root_pc")
    await live.leave("third", "bob")
    await live.leave("team", "bob")
    await live.settled()
    assert live.topics("carol_pc") == set()
    assert status not in live.rules("carol_pc")
    # alice shares another group with him, root sees everybody.
    assert live.topics("alice_pc") == {status}
    assert status in live.rules("alice_pc")
    assert live.topics("root_pc") == {"mchat/status/+"}
    assert live.metric("mchat_sessions_kicked_total") == 0


@ON_SQLITE
async def test_a_change_is_in_force_when_nobody_hears_who_left_and_done_when_no_rule_speaks_of_him(
    live: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those beside a change have their turn later: their subscriptions to him do not wait for it."""
    await add_group(live.database, "third", "carol", ["bob"])
    await live.settled()
    await live.come("carol", None, "mchat/status/bob", "mchat/group/third")
    await live.pushed("carol_pc")
    turn, settle = asyncio.Event(), live.enforcement._spread._settle

    async def later(people: list[str]) -> None:
        await turn.wait()
        await settle(people)

    monkeypatch.setattr(live.enforcement._spread, "_settle", later)
    await live.leave("third", "bob")
    await live.enforced()
    assert live.topics("carol_pc") == {"mchat/group/third"}
    turn.set()
    await live.settled()
    assert live.rules("carol_pc") == {"mchat/group/third", "mchat/status/carol"}


@ON_SQLITE
async def test_a_group_that_is_dismissed_is_over_for_all_who_were_in_it(live: Stage) -> None:
    await add_group(live.database, "other", "alice", ["carol"])
    alice = await live.come("alice", None, TEAM, "mchat/group/other", "mchat/status/bob")
    bob = await live.come("bob", None, TEAM, "mchat/status/bob")
    await live.come("carol", None, "mchat/group/other")
    await live.pushed("alice_pc", "bob_pc", "carol_pc")
    await live.settled()
    live.wire.requests.clear()
    await live.change(lambda change: groups.dismiss(change, "team"))
    await live.settled()
    assert live.topics("alice_pc") == {"mchat/group/other"}
    assert live.topics("bob_pc") == {"mchat/status/bob"}
    assert TEAM not in live.rules("alice_pc") | live.rules("bob_pc")
    assert live.topics("carol_pc") == {"mchat/group/other"}
    assert live.wire.about("carol_pc") == []
    assert (alice.closed, bob.closed) == (0, 0)


@ON_SQLITE
async def test_a_department_that_is_left_ends_what_was_seen_of_it_both_ways(live: Stage) -> None:
    await live.change(lambda change: departments.add(change, name="d", department_id="d1"))
    for name in ("bob", "carol", "root"):
        await live.change(lambda change, name=name: people.set_department(change, name, "d1"))  # type: ignore[misc]
    await live.settled()
    await live.come("bob", None, "mchat/status/carol", "mchat/status/alice")
    await live.come("carol", None, "mchat/status/bob", "mchat/status/root")
    await live.pushed("bob_pc", "carol_pc")
    await live.change(lambda change: people.set_department(change, "bob", None))
    await live.settled()
    # He is in the team with alice still.
    assert live.topics("bob_pc") == {"mchat/status/alice"}
    assert "mchat/status/carol" not in live.rules("bob_pc")
    assert live.topics("carol_pc") == {"mchat/status/root"}
    assert live.rules("carol_pc") == {"mchat/status/carol", "mchat/status/root"}
    assert live.metric("mchat_sessions_kicked_total") == 0


@ON_SQLITE
async def test_a_shared_subscription_ends_by_its_filter(live: Stage) -> None:
    shared = f"$share/g/{TEAM}"
    for name in ("alice", "bob"):
        await live.come(name, None, shared)
    await live.leave("team", "bob")
    await live.settled()
    assert live.topics("bob_pc") == set()
    assert live.topics("alice_pc") == {shared}


@ON_SQLITE
async def test_a_session_whose_client_is_away_hears_nothing_of_the_group_when_it_comes_back(
    live: Stage,
) -> None:
    kept = ("mchat/inbox/bob", TEAM)
    away = await live.come("bob", "bob_phone", *kept, clean_session=False)
    mate = await live.come("alice", "alice_phone", TEAM, clean_session=False)
    for client in (away, mate):
        await client.disconnect()
    await live.leave("team", "bob")
    await live.settled()
    assert live.topics("bob_phone") == {"mchat/inbox/bob"}
    assert live.topics("alice_phone") == {TEAM}
    await live.api.publishing.publish(Message(TEAM, b"for members", 1))
    await live.api.publishing.publish(Message("mchat/inbox/bob", b"for bob", 1))
    back = await live.come("bob", "bob_phone", clean_session=False)
    mate = await live.come("alice", "alice_phone", clean_session=False)
    assert (back.session_present, mate.session_present) == ([True], [True])
    assert [one.payload for one in await back.gets(1)] == [b"for bob"]
    assert [one.payload for one in await mate.gets(1)] == [b"for members"]
