"""What somebody with rights does to keep them, or to make the rights of others late; each with who did nothing."""

import pytest

from acl_service.enforcement import revocation, scope
from acl_service.enforcement.roster import NAMED
from directory import groups
from directory.changes import Change
from emqx.api.wire import JSON, Answer, Request
from tests.acl_service.enforcement.stage import BROKEN, Stage, until
from tests.acl_service.serving import add_group, add_person

TEAM = "mchat/group/team"


async def test_long_client_ids_do_not_keep_their_owner_in(live: Stage) -> None:
    """Twelve of them are longer than the line of any request that the broker takes (emqx-measured, "Odd ids")."""
    ids = [f"bob_{number:02}" + "é" * 125 for number in range(12)]
    for one in ids:
        await live.come("bob", one, TEAM)
    alice = await live.come("alice", None, TEAM)
    # Nor do they hold up the rules of who comes after them.
    await live.pushed("alice_pc", *ids)
    await live.leave("team", "bob")
    await until(lambda: not any(TEAM in live.topics(one) for one in ids))
    await live.settled()
    assert not any(TEAM in live.rules(one) for one in ids)
    assert (live.topics("alice_pc"), alice.closed) == ({TEAM}, 0)


async def test_a_change_of_many_does_not_make_a_later_one_wait(live: Stage) -> None:
    """Who owns a group fills it in one call: a piece of work each, before that of somebody else."""
    bob, alice = await live.come("bob", None, TEAM), await live.come("alice", None, TEAM)
    await live.pushed("alice_pc", "bob_pc")
    many = [f"p{number:03}" for number in range(120)]
    for one in many:
        await add_person(live.database, one)
    await add_group(live.database, "own", "carol", many)
    await live.leave("team", "bob")
    await until(lambda: TEAM not in live.topics("bob_pc"))
    # More than are worked on each by itself.
    assert sum(one.enforced_at is None for one in await live.work()) > 20
    # Nor do those of the large one wait for ever.
    await live.enforced()
    assert (live.topics("alice_pc"), alice.closed, bob.closed) == ({TEAM}, 0, 0)


async def test_who_is_removed_from_a_huge_group_does_not_wait_for_the_turn_of_everybody(
    live: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too many may have seen him for a list of them, while everybody has a turn for some other change."""
    bob, alice = await live.come("bob", None, TEAM), await live.come("alice", None, TEAM)
    await live.pushed("alice_pc", "bob_pc")
    monkeypatch.setattr(scope, "MOST", 0)
    async with live.enforcement.enforcer._everybody:
        await live.leave("team", "bob")
        await until(lambda: not live.topics("bob_pc") and TEAM not in live.rules("bob_pc"))
        assert await bob.subscribe(TEAM) == [128]
        # It is not called done before all were looked at.
        assert [one.enforced_at for one in await live.work()] == [None]
    await live.settled()
    assert (live.topics("alice_pc"), alice.closed, bob.closed) == ({TEAM}, 0, 0)


NOTHING_DONE = Answer(204, "", b"")
NO_TOPIC = Answer(400, JSON, b'{"code":"BAD_REQUEST","message":"invalid topic"}')


@pytest.mark.parametrize("answer", [NOTHING_DONE, NO_TOPIC])
async def test_a_subscription_that_the_broker_does_not_take_ends_with_its_session(
    live: Stage, answer: Answer
) -> None:
    """It is seen to be gone, before anybody calls it so: the broker's yes alone tells nothing."""
    bob, alice = await live.come("bob", None, TEAM), await live.come("alice", None, TEAM)
    await live.pushed("alice_pc", "bob_pc")

    async def unwilling(request: Request) -> Answer | None:
        return answer if "unsubscribe" in request.path else None

    live.wire.fault = unwilling
    await live.leave("team", "bob")
    await live.settled()
    await bob.was_closed()
    assert live.topics("bob_pc") == set()
    assert (live.topics("alice_pc"), alice.closed) == ({TEAM}, 0)


async def test_a_memory_that_cannot_be_cleared_does_not_keep_a_subscription(live: Stage) -> None:
    bob, alice = await live.come("bob", None, TEAM), await live.come("alice", None, TEAM)
    await live.pushed("alice_pc", "bob_pc")

    async def remembering(request: Request) -> Answer | None:
        return BROKEN if request.path.endswith("/authorization/cache") else None

    live.wire.fault = remembering
    await live.leave("team", "bob")
    await until(lambda: not live.topics("bob_pc"))
    # It is not in force before the broker forgot what we answered.
    assert [one.enforced_at for one in await live.work()] == [None]
    live.wire.fault = None
    await live.settled()
    assert (live.topics("alice_pc"), alice.closed, bob.closed) == ({TEAM}, 0, 0)


async def test_one_whose_rules_cannot_be_written_does_not_hold_up_those_who_come_after(live: Stage) -> None:
    """More come than are given their rules together, so that all of them would wait behind him."""

    async def failing(request: Request) -> Answer | None:
        return BROKEN if request.path.endswith("/bob_odd") and request.method == "PUT" else None

    live.wire.fault = failing
    await live.come("bob", "bob_odd", TEAM)
    ids = [f"alice_{number}" for number in range(NAMED + 5)]
    for one in ids:
        await live.come("alice", one)
    await live.pushed(*ids)
    live.wire.fault = None
    # Nor is he forgotten.
    await live.pushed("bob_odd")


async def test_changes_that_touch_some_people_each_are_not_everybodys_together(
    live: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two small groups end at once; nobody else's connection forgets what it was answered."""
    await add_group(live.database, "one", "alice", ["bob"])
    await add_group(live.database, "two", "carol", ["root"])
    await live.settled()
    monkeypatch.setattr(scope, "MOST_NAMED", 3)
    monkeypatch.setattr(revocation, "MOST_NAMED", 3)
    live.wire.requests.clear()

    async def dismiss(change: Change) -> None:
        await groups.dismiss(change, "one")
        await groups.dismiss(change, "two")

    await live.change(dismiss)
    await live.settled()
    assert "DELETE /authorization/cache" not in live.wire.writes()
