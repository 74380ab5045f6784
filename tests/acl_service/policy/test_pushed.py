"""A client's dynamic ACL: never wider than the decision, nothing left out without need."""

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from acl_service.policy.connect import ConnectRule, connect_rules
from acl_service.policy.decide import Request, decide
from acl_service.policy.document import Document
from acl_service.policy.grants import Grants
from acl_service.policy.index import Index
from acl_service.policy.profiles import read
from acl_service.policy.pushed import pushed
from acl_service.policy.rules import Action, Rule
from emqx.rules import parse_acl, permits
from tests.acl_service.policy import reference
from tests.acl_service.policy.reference import NOW
from tests.acl_service.policy.test_connect import Everybody, Nobody, allow, rule


def granted(rules: tuple[ConnectRule, ...], request: Request) -> bool:
    """Whether EMQX grants the request by these rules alone (contract section 3)."""
    written = [
        {"permission": one.permission, "action": one.action, "topic": one.topic}
        | ({} if one.qos is None else {"qos": list(one.qos)})
        | ({} if one.retain is None else {"retain": one.retain})
        for one in rules
    ]
    action = request.action.value
    assert action in ("publish", "subscribe")
    qos, retain = request.qos or 0, bool(request.retain)
    return permits(parse_acl(written, {}), action, request.topic, qos, retain) == "allow"  # type: ignore[arg-type]


@pytest.mark.parametrize("action", [Action.PUBLISH, Action.SUBSCRIBE])
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=200)
@given(
    policy=reference.lasting(),
    zone=st.sampled_from(["z", "y", None]),
    qos=st.sampled_from([0, 1, 2]),
    retain=st.booleans(),
    lasting=st.booleans(),
)
def test_the_broker_never_grants_more_than_we_would(
    action: Action,
    policy: tuple[list[Rule], list[Rule]],
    zone: str | None,
    qos: int,
    retain: bool,
    lasting: bool,
) -> None:
    # Everybody is a peer, so the peers that are written out are.
    grants = replace(reference.grants(*policy), peers=Everybody())
    given_rules = pushed(grants, ("a", "b", "c"), zone, NOW, lasting=lasting).rules
    some = False
    for topic in reference.small_topics(action):
        request = Request(action, topic, qos, retain, zone)
        if granted(given_rules, request):
            some = True
            for later in (0, 1, 10):
                assert decide(grants, request, NOW + later).allowed, (topic, given_rules)
    event(f"{action.value}: {'some' if some else 'nothing'} granted by the broker")


def employee(*rules: Rule, groups: tuple[str, ...] = ()) -> Grants:
    program = Document.load(read("mchat")).program("employee", 1)
    exceptions = Index(rules, 1, exceptional=True) if rules else None
    base = reference.grants([], [])
    return replace(
        base,
        client_id="bob_pc",
        employee_id="bob",
        groups=frozenset(groups),
        departments=frozenset(),
        peers=Nobody(),
        program=program,
        exceptions=exceptions,
    )


def topics(rules: tuple[ConnectRule, ...]) -> list[str]:
    return [rule.topic for rule in rules]


def test_groups_come_first_then_oneself_then_exceptions_then_others() -> None:
    grants = employee(allow("extra/x"), groups=("ops", "dev"))
    everything = pushed(grants, ("alice", "carol"), "default", NOW)
    assert topics(everything.rules) == [
        "mchat/group/dev",
        "mchat/group/ops",
        "mchat/status/bob",
        "extra/x",
        "mchat/status/alice",
        "mchat/status/carol",
    ]
    assert everything.left_out == ()
    few = pushed(grants, ("alice", "carol"), "default", NOW, limit=4)
    assert few.rules == everything.rules[:4]
    assert [(one.topic, one.reason) for one in few.left_out] == [
        ("mchat/status/alice", "more than 4 rules"),
        ("mchat/status/carol", "more than 4 rules"),
    ]


def test_with_what_a_connect_tells_nothing_of_the_profile_is_left_out() -> None:
    grants = employee(groups=("dev",))
    told = set(connect_rules(grants, "default", NOW))
    both = pushed(grants, (), "default", NOW, lasting=True)
    assert told <= set(both.rules)
    assert topics(tuple(rule for rule in both.rules if rule not in told)) == [
        "mchat/group/dev",
        "mchat/status/bob",
    ]
    assert both.left_out == ()


@pytest.mark.parametrize(
    ("exception", "reason"),
    [
        (allow("extra/x", valid_until_ms=NOW + 1), "it begins or ends by itself"),
        (allow("extra/x", valid_from_ms=NOW - 1), "it begins or ends by itself"),
        (allow("+/x", "publish"), "the broker would read it as another"),
        (allow("eq x"), "the broker would read it as another"),
    ],
)
def test_what_cannot_be_given_is_named_with_the_reason(exception: Rule, reason: str) -> None:
    given_rules = pushed(employee(exception), (), "default", NOW)
    assert topics(given_rules.rules) == ["mchat/status/bob"]
    assert [one.reason for one in given_rules.left_out] == [reason]


def test_a_deny_keeps_what_it_might_take_back() -> None:
    denied = employee(rule("deny", "mchat/group/+", "subscribe"), groups=("dev",))
    given_rules = pushed(denied, (), "default", NOW)
    assert topics(given_rules.rules) == ["mchat/status/bob"]
    assert [(one.topic, one.reason) for one in given_rules.left_out] == [
        ("mchat/group/dev", "a deny may take it back")
    ]
    weaker = employee(rule("deny", "mchat/group/+", "subscribe", priority=-1), groups=("dev",))
    assert topics(pushed(weaker, (), "default", NOW).rules) == ["mchat/group/dev", "mchat/status/bob"]


def test_nothing_is_given_behind_a_mountpoint_or_without_a_policy() -> None:
    chat = Document.load(read("chat")).program("service", 1)
    grants = replace(employee(), program=chat)
    for zone in ("mchat_chat", None):
        assert pushed(grants, (), zone, NOW, lasting=True).rules == ()
    assert "eq u/+/chat/send" in topics(pushed(grants, (), "default", NOW, lasting=True).rules)
