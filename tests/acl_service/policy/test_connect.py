from dataclasses import replace

import msgspec
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from acl_service.policy.connect import ConnectRule, connect_rules, told
from acl_service.policy.decide import Request, decide
from acl_service.policy.document import Document
from acl_service.policy.grants import Grants, Program
from acl_service.policy.profiles import read
from acl_service.policy.rules import Action, Rule, exception
from tests.acl_service.policy import reference
from tests.acl_service.policy.reference import CLIENT, EMPLOYEE, NOW


def broker_matches(requested: str, topic: str, *, dollar_rule: bool) -> bool:
    """Match as EMQX matches a rule (contract section 3): the requested filter is taken as if it were a name.

    Up to 5.8.1 a leading wildcard of the rule matches `$…`, too (`dollar_rule` false).
    """
    if topic.startswith("eq "):
        return requested == topic.removeprefix("eq ")
    asked, rule = requested.split("/"), topic.split("/")
    if dollar_rule and asked[0].startswith("$") and rule[0] in ("+", "#"):
        return False
    while asked and rule:
        if rule == ["#"]:
            return True
        if asked[0] != rule[0] and rule[0] != "+":
            return False
        asked, rule = asked[1:], rule[1:]
    return not asked and rule in ([], ["#"])


def broker_allows(rules: tuple[ConnectRule, ...], request: Request, *, dollar_rule: bool) -> bool:
    """Tell whether the broker grants a request by itself: the first rule that matches decides."""
    for rule in rules:
        if rule.action != request.action.value or (rule.qos is not None and request.qos not in rule.qos):
            continue
        if rule.retain is not None and request.action is Action.PUBLISH and request.retain is not rule.retain:
            continue
        if broker_matches(request.topic, rule.topic, dollar_rule=dollar_rule):
            return rule.permission == "allow"
    return False


class Nobody:
    def shares(self, other: str) -> bool | None:
        return False


class Everybody:
    def shares(self, other: str) -> bool | None:
        return True


@pytest.mark.parametrize("action", [Action.PUBLISH, Action.SUBSCRIBE])
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=300)
@given(
    policy=reference.lasting(),
    zone=st.sampled_from(["z", "y", None]),
    qos=st.sampled_from([0, 1, 2]),
    retain=st.booleans(),
)
def test_the_broker_never_grants_more_than_we_would(
    action: Action, policy: tuple[list[Rule], list[Rule]], zone: str | None, qos: int, retain: bool
) -> None:
    grants = reference.grants(*policy)
    # The same client later in its session: other groups, other colleagues.
    moved = replace(grants, groups=frozenset({"a"}), departments=frozenset({"a"}), peers=Nobody())
    familiar = replace(grants, peers=Everybody())
    rules = connect_rules(grants, zone, NOW)
    granted = 0
    for topic in reference.small_topics(action):
        request = Request(action, topic, qos, retain, zone)
        if any(broker_allows(rules, request, dollar_rule=known) for known in (True, False)):
            granted += 1
            for later, facts in ((0, grants), (1, grants), (10, moved), (10, familiar)):
                decision = decide(facts, request, NOW + later)
                # `missing` is no answer: `moved` and `familiar` stand for either answer to it.
                assert decision.allowed or decision.missing, (topic, rules)
    event(f"{action.value}: {'some' if granted else 'nothing'} granted by the broker")


ODD_IDS = ("a${username}", 'a"b', "a\\\\u0000employee", "eq a", "客户端", "a b", "", "+", "$x")


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=200)
@given(
    policy=reference.lasting(),
    zone=st.sampled_from(["z", "y", None]),
    client_id=st.sampled_from([CLIENT, EMPLOYEE, f"{EMPLOYEE}_pc", "a.b:c@d-e", *ODD_IDS]),
    employee_id=st.sampled_from([EMPLOYEE, "e-1", *ODD_IDS]),
    own=st.booleans(),
)
def test_what_is_told_is_the_same_in_the_brokers_json(
    policy: tuple[list[Rule], list[Rule]], zone: str | None, client_id: str, employee_id: str, own: bool
) -> None:
    grants = reference.grants(policy[0], policy[1] if own else [])
    grants = replace(grants, client_id=client_id, employee_id=employee_id)
    for _ in range(2):  # the second time from what the first one kept
        answer = told(grants, zone, NOW).rules
        rules = msgspec.json.decode(answer, type=list[ConnectRule]) if answer else []
        # Two rights may come to the same words for one client.
        assert tuple(dict.fromkeys(rules)) == connect_rules(grants, zone, NOW)
        grants = replace(grants)


def test_a_right_that_a_deny_takes_from_some_clients_is_on_no_sheet() -> None:
    rules = [allow("out/${client_id}", "publish"), rule("deny", "out/bad_pc", "publish")]
    for client_id, said in (("good_pc", True), ("bad_pc", False), ("good_pc", True)):
        grants = replace(client(rules, client_id=client_id), exceptions=None)
        assert (b"out/" in told(grants, None, NOW).rules) is said


def test_the_shipped_policy_is_told_from_one_sheet() -> None:
    program = Document.load(read("mchat")).program("employee", 1)
    for client_id in ("bob_pc", "bob_phone"):
        grants = replace(reference.grants([], []), client_id=client_id, employee_id="bob", program=program)
        grants = replace(grants, exceptions=None)
        assert f'"mchat/msg/req/{client_id}/+"'.encode() in told(grants, "default", NOW).rules
    assert [sheet is not None for sheet in program.lasting.sheets.values()] == [True]


def client(rules: list[Rule], exceptions: list[Rule] | None = None, client_id: str = CLIENT) -> Grants:
    return replace(reference.grants(rules, exceptions or []), client_id=client_id)


def allow(filter: str, action: str = "subscribe", **conditions: object) -> Rule:  # noqa: A002
    return rule("allow", filter, action, **conditions)


def rule(effect: str, filter: str, action: str, **conditions: object) -> Rule:  # noqa: A002
    known: dict[str, object] = {"id": 1, "author": "test", "reason": "test", "effect": effect, **conditions}
    return exception(filter=filter, action=action, **known)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("written", "told"),
    [
        (allow("in/${employee_id}"), ConnectRule("allow", "subscribe", f"in/{EMPLOYEE}")),
        (allow("re/${client_id}/+", only=True), ConnectRule("allow", "subscribe", f"eq re/{CLIENT}/+")),
        (allow("skill/+"), ConnectRule("allow", "subscribe", "eq skill/+")),
        (allow("skill/x", qos=[1, 0]), ConnectRule("allow", "subscribe", "skill/x", (0, 1))),
        (allow("req/+", "publish"), ConnectRule("allow", "publish", "req/+", None, False)),
        (
            allow("req/#", "publish", retain=True, qos=[2]),
            ConnectRule("allow", "publish", "req/#", (2,), None),
        ),
        (allow("here", zone="z"), ConnectRule("allow", "subscribe", "here")),
    ],
)
def test_a_lasting_right_is_told_to_the_broker(written: Rule, told: ConnectRule) -> None:
    assert connect_rules(client([written]), "z", NOW) == (told,)


@pytest.mark.parametrize(
    "written",
    [
        allow("group/${group_id}"),
        allow("dept/${department_id}"),
        allow("status/${peer_id}"),
        allow("a", valid_until_ms=NOW + 1_000_000),
        allow("a", valid_from_ms=NOW - 1),
        allow("a", zone="elsewhere"),
        allow("a/${username}/b".replace("${username}", "$x"), "publish", zone="elsewhere"),
        allow("+/a", "publish"),
        allow("#", "publish"),
        allow("eq a"),
        rule("deny", "a", "all"),
    ],
)
def test_what_may_change_or_is_read_otherwise_by_the_broker_is_asked(written: Rule) -> None:
    assert connect_rules(client([written]), "z", NOW) == ()


def test_a_zone_that_is_not_known_keeps_its_rights_back() -> None:
    assert connect_rules(client([allow("a", zone="z")]), None, NOW) == ()


@pytest.mark.parametrize("client_id", ["${username}", "eq x", "a/b", "+", "$x", ""])
def test_an_odd_client_id_gets_no_rights_that_the_broker_reads_otherwise(client_id: str) -> None:
    rules = connect_rules(client([allow("${client_id}/a"), allow("b")], client_id=client_id), None, NOW)
    assert [each.topic for each in rules] == ["b"]


@pytest.mark.parametrize(
    ("denied", "kept"),
    [
        (rule("deny", "a/b", "subscribe"), False),
        (rule("deny", "+/b", "all", priority=3), False),
        (rule("deny", "a/${group_id}", "subscribe"), False),
        (rule("deny", "a/b", "subscribe", valid_from_ms=NOW + 5), False),
        (rule("deny", "a/b", "subscribe", zone="z"), False),
        (rule("deny", "a/b", "subscribe", priority=-1), True),
        (rule("deny", "a/b", "publish"), True),
        (rule("deny", "a/c", "subscribe"), True),
        (rule("deny", "a/b", "subscribe", valid_until_ms=NOW), True),
        (rule("deny", "a/b", "subscribe", zone="elsewhere"), True),
    ],
)
def test_a_deny_that_might_speak_keeps_a_right_back(denied: Rule, kept: bool) -> None:
    assert bool(connect_rules(client([allow("a/b")], [denied]), "z", NOW)) is kept
    assert bool(connect_rules(client([denied, allow("a/b")]), "z", NOW)) is kept


def test_exceptions_are_not_told_and_a_closed_program_tells_nothing() -> None:
    assert connect_rules(client([], [allow("a")]), None, NOW) == ()
    closed = replace(client([allow("a")]), program=Program.refusing("there is no policy"))
    assert connect_rules(closed, None, NOW) == ()


def test_publishes_come_first_and_the_limit_holds() -> None:
    both = [allow(f"a/{n}", "all") for n in range(40)]
    rules = connect_rules(client(both), None, NOW)
    assert [each.action for each in rules] == ["publish"] * 40 + ["subscribe"] * 10
    assert rules[:3] == connect_rules(client(both), None, NOW, limit=3)


def test_the_profile_mchat_needs_no_questions_for_what_lasts() -> None:
    program = Document.load(read("mchat"), service="acme").program("employee", 1)
    rules = connect_rules(replace(client([]), program=program), None, NOW)
    assert rules == (
        ConnectRule("allow", "publish", f"acme/mchat/msg/req/{CLIENT}/+", None, False),
        ConnectRule("allow", "publish", f"acme/mchat/status/{EMPLOYEE}"),
        ConnectRule("allow", "subscribe", f"eq acme/mchat/msg/resp/{CLIENT}/+"),
        ConnectRule("allow", "subscribe", f"acme/mchat/inbox/{EMPLOYEE}"),
        ConnectRule("allow", "subscribe", f"acme/mchat/profile/{EMPLOYEE}"),
        ConnectRule("allow", "subscribe", "acme/mchat/system/notify"),
        ConnectRule("allow", "subscribe", "acme/mchat/org/tree"),
        ConnectRule("allow", "subscribe", "eq acme/mchat/agent/capability/+"),
    )
