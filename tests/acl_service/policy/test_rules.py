from collections.abc import Callable

import pytest

from acl_service.policy.rules import (
    MAX_PRIORITY,
    Action,
    Effect,
    Placeholder,
    Rule,
    RuleError,
    Template,
    exception,
)


def test_a_template_has_literal_levels_wildcards_and_placeholders() -> None:
    template = Template.parse("a/${client_id}/+/${group_id}/#")
    assert template.levels == ("a", Placeholder.CLIENT_ID, "+", Placeholder.GROUP_ID, "#")
    assert template.placeholders == {Placeholder.CLIENT_ID, Placeholder.GROUP_ID}
    assert template.wildcards
    assert template.render({Placeholder.CLIENT_ID: "c", Placeholder.GROUP_ID: "g"}) == "a/c/+/g/#"
    assert template.render({Placeholder.CLIENT_ID: "c", Placeholder.GROUP_ID: None}) is None


@pytest.mark.parametrize(
    ("text", "service", "levels"),
    [
        ("${service}/a", "acme", ("acme", "a")),
        ("${service}/a", "", ("a",)),
        ("${service}/#", "", ("#",)),
        ("a/${service}/b", "", ("a", "b")),
        ("${service}//a", "", ("", "a")),
        ("$SYS/a", "", ("$SYS", "a")),
    ],
)
def test_the_service_is_a_level_or_vanishes(text: str, service: str, levels: tuple[str, ...]) -> None:
    assert Template.parse(text, service).levels == levels


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a/x${client_id}", "whole level"),
        ("a/${client_id}${group_id}", "whole level"),
        ("a/${service}x", "whole level"),
        ("a/${client_id", "whole level"),
        ("a/${user}", r"unknown placeholder '\$\{user\}'.*client_id"),
        ("a/${}/b", "unknown placeholder"),
        ("a/${CLIENT_ID}", "unknown placeholder"),
        ("a/#/b", "last level"),
        ("a+", "alone"),
        ("", "at least one character"),
        ("${service}", "at least one character"),
    ],
)
def test_a_template_that_cannot_be_says_why(text: str, words: str) -> None:
    with pytest.raises(RuleError, match=words):
        Template.parse(text)


@pytest.mark.parametrize("service", ["a/b", "+", "a#", "$x", "a\0"])
def test_a_service_id_is_one_plain_level(service: str) -> None:
    with pytest.raises(RuleError, match="service id"):
        Template.parse("a", service)


@pytest.mark.parametrize(
    ("text", "wide"),
    [
        *[
            ("#", True),
            ("+/#", True),
            ("mchat/#", True),
            ("${service}/#", True),
            ("${service}/mchat/#", True),
        ],
        *[("mchat/+/#", True), ("$SYS/#", True), ("+", True), ("+/+", True), ("${service}/+", True)],
        *[("mchat/msg/#", False), ("mchat/+/${client_id}/#", False), ("+/status", False), ("mchat", False)],
        *[("mchat/+", False), ("a/${client_id}/#", False)],
    ],
)
def test_a_template_is_wide_if_it_says_hardly_what_it_is_about(text: str, wide: bool) -> None:
    assert Template.parse(text, "acme").wide is wide


def build(action: Action = Action.ALL, topic: str = "a", **conditions: object) -> Callable[[], Rule]:
    known: dict[str, object] = {"source": "test", "reason": "test", **conditions}
    return lambda: Rule("1", Effect.ALLOW, action, Template.parse(topic), **known)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (build(priority=MAX_PRIORITY + 1), "priority"),
        (build(qos=frozenset({3})), r"qos \[3\]"),
        (build(qos=frozenset()), "qos"),
        (build(only=True), "only.*subscribe"),
        (build(Action.SUBSCRIBE, retain=False), "retain"),
        (build(zone=""), "zone"),
        (build(valid_from_ms=5, valid_until_ms=5), "5 ms"),
        (build(topic="$share/g/a"), "prefix"),
        (build(Action.SUBSCRIBE, "$queue/a"), "prefix"),
        (build(Action.PUBLISH, "$delayed/1/a"), "prefix"),
    ],
)
def test_a_rule_whose_parts_do_not_agree_is_refused(bad: Callable[[], Rule], words: str) -> None:
    with pytest.raises(RuleError, match=words):
        bad()


def test_an_ordinary_topic_of_a_publish_may_look_like_a_prefix_of_subscribes() -> None:
    assert build(Action.PUBLISH, "$share/g/a")().template.text == "$share/g/a"


def test_an_exception_names_its_row_and_author() -> None:
    rule = exception(
        id=12,
        author="ann",
        effect="deny",
        action="publish",
        filter="${service}/a",
        reason="spam",
        service="acme",
    )
    assert (rule.source, rule.reason) == ("exception 12 by ann", "spam")
    assert (rule.effect, rule.action, rule.template.levels) == (Effect.DENY, Action.PUBLISH, ("acme", "a"))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"effect": "maybe"}, "exception 12: effect 'maybe': write one of allow, deny"),
        ({"action": "pub"}, "exception 12: action 'pub': write one of publish, subscribe, all"),
        ({"filter": "a/#/b"}, "exception 12: topic"),
        ({"qos": [5]}, "exception 12: qos"),
    ],
)
def test_a_bad_exception_says_which_and_why(changed: dict[str, object], words: str) -> None:
    row: dict[str, object] = {"id": 12, "author": "ann", "effect": "deny", "action": "publish", "filter": "a"}
    with pytest.raises(RuleError, match=words):
        exception(**{**row, "reason": "x", **changed})  # type: ignore[arg-type]
