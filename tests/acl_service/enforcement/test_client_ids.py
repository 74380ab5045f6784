"""A client id gets another owner: the old one's session and rules go before the new one comes in (decision 9)."""

from collections.abc import AsyncIterator

import pytest

from directory import blocks, registrations
from directory.changes import Change
from emqx.api.publishing import Message
from emqx.api.wire import JSON, Answer, Request
from tests.acl_service.enforcement.stage import BROKEN, Stage, until

TEAM = "mchat/group/team"
DEVICE = "lobby"


async def register(stage: Stage, employee_id: str, pattern: str = DEVICE, kind: str = "exact") -> None:
    await stage.change(lambda change: registrations.add(change, pattern, kind, employee_id))


async def move(stage: Stage, employee_id: str) -> None:
    """Another owner, in one transaction."""

    async def moved(change: Change) -> None:
        await registrations.remove(change, DEVICE)
        await registrations.add(change, DEVICE, "exact", employee_id)

    await stage.change(moved)


async def is_blocked(stage: Stage) -> bool:
    async with stage.database.read() as connection:
        return DEVICE in await blocks.of_clients(connection, [DEVICE])


@pytest.fixture
async def lobby(live: Stage) -> AsyncIterator[Stage]:
    """A device that is bob's, with a persistent session that is away and listens to his team."""
    await register(live, "bob")
    device = await live.come("bob", DEVICE, TEAM, clean_session=False)
    await live.pushed(DEVICE)
    await live.settled()
    assert TEAM in live.rules(DEVICE)
    await device.disconnect()
    yield live


async def test_the_new_owner_inherits_nothing(lobby: Stage) -> None:
    bob = await lobby.come("bob", None, TEAM)
    await move(lobby, "carol")
    await lobby.settled()
    assert not await is_blocked(lobby)
    assert lobby.laptop.broker.session(DEVICE) is None
    assert lobby.rules(DEVICE) == set()
    carol = await lobby.come("carol", DEVICE, clean_session=False)
    assert carol.session_present == [False]
    assert lobby.topics(DEVICE) == set()
    await lobby.pushed(DEVICE)
    assert lobby.rules(DEVICE) == {"mchat/status/carol"}
    assert await carol.subscribe(TEAM) == [128]
    # The old owner's other session goes on, and the device is not his any more.
    await lobby.api.publishing.publish(Message(TEAM, b"hello", 1))
    await bob.gets(1)
    assert (bob.closed, carol.received) == (0, [])
    late = lobby.clients.make(DEVICE, username="bob", password=lobby.tokens["bob"])
    assert await late.connect() == 5


async def test_nobody_comes_in_while_the_old_owners_session_or_rules_stand(lobby: Stage) -> None:
    wire, held = lobby.wire, True

    async def unkickable(request: Request) -> Answer | None:
        return BROKEN if held and request.call == f"DELETE /clients/{DEVICE}" else None

    wire.fault = unkickable
    await move(lobby, "carol")
    await until(lambda: f"DELETE /clients/{DEVICE}" in wire.writes())
    early = lobby.clients.make(DEVICE, username="carol", password=lobby.tokens["carol"])
    assert await early.connect() == 5
    assert await is_blocked(lobby)
    held = False
    await lobby.settled()
    await lobby.come("carol", DEVICE)


async def test_a_registration_that_goes_ends_the_session_and_one_of_a_prefix_all_of_them(live: Stage) -> None:
    await register(live, "bob", "gate-", "prefix")
    gates = [await live.come("bob", f"gate-{number}", TEAM) for number in (1, 2)]
    own = await live.come("bob", "bob_pc", TEAM)
    await live.pushed("gate-1", "gate-2", "bob_pc")
    await live.change(lambda change: registrations.remove(change, "gate-"))
    for gate in gates:
        await gate.was_closed()
    await live.settled()
    assert live.rules("gate-1") == live.rules("gate-2") == set()
    assert (own.closed, live.topics("bob_pc")) == (0, {TEAM})
    # Nobody's now, and not blocked for good: whoever gets them comes in.
    await register(live, "carol", "gate-1")
    await live.settled()
    await live.come("carol", "gate-1")


async def test_an_id_that_nothing_can_name_does_not_stand_in_the_way_of_others(live: Stage) -> None:
    """EMQX takes client ids with NUL where no authenticator stood (emqx-measured, "Odd ids"); nobody can end them."""
    bob = await live.come("bob", None, TEAM)
    await live.pushed("bob_pc")
    odd = b'{"clientid":"bob_\\u0000","connected":true},{"clientid":"bob_\\u0001","connected":true}'

    async def listed(request: Request) -> Answer | None:
        if ("like_clientid", "bob") not in request.query:
            return None
        return Answer(200, JSON, b'{"data":[' + odd + b'],"meta":{"page":1,"limit":1000,"hasnext":false}}')

    live.wire.fault = listed
    await live.leave("team", "bob")
    await live.settled()
    assert (bob.closed, live.topics("bob_pc")) == (0, set())


async def test_an_id_that_no_path_can_hold_is_ended_all_the_same(live: Stage) -> None:
    entry = await live.api.authentication.get("password_based:http")
    await live.api.authentication.put("password_based:http", entry.writable(enable=False))
    intruder = await live.clients.connected("bob_" + "x" * 60_000, username="bob", password="none")
    await live.api.authentication.put("password_based:http", entry.writable(enable=True))
    bob = await live.come("bob")
    await live.leave("team", "bob")
    await intruder.was_closed()
    await live.settled()
    assert bob.closed == 0
