"""A session is looked at once more before it is ended: whoever came back rightly meanwhile stays."""

from directory import credentials
from directory.changes import Change
from directory.secret import new_token, token_digest
from emqx.api.wire import Answer, Request
from tests.acl_service.enforcement.stage import ON_SQLITE, Stage, until
from tests.emqx.mqtt import MqttClient

pytestmark = ON_SQLITE

TEAM = "mchat/group/team"


async def test_who_comes_back_rightly_between_the_look_and_the_kick_stays(live: Stage) -> None:
    """His credential ended; he is back by another one when the first thing is done to the session that he had."""
    ending, found = new_token(), list[str]()

    async def give(change: Change) -> None:
        found.append(await credentials.add_token(change, "bob", token_digest(ending)))

    await live.change(give)
    lasting, live.tokens["bob"] = live.tokens["bob"], ending
    before = await live.come("bob", "bob_pc", TEAM)
    # His twin stays away, as one who is to be ended does.
    twin = await live.come("bob", "bob_phone", TEAM)
    await live.pushed("bob_pc", "bob_phone")
    live.tokens["bob"] = lasting
    back: list[MqttClient] = []

    async def meanwhile(request: Request) -> Answer | None:
        if request.method == "DELETE" and request.path.endswith("/rules/clients/bob_pc") and not back:
            back.append(await live.come("bob", "bob_pc", TEAM))
        return None

    live.wire.fault = meanwhile
    await live.change(lambda change: credentials.revoke(change, found[0]))
    await twin.was_closed()
    await live.settled()
    (again,) = back
    assert (before.closed, again.closed, live.topics("bob_pc")) == (1, 0, {TEAM})
    assert live.metric("mchat_sessions_kicked_total") == 1
    # Nor is he left without what was taken from the one before.
    await until(lambda: TEAM in live.rules("bob_pc"))
