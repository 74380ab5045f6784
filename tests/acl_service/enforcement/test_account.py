"""What `mchat acl show` says of a client is what was written, what should be, and what the broker has."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from acl_service.enforcement.account import Account, Accounts, Difference, differences
from acl_service.enforcement.account_data import as_data, words
from acl_service.enforcement.acls import DynamicAcls
from acl_service.enforcement.judgement import TOO_WIDE, Judge
from acl_service.enforcement.peers import Peers
from acl_service.enforcement.roster import Roster
from acl_service.enforcement.told import ToldRules
from acl_service.errors import UnknownAsker
from acl_service.memory import Memory
from acl_service.policy import profiles
from acl_service.policy.connect import ConnectRule
from directory import client_acls, credentials, people, rules
from directory.changes import Change
from directory.client_acls import Claim
from directory.database import Database
from directory.secret import new_token, token_digest
from emqx.api.broker import BrokerApi
from emqx.api.built_in_rules import BuiltInRule, ClientRules
from emqx.api.wire import Answer, Request
from tests.acl_service.enforcement.stage import BROKEN, NOT_FOUND, Stage, recorded
from tests.acl_service.serving import activate_profile
from tests.emqx.api.conftest import api_settings

TEAM = BuiltInRule("mchat/group/team", "allow", "subscribe")
OWN = BuiltInRule("mchat/status/bob", "allow", "subscribe")
PEER = BuiltInRule("mchat/status/alice", "allow", "subscribe")
FORGED = BuiltInRule("mchat/group/board", "allow", "subscribe")


async def no_wait(seconds: float) -> None:
    assert seconds > 0


def accounts(
    stage: Stage,
    sleep: Callable[[float], Awaitable[None]] = no_wait,
    api: BrokerApi | None = None,
    **access: Any,
) -> Accounts:
    """As the command makes them: a memory of its own, read now."""
    database, broker = stage.database, api or stage.api
    memory = Memory(database)
    told_rules = ToldRules(database, "", None)
    return Accounts(
        broker,
        database,
        memory,
        Roster(broker, database, ""),
        DynamicAcls(broker, database, memory, Peers(database, memory), stage.clock, "test", **access),
        Judge(memory, told_rules, stage.clock),
        told_rules,
        now_ms=stage.clock,
        sleep=sleep,
        tells=not access.get("lasting"),
    )


async def account(stage: Stage, client_id: str = "bob_pc", **access: Any) -> Account:
    return await accounts(stage, **access).of(client_id)


async def written(stage: Stage) -> None:
    """bob comes in and is given his rules; from then on nobody enforces."""
    async with stage.working():
        await stage.settled()
        await stage.come("bob")
        await stage.pushed("bob_pc")


async def test_all_lists_agree_for_a_client_that_was_given_its_rules(stood: Stage) -> None:
    await written(stood)
    found = await account(stood)
    assert found.given is not None
    assert found.given.rules == found.wanted == found.actual == (TEAM, OWN, PEER)
    row = await stood.row("bob_pc")
    assert row is not None
    assert (found.given.version, found.given.written_at) == (row.version, row.written_at)
    assert (found.drift, found.overdue, found.leftover) == ((), (), False)
    assert (found.unanswered, found.unsupported, found.zone) == ("", "", "default")
    assert (found.told, found.judged.outcome) == ("as now", "keep")
    assert ConnectRule("allow", "subscribe", "mchat/inbox/bob") in found.connect_rules
    data = json.loads(json.dumps(as_data(found)))
    assert (data["same"], data["drift"], data["overdue"], data["employee_id"]) == (True, [], [], "bob")
    assert [one["topic"] for one in data["broker"]["rules"]] == [TEAM.topic, OWN.topic, PEER.topic]


async def test_a_client_without_session_and_row_has_nothing_and_lacks_nothing(stood: Stage) -> None:
    found = await account(stood)
    assert (found.given, found.session, found.told, found.actual) == (None, None, None, ())
    assert found.wanted == (TEAM, OWN, PEER)
    assert (found.drift, found.overdue, found.leftover, found.unsupported) == ((), (), False, "")
    assert as_data(found)["same"] is True
    stranger = await account(stood, "stranger")
    assert stranger.asker.client.refusal is not None
    assert (stranger.wanted, stranger.connect_rules, as_data(stranger)["employee_id"]) == ((), (), None)
    with pytest.raises(UnknownAsker, match="can never connect"):
        await account(stood, "a/b")


async def test_a_broker_that_is_away_leaves_what_rows_say(stood: Stage) -> None:
    await written(stood)
    dead = BrokerApi(api_settings("http://127.0.0.1:1"))
    async with dead:
        found = await accounts(stood, api=dead).of("bob_pc")
    assert "no connection to http://127.0.0.1:1" in found.unanswered
    assert found.given is not None
    assert found.given.rules == found.wanted == (TEAM, OWN, PEER)
    assert (found.actual, found.session, found.drift, found.overdue) == (None, None, (), ())
    data = as_data(found)
    assert (data["same"], data["broker"]["answered"], data["broker"]["rules"]) == (None, False, None)

    async def broken(request: Request) -> Answer | None:
        return BROKEN if "/rules/clients" in request.path else None

    recorded(stood.api).fault = broken
    found = await account(stood)
    assert found.unanswered
    assert (found.actual, found.given is None) == (None, False)


async def test_what_was_changed_behind_our_back_is_named(stood: Stage) -> None:
    await written(stood)
    every: list[tuple[tuple[BuiltInRule, ...], set[tuple[str, BuiltInRule | None]]]] = [
        ((TEAM, PEER), {("missing", OWN)}),
        ((TEAM, OWN, PEER, FORGED), {("foreign", FORGED)}),
        ((OWN, TEAM, PEER), {("order", None)}),
        ((FORGED,), {("missing", TEAM), ("missing", OWN), ("missing", PEER), ("foreign", FORGED)}),
        ((TEAM, OWN, PEER), set()),
    ]
    for there, named in every:
        await stood.api.client_rules.put("bob_pc", there)
        found = await account(stood)
        assert {(one.kind, one.rule) for one in found.drift} == named
        assert as_data(found)["same"] is not bool(named)
        assert found.overdue == ()
    await stood.api.client_rules.delete("bob_pc")
    assert [one.kind for one in (await account(stood)).drift] == ["missing"] * 3


async def test_rules_that_nobody_wrote_are_foreign(stood: Stage) -> None:
    await stood.api.client_rules.add([ClientRules("carol_pc", (FORGED,))])
    found = await account(stood, "carol_pc")
    assert found.drift == (Difference("foreign", FORGED),)
    assert found.leftover


async def test_what_is_not_carried_out_yet_is_overdue(stood: Stage) -> None:
    await written(stood)
    await stood.leave("team", "bob")
    found = await account(stood)
    assert found.wanted == (OWN,)
    assert {(one.kind, one.rule) for one in found.overdue} == {("foreign", TEAM), ("foreign", PEER)}
    assert found.drift == ()


async def test_rules_of_a_session_that_ended_are_left_over(stood: Stage) -> None:
    await written(stood)
    assert await stood.api.clients.kick("bob_pc")
    found = await account(stood)
    assert found.leftover
    assert (found.session, found.drift) == (None, ())
    assert [one.kind for one in found.overdue] == ["foreign"] * 3


async def test_settings_say_what_should_stand(stood: Stage) -> None:
    await written(stood)
    found = await account(stood, limit=2)
    assert found.wanted == (TEAM, OWN)
    assert [(one.topic, one.reason) for one in found.left_out] == [(PEER.topic, "more than 2 rules")]
    assert as_data(found)["wanted"]["left_out"] == [{"topic": PEER.topic, "reason": "more than 2 rules"}]
    found = await account(stood, push=False)
    assert found.wanted == ()
    assert [one.kind for one in found.overdue] == ["foreign"] * 3
    found = await account(stood, lasting=True)
    assert BuiltInRule("mchat/inbox/bob", "allow", "subscribe") in found.wanted
    # It was told something at its connect, which did so then.
    assert (found.told, (await account(stood, "bob", lasting=True)).connect_rules) == ("as now", ())


async def test_a_zone_with_a_mountpoint_leaves_no_room_for_rules_and_says_so(stood: Stage) -> None:
    await stood.come("bob")
    assert (await account(stood)).unpushed == ""
    zones = '\n[zones.default]\nmountpoint = "u/${username}/"\n'
    await activate_profile(stood.database, text=profiles.read("mchat") + zones)
    found = await account(stood)
    assert (found.wanted, found.unpushed) == ((), "the policy states a mountpoint for its zone default")
    assert as_data(found)["unpushed"] == found.unpushed
    away = await account(stood, "alice_pc")
    assert (away.wanted, away.unpushed) == ((), "its zone is unknown, and the policy states mountpoints")


async def test_a_broker_without_the_source_says_so(stood: Stage) -> None:
    await stood.come("bob")

    async def gone(request: Request) -> Answer | None:
        return NOT_FOUND if "/built_in_database/" in request.path else None

    recorded(stood.api).fault = gone
    found = await account(stood)
    assert "built_in_database is not among" in found.unsupported
    assert (found.actual, found.unanswered) == ((), "")


async def exception(effect: str, filter_: str, change: Change) -> int:
    return await rules.add(
        change,
        subject_kind="employee",
        subject_id="bob",
        effect=effect,
        action="subscribe",
        filter=filter_,
        reason="test",
        priority=10,
    )


async def test_a_session_that_was_told_more_than_now_is_named_and_one_that_was_told_less_is_not(
    stood: Stage,
) -> None:
    denied: list[int] = []

    async def deny(change: Change) -> None:
        denied.append(await exception("deny", "mchat/inbox/bob", change))

    await stood.come("bob")
    await stood.change(deny)
    found = await account(stood)
    assert (found.told, found.judged.outcome, found.judged.refusal) == ("wider", "kick", TOO_WIDE)
    assert found.wanted == (TEAM, OWN, PEER), "what it comes back with stands before it is ended"
    assert ConnectRule("allow", "subscribe", "mchat/inbox/bob") not in found.connect_rules
    await stood.come("bob", "bob_tablet")
    assert (await account(stood, "bob_tablet")).told == "as now"
    await stood.change(lambda change: rules.remove(change, denied[0]))
    assert (await account(stood, "bob_tablet")).told == "not wider"
    assert (await account(stood)).told == "as now"


async def test_a_disabled_person_was_told_more_than_now(stood: Stage) -> None:
    await stood.come("bob")
    await stood.change(lambda change: people.set_status(change, "bob", "disabled"))
    found = await account(stood)
    assert (found.told, found.wanted, found.connect_rules) == ("wider", (), ())
    data = as_data(found)
    assert data["refusal"]
    assert (data["session"]["outcome"], data["session"]["refusal"]) == ("kick", data["refusal"])


async def test_a_session_by_a_revoked_credential_should_have_nothing_and_one_by_another_keeps_it(
    stood: Stage,
) -> None:
    first = stood.tokens["bob"]
    await stood.come("bob")
    async with stood.database.change("test", stood.clock()) as change:
        (old,) = await credentials.list_(change.connection, "bob")
        stood.tokens["bob"] = new_token()
        await credentials.add_token(change, "bob", token_digest(stood.tokens["bob"]))
    assert stood.tokens["bob"] != first
    await stood.come("bob", "bob_tablet")
    await stood.change(lambda change: credentials.revoke(change, old.credential_id))
    found = await account(stood)
    assert (found.judged.outcome, found.wanted) == ("kick", ())
    kept = await account(stood, "bob_tablet")
    assert (kept.judged.outcome, kept.wanted) == ("keep", (TEAM, OWN, PEER))


async def claim(database: Database, now_ms: int, version: int) -> None:
    async with database.write() as connection:
        assert await client_acls.claim(
            connection, [Claim("bob_pc", "bob", version)], holder="other", now_ms=now_ms, hold_ms=5_000
        )


async def test_rules_that_are_being_written_are_read_again(stood: Stage) -> None:
    await written(stood)
    row = await stood.row("bob_pc")
    assert row is not None
    await claim(stood.database, stood.clock(), row.version)
    await stood.api.client_rules.put("bob_pc", (TEAM,))

    async def finished(seconds: float) -> None:
        async with stood.database.write() as connection:
            kept = await client_acls.written(
                connection,
                [
                    client_acls.Written(
                        "bob_pc",
                        "bob",
                        row.version,
                        '[{"topic":"mchat/group/team","permission":"allow","action":"subscribe"}]',
                        "[]",
                    )
                ],
                holder="other",
                now_ms=stood.clock(),
            )
        assert kept

    found = await accounts(stood, finished).of("bob_pc")
    assert (found.drift, found.actual) == ((), (TEAM,))


async def test_a_writer_that_goes_on_is_named_and_not_waited_for_without_end(stood: Stage) -> None:
    await written(stood)
    row = await stood.row("bob_pc")
    assert row is not None
    await claim(stood.database, stood.clock(), row.version)
    waited: list[float] = []

    async def wait(seconds: float) -> None:
        waited.append(seconds)

    found = await accounts(stood, wait).of("bob_pc")
    assert found.given is not None
    assert found.given.claimed_by == "other"
    assert 0 < len(waited) <= 20
    # A claim that has run out is nobody's: no waiting.
    stood.clock.ahead_ms += 10_000
    waited.clear()
    assert (await accounts(stood, wait).of("bob_pc")).drift == ()
    assert waited == []


@pytest.mark.parametrize(
    ("expected", "there", "kinds"),
    [
        ((), (), []),
        ((TEAM, OWN), (TEAM, OWN), []),
        ((TEAM, OWN), (OWN, TEAM), ["order"]),
        ((TEAM,), (), ["missing"]),
        ((), (TEAM,), ["foreign"]),
        ((TEAM,), (OWN,), ["missing", "foreign"]),
        ((TEAM,), (TEAM, TEAM), ["order"]),
    ],
)
def test_differences_are_named(
    expected: tuple[BuiltInRule, ...], there: tuple[BuiltInRule, ...], kinds: list[str]
) -> None:
    assert [one.kind for one in differences(expected, there)] == kinds


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (TEAM, "allow subscribe mchat/group/team"),
        (BuiltInRule("a", "deny", "publish", (1,), False), "deny publish a, qos 1, not retained"),
        (BuiltInRule("a", "allow", "publish", (0, 1, 2), True), "allow publish a, retained only"),
        (ConnectRule("allow", "publish", "a", None, False), "allow publish a, not retained"),
        (ConnectRule("allow", "subscribe", "eq a/+", (0, 1)), "allow subscribe eq a/+, qos 0, 1"),
    ],
)
def test_a_rule_in_words(rule: BuiltInRule | ConnectRule, said: str) -> None:
    assert words(rule) == said
