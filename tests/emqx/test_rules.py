from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emqx.errors import AclError
from emqx.rules import AclRule, Action, Permission, TopicPattern, parse_acl, permits

VARIABLES = {"clientid": "C", "username": "u", "client_attrs.employee_id": "emp_1"}


def rules(*raw: dict[str, Any], variables: dict[str, str] = VARIABLES) -> tuple[AclRule, ...]:
    return parse_acl(raw, variables)


def allow(topic: str, action: str = "all", **more: Any) -> dict[str, Any]:
    return {"permission": "allow", "action": action, "topic": topic, **more}


def deny(topic: str, action: str = "all", **more: Any) -> dict[str, Any]:
    return {"permission": "deny", "action": action, "topic": topic, **more}


@pytest.mark.parametrize(
    ("requested", "rule", "matched"),
    [
        # Contract section 3, row by row.
        ("a/#", "a/+", True),
        ("#", "+", True),
        ("a/b/#", "a/b/+", True),
        ("a/b/#", "a/+/+", True),
        ("a/#", "a/b", False),
        ("a/+/#", "a/+", False),
        ("a", "a/#", True),
        ("$SYS/x", "#", False),
        ("$SYS/x", "+/x", False),
        # Below the table: which rules leak, and which do not.
        ("x/#", "x/+/#", True),
        ("a/#", "a/+/c", False),
        ("a/#", "a/b/+", False),
        ("a/b/#", "a/+/+", True),
        # Plain matching.
        ("a/b", "a/b", True),
        ("a/b", "a/+", True),
        ("a/b/c", "a/+", False),
        ("a", "a/b", False),
        ("a/", "a/+", True),
        ("", "+", True),
        ("$SYS/x", "$SYS/#", True),
        ("$SYS/x", "$SYS/+", True),
    ],
)
def test_requested_filter_is_matched_as_a_name(requested: str, rule: str, matched: bool) -> None:
    expected = "allow" if matched else None
    assert permits(rules(allow(rule)), "subscribe", requested, 1) == expected


@pytest.mark.parametrize("requested", ["a/#", "a/+/#"])
def test_deny_of_a_branch_does_not_stop_a_wider_subscription(requested: str) -> None:
    assert permits(rules(deny("a/b/#"), allow("a/#")), "subscribe", requested, 1) == "allow"


def test_deny_before_the_allow_closes_the_leak() -> None:
    closed = rules(deny("eq x/#", "subscribe"), allow("x/+", "subscribe"))
    assert permits(closed, "subscribe", "x/#", 1) == "deny"
    assert permits(closed, "subscribe", "x/1", 1) == "allow"


@pytest.mark.parametrize(
    ("requested", "expected"),
    [("mchat/msg/resp/C/+", "allow"), ("mchat/msg/resp/C/#", None), ("mchat/msg/resp/C/1", None)],
)
def test_eq_is_that_very_filter(requested: str, expected: Permission | None) -> None:
    exact = rules(allow("eq mchat/msg/resp/C/+", "subscribe"))
    assert permits(exact, "subscribe", requested, 1) == expected


def test_no_placeholder_inside_eq() -> None:
    exact = rules(allow("eq dev/${clientid}"))
    assert permits(exact, "publish", "dev/C", 0) is None
    assert permits(exact, "publish", "dev/${clientid}", 0) == "allow"


def test_first_match_wins() -> None:
    assert permits(rules(deny("a"), allow("a")), "publish", "a", 0) == "deny"
    assert permits(rules(allow("a"), deny("a")), "publish", "a", 0) == "allow"
    assert permits(rules(deny("b"), allow("a")), "publish", "a", 0) == "allow"
    assert permits((), "publish", "a", 0) is None


@pytest.mark.parametrize(
    ("written", "publish", "subscribe"),
    [
        ("pub", "allow", None),
        ("publish", "allow", None),
        ("sub", None, "allow"),
        ("subscribe", None, "allow"),
        ("all", "allow", "allow"),
    ],
)
def test_action(written: str, publish: Permission | None, subscribe: Permission | None) -> None:
    bound = rules(allow("a", written))
    assert permits(bound, "publish", "a", 0) == publish
    assert permits(bound, "subscribe", "a", 0) == subscribe


@pytest.mark.parametrize(
    ("written", "accepted"),
    [
        (0, {0}),
        (2, {2}),
        ("2", {2}),
        ("0,1", {0, 1}),
        ([0, 1], {0, 1}),
        (["0", 2], {0, 2}),
        ([], set()),
        (None, {0, 1, 2}),
    ],
)
def test_qos_forms(written: object, accepted: set[int]) -> None:
    bound = rules(allow("a", qos=written))
    for action in ("publish", "subscribe"):
        assert {qos for qos in range(3) if permits(bound, action, "a", qos)} == accepted


@pytest.mark.parametrize(
    ("written", "accepted"),
    [
        (True, {True}),
        ("true", {True}),
        (1, {True}),
        ("1", {True}),
        (False, {False}),
        ("false", {False}),
        (0, {False}),
        ("0", {False}),
        ("all", {True, False}),
        (None, {True, False}),
    ],
)
def test_retain_forms(written: object, accepted: set[bool]) -> None:
    bound = rules(allow("a", retain=written))
    assert {retain for retain in (True, False) if permits(bound, "publish", "a", 0, retain)} == accepted
    assert permits(bound, "subscribe", "a", 0) == "allow"


def test_subscribe_rule_does_not_even_read_retain() -> None:
    assert permits(rules(allow("a", "subscribe", retain="maybe")), "subscribe", "a", 0) == "allow"


@pytest.mark.parametrize(
    ("action", "topic", "qos", "retain", "expected"),
    [
        ("publish", "f/ok", 1, False, "allow"),
        ("publish", "f/ok", 1, True, None),
        ("publish", "f/ok", 2, False, None),
        ("publish", "f/no", 0, True, "deny"),
        ("publish", "f/no", 0, False, None),
        ("subscribe", "f/sub", 0, False, "allow"),
        ("subscribe", "f/sub", 1, False, None),
    ],
)
def test_measured_conditions(
    action: Action, topic: str, qos: int, retain: bool, expected: Permission | None
) -> None:
    measured = rules(
        allow("f/ok", "publish", qos=[0, 1], retain=False),
        deny("f/no", "publish", retain=True),
        allow("f/sub", "subscribe", qos=[0]),
    )
    assert permits(measured, action, topic, qos, retain) == expected


def test_topics_is_a_list() -> None:
    several = rules({"permission": "allow", "action": "publish", "topics": ["a", "eq b/+"]})
    assert [permits(several, "publish", topic, 0) for topic in ("a", "b/+", "b/c")] == [
        "allow",
        "allow",
        None,
    ]


def test_unknown_keys_are_ignored() -> None:
    assert permits(rules(allow("a", ipaddr="10.0.0.0/8", note="x")), "publish", "a", 0) == "allow"


@pytest.mark.parametrize(
    ("template", "matching"),
    [
        ("dev/${clientid}/up", "dev/C/up"),
        ("dev/${username}", "dev/u"),
        ("dev/${client_attrs.employee_id}", "dev/emp_1"),
        ("dev/${unheard_of}", "dev/${unheard_of}"),
    ],
)
def test_placeholders(template: str, matching: str) -> None:
    assert permits(rules(allow(template)), "publish", matching, 0) == "allow"


def test_undefined_placeholder_matches_nothing() -> None:
    bound = rules(allow("dev/${client_attrs.site}"), allow("dev/${cert_common_name}"))
    assert permits(bound, "publish", "dev/", 0) is None
    assert permits(bound, "publish", "dev/${client_attrs.site}", 0) is None


@pytest.mark.parametrize(
    ("client_id", "reached"), [("+", "dev/x/up"), ("a/b", "dev/a/b/up"), ("#", "dev/#/up")]
)
def test_placeholder_value_is_split_again(client_id: str, reached: str) -> None:
    bound = rules(allow("dev/${clientid}/up"), variables={"clientid": client_id})
    assert permits(bound, "publish", reached, 0) == "allow"


@pytest.mark.parametrize(
    "bad",
    [
        "not an object",
        {},
        {"action": "publish", "topic": "a"},
        {"permission": "allow", "topic": "a"},
        {"permission": "allow", "action": "publish"},
        {"permission": "allow", "action": "publish", "topic": 7},
        {"permission": "allow", "action": "publish", "topics": "a"},
        {"permission": "allow", "action": "publish", "topics": ["a", 7]},
        {"permission": "maybe", "action": "publish", "topic": "a"},
        {"permission": "allow", "action": "fly", "topic": "a"},
        {"permission": ["allow"], "action": "publish", "topic": "a"},
        allow("a", qos=5),
        allow("a", qos="0, 1"),
        allow("a", qos=""),
        allow("a", qos=[0, 5]),
        allow("a", qos=True),
        allow("a", qos=1.0),
        allow("a", qos={}),
        allow("a", "subscribe", qos=5),
        allow("a", retain="maybe"),
        allow("a", retain=2),
        allow("a", retain=1.0),
        allow("a", retain=[]),
    ],
)
def test_bad_rule_is_refused(bad: object) -> None:
    with pytest.raises(AclError, match=r": (write|give) "):
        parse_acl([allow("fine"), bad], VARIABLES)


def test_empty_acl_is_fine() -> None:
    assert parse_acl([], VARIABLES) == ()


REQUESTED = st.builds(
    lambda head, rest: (*head, *rest),
    st.lists(st.sampled_from(["a", "b", "+", "", "$s"]), min_size=1, max_size=3),
    st.sampled_from([(), ("#",)]),
) | st.just(("#",))
LEVELS = st.lists(st.sampled_from(["a", "b", "+", "#", "", "$s"]), min_size=1, max_size=4).map(tuple)


def naive(requested: tuple[str, ...], rule: tuple[str, ...]) -> bool:
    """emqx_topic:match/2 as its clauses stand, word for word."""
    if requested == rule == ():
        return True
    if requested and rule and requested[0] == rule[0]:
        return naive(requested[1:], rule[1:])
    if requested and rule and rule[0] == "+":
        return naive(requested[1:], rule[1:])
    return rule == ("#",)


@given(REQUESTED, LEVELS)
def test_matching_is_that_of_the_reference(requested: tuple[str, ...], rule: tuple[str, ...]) -> None:
    dollar = requested[0].startswith("$") and rule[0] in ("+", "#")
    assert TopicPattern(rule).accepts(requested) == (not dollar and naive(requested, rule))
