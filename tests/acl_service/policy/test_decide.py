from dataclasses import replace

import pytest

from acl_service.policy.decide import Decision, Request, decide
from acl_service.policy.explain import explain
from acl_service.policy.grants import Grants, Program
from acl_service.policy.index import Index
from acl_service.policy.rules import Action, Rule, exception
from acl_service.policy.topics import MAX_BYTES
from tests.acl_service.policy import reference

NOW = 1_000


def rule(effect: str, action: str, filter: str, **conditions: object) -> Rule:  # noqa: A002
    known: dict[str, object] = {"id": filter, "author": "test", "reason": f"{effect} {filter}", **conditions}
    return exception(effect=effect, action=action, filter=filter, **known)  # type: ignore[arg-type]


def asked(
    grants: Grants, action: str, topic: str, qos: int | None = 0, retain: bool | None = False, zone: str = "z"
) -> Decision:
    """Decide, and see that the explanation agrees."""
    request = Request(Action(action), topic, qos, retain, zone)
    decision = decide(grants, request, NOW)
    assert explain(grants, request, NOW).decision == decision
    return decision


def client(*rules: Rule, queues: tuple[str, ...] = ()) -> Grants:
    return reference.grants(list(rules), [], queues)


def test_a_decision_carries_its_rule_source_reason_and_version() -> None:
    written = rule("allow", "publish", "a/+")
    assert asked(client(written), "publish", "a/b") == Decision(
        True, written, "exception a/+ by test", "allow a/+", 7
    )


def test_what_no_rule_speaks_to_is_denied_and_says_so() -> None:
    decision = asked(client(rule("allow", "subscribe", "a")), "publish", "a")
    assert (decision.allowed, decision.rule, decision.source) == (False, None, "default")
    assert "no rule of role 'employee' in policy version 7" in decision.reason


@pytest.mark.parametrize("queue", ["", "$queue/jobs/"])
def test_a_closed_program_denies_whatever_the_exceptions_say(queue: str) -> None:
    closed = Program.refusing("there is no active policy")
    exceptions = Index([rule("allow", "all", "#")], None, exceptional=True)
    grants = replace(client(), program=closed, exceptions=exceptions)
    decision = asked(grants, "subscribe", f"{queue}a")
    assert decision == Decision(False, None, "default", "there is no active policy", None)


def test_priority_wins_then_deny_then_exception_then_order() -> None:
    low, high = rule("deny", "all", "a", priority=1), rule("allow", "all", "a", priority=2)
    assert asked(client(low, high), "publish", "a").rule is high
    allow, deny = rule("allow", "all", "a/+"), rule("deny", "all", "a/#")
    assert asked(client(allow, deny), "publish", "a/b").rule is deny
    first, second = rule("allow", "all", "a"), rule("allow", "all", "#", reason="second")
    assert asked(client(first, second), "publish", "a").rule is first
    assert asked(client(second, first), "publish", "a").rule is second
    written = rule("allow", "all", "a", reason="exception")
    grants = reference.grants([first], [rule("allow", "all", "b"), written])
    assert asked(grants, "publish", "a").rule is written


def test_a_subscribe_needs_one_rule_that_covers_all_of_it() -> None:
    grants = client(rule("allow", "subscribe", "a/+"), rule("allow", "subscribe", "a/+/#"))
    assert asked(grants, "subscribe", "a/+").allowed
    assert asked(grants, "subscribe", "a/b/#").allowed
    assert not asked(grants, "subscribe", "a/#").allowed
    assert not asked(grants, "subscribe", "#").allowed
    assert not asked(grants, "subscribe", "+/b").allowed


def test_a_deny_on_a_branch_stops_a_wider_subscribe_but_not_its_neighbours() -> None:
    grants = client(rule("allow", "subscribe", "a/#"), rule("deny", "subscribe", "a/secret/#"))
    for wider in ("a/#", "a/+", "a/+/x", "a/secret", "a/secret/#", "a/+/#"):
        assert not asked(grants, "subscribe", wider).allowed, wider
    for beside in ("a/b", "a/b/#", "a/b/+", "a"):
        assert asked(grants, "subscribe", beside).allowed, beside


def test_a_group_costs_membership_only() -> None:
    grants = replace(
        client(rule("allow", "subscribe", "g/${group_id}")), groups=frozenset(f"g{n}" for n in range(5_000))
    )
    assert asked(grants, "subscribe", "g/g4999").allowed
    assert not asked(grants, "subscribe", "g/g5000").allowed
    assert not asked(grants, "subscribe", "g/+").allowed
    assert not asked(replace(grants, groups=frozenset()), "subscribe", "g/g1").allowed


@pytest.mark.parametrize("odd", ["", "+", "#", "a/b", "$x", "a\0"])
def test_values_that_are_no_plain_level_stand_for_nothing(odd: str) -> None:
    rules = [rule("allow", "all", f"{name}/${{{name}}}") for name in ("client_id", "employee_id", "group_id")]
    grants = replace(client(*rules), client_id=odd, employee_id=odd, groups=frozenset({odd, "g"}))
    for name in ("client_id", "employee_id", "group_id"):
        assert not asked(grants, "subscribe", f"{name}/{odd}").allowed
        assert not asked(grants, "publish", f"{name}/{odd}").allowed
    assert asked(grants, "subscribe", "group_id/g").allowed


def test_a_peer_is_oneself_or_known_to_share_or_has_to_be_loaded() -> None:
    grants = client(rule("allow", "subscribe", "status/${peer_id}"))
    assert asked(grants, "subscribe", f"status/{reference.EMPLOYEE}").allowed
    assert asked(grants, "subscribe", f"status/{reference.FRIEND}").allowed
    nobody = asked(grants, "subscribe", "status/nobody")
    assert (nobody.allowed, nobody.missing) == (False, None)
    stranger = asked(grants, "subscribe", f"status/{reference.STRANGER}")
    assert (stranger.allowed, stranger.missing) == (False, reference.STRANGER)
    assert not asked(grants, "subscribe", "status/+").allowed


def test_nothing_is_loaded_for_a_peer_who_cannot_change_the_answer() -> None:
    wanted = f"status/{reference.STRANGER}"
    better = rule("deny", "all", "status/#", priority=1)
    assert (
        asked(client(rule("allow", "all", "status/${peer_id}"), better), "subscribe", wanted).rule is better
    )
    public = rule("allow", "all", "status/+", priority=1)
    assert asked(client(rule("allow", "all", "status/${peer_id}"), public), "publish", wanted).allowed


def test_retain_is_allowed_only_where_a_rule_says_so() -> None:
    plain, kept = rule("allow", "publish", "a"), rule("allow", "publish", "b", retain=True)
    grants = client(plain, kept, rule("deny", "publish", "c", retain=True), rule("allow", "publish", "c"))
    verdicts = {
        (topic, retain): asked(grants, "publish", topic, retain=retain).allowed
        for topic in "abc"
        for retain in (False, True, None)
    }
    assert verdicts == {
        ("a", False): True,
        ("a", True): False,
        ("a", None): False,
        ("b", False): True,
        ("b", True): True,
        ("b", None): True,
        ("c", False): True,
        ("c", True): False,
        ("c", None): False,
    }


def test_a_subscribe_has_no_retain() -> None:
    grants = client(rule("allow", "all", "a", retain=False))
    assert all(asked(grants, "subscribe", "a", retain=retain).allowed for retain in (True, False, None))


def test_an_unknown_fact_fails_an_allow_and_not_a_deny() -> None:
    allowing = client(rule("allow", "all", "a", qos=[0, 1], zone="z", retain=True))
    assert asked(allowing, "subscribe", "a").allowed
    assert not asked(allowing, "subscribe", "a", qos=None).allowed
    assert not asked(allowing, "subscribe", "a", qos=2).allowed
    assert not asked(allowing, "subscribe", "a", qos=7).allowed
    assert not decide(allowing, Request(Action.SUBSCRIBE, "a", 0, False, None), NOW).allowed
    denying = client(rule("deny", "all", "a", qos=[0], zone="z"), rule("allow", "all", "a"))
    assert not decide(denying, Request(Action.SUBSCRIBE, "a", None, False, None), NOW).allowed
    assert asked(denying, "subscribe", "a", qos=1).allowed


def test_a_rule_begins_and_ends() -> None:
    grants = client(rule("allow", "all", "a", valid_from_ms=10, valid_until_ms=20))
    verdicts = [
        decide(grants, Request(Action.PUBLISH, "a", 0, False), now).allowed for now in (9, 10, 19, 20)
    ]
    assert verdicts == [False, True, True, False]


def test_only_means_that_very_filter() -> None:
    grants = client(rule("allow", "subscribe", "re/${client_id}/+", only=True), rule("allow", "publish", "x"))
    assert asked(grants, "subscribe", f"re/{reference.CLIENT}/+").allowed
    assert asked(grants, "subscribe", f"$share/g/re/{reference.CLIENT}/+").allowed
    for other in ("1", "#", "+/a"):
        assert not asked(grants, "subscribe", f"re/{reference.CLIENT}/{other}").allowed, other


def test_wildcards_do_not_reach_the_brokers_own_topics() -> None:
    grants = client(rule("allow", "all", "#"), rule("allow", "all", "+/x"))
    for topic in ("$SYS/x", "$SYS", "$share/g/$SYS/#"):
        assert not asked(grants, "subscribe", topic).allowed, topic
    assert asked(grants, "subscribe", "#").allowed
    assert not asked(grants, "publish", "$SYS/x").allowed
    assert asked(client(rule("deny", "all", "$SYS/#"), rule("allow", "all", "#")), "subscribe", "#").allowed


def test_prefixes_are_decided_on_what_they_reach() -> None:
    grants = client(rule("allow", "all", "a"))
    for prefix in ("$share/g/", "$exclusive/", "$delayed/1/", "$q/", "$s/0/"):
        assert asked(grants, "subscribe", f"{prefix}a").allowed, prefix
        assert not asked(grants, "subscribe", f"{prefix}b").allowed, prefix
    assert asked(grants, "publish", "$delayed/1/a").allowed
    assert not asked(grants, "publish", "$share/g/a").allowed


def test_a_queue_has_to_be_listed_and_its_filter_allowed() -> None:
    grants = client(rule("allow", "all", "a"), queues=("jobs",))
    decision = asked(grants, "subscribe", "$queue/jobs/a")
    assert decision.allowed
    assert "the policy lists the queue 'jobs'" in decision.reason
    refused = asked(grants, "subscribe", "$stream/other/a")
    assert (refused.allowed, refused.source) == (False, "queue")
    assert "'other'" in refused.reason
    assert not asked(grants, "subscribe", "$queue/jobs/b").allowed


@pytest.mark.parametrize("action", ["publish", "subscribe"])
@pytest.mark.parametrize(
    "topic",
    [
        "",
        "\0",
        "a\0b",
        "\ud800",
        "x" * (MAX_BYTES + 1),
        "a/#/b",
        "a+",
        "$delayed/1",
        "é" * 40_000,
    ],
)
def test_a_topic_that_cannot_be_is_denied_with_the_reason(action: str, topic: str) -> None:
    decision = asked(client(rule("allow", "all", "#")), action, topic)
    assert (decision.allowed, decision.rule, decision.source) == (False, None, "topic")
    assert decision.reason


def test_a_topic_of_very_many_levels_is_decided() -> None:
    grants = client(rule("allow", "all", "#"), rule("deny", "all", "/".join("+" * 30_000), priority=1))
    assert not asked(grants, "publish", "/".join("a" * 30_000)).allowed
    assert asked(grants, "publish", "/".join("a" * 29_999)).allowed
    assert not asked(grants, "subscribe", "/".join("+" * 30_000)).allowed


def test_words_of_any_language_are_compared_as_they_are() -> None:
    grants = client(rule("allow", "all", "群组/+/é"))
    assert asked(grants, "publish", "群组/一/é").allowed
    assert not asked(grants, "publish", "群组/一/e\u0301").allowed


def test_an_explanation_names_what_kept_each_rule_from_speaking() -> None:
    grants = client(
        rule("allow", "publish", "a/#"),
        rule("deny", "publish", "a/b", qos=[2]),
        rule("allow", "publish", "b"),
        rule("allow", "publish", "a/+", zone="y"),
        rule("allow", "publish", "a/b", valid_until_ms=NOW),
        rule("allow", "subscribe", "a/b"),
        rule("deny", "subscribe", "a/c"),
    )
    explanation = explain(grants, Request(Action.PUBLISH, "a/b", 0, True, "z"), NOW)
    assert [(each.rule.template.text, each.words) for each in explanation.verdicts] == [
        ("a/b", "not: qos"),
        ("a/#", "not: retained"),
        ("b", "not: topic"),
        ("a/+", "not: retained"),
        ("a/b", "not: retained"),
    ]
    assert explanation.winner is None
    wide = explain(grants, Request(Action.SUBSCRIBE, "$share/g/a/+", 0, None, "z"), NOW)
    assert [each.words for each in wide.verdicts] == ["overlaps", "not: topic"]
    assert wide.reach is not None
    assert (wide.reach.topic, wide.winner) == ("a/+", grants.program.index.rules[6])
