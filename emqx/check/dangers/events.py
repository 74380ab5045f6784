"""What the broker tells us of: who came, who went, who subscribed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from emqx.api.rule_engine import EngineRule
from emqx.check.case import Case
from emqx.check.durations import seconds
from emqx.check.findings import Finding, danger
from emqx.check.reach import covers

RULE = danger(
    "events.rule",
    "MChat does not learn who came, went or subscribed: presence is wrong, and revocation finds sessions later.",
    "contract section 4",
)
STATUS_RULE = danger(
    "events.status_rule",
    "MChat does not learn what people say of themselves on their status topics, wills among it.",
    "contract 4.5",
)
FIELDS = danger(
    "events.fields",
    "Events come without fields that MChat needs, or some of them not at all; without `connected_at` and `node` "
    "nobody knows which of two sessions an event is about.",
    "contract 4.2 and 4.4",
)
ACTION = danger(
    "events.action",
    "What the rules select goes nowhere, or where MChat does not read it.",
    "contract 4.6",
)
CONNECTOR = danger(
    "events.connector",
    "What the rules select goes nowhere.",
    "contract 4.6",
)
HEALTH_CHECK = danger(
    "events.health_check",
    "After each restart of the hooks, half a second even, all events are held back until the next health check: 10 to "
    "15 s with EMQX's own interval.",
    "emqx-measured, first list, 5",
)
REQUEST_TTL = danger(
    "events.request_ttl",
    "Events of an outage that lasts longer are lost: with EMQX's own 45 s, those of every slow restart.",
    "emqx-measured, first list, 5",
)

KINDS = (RULE, STATUS_RULE, FIELDS, ACTION, CONNECTOR, HEALTH_CHECK, REQUEST_TTL)

_SQL = re.compile(r"\s*SELECT\b(?P<fields>.*?)\bFROM\b(?P<rest>.*)", re.IGNORECASE | re.DOTALL)
_CLAUSE = re.compile(r"\bWHERE\b.*", re.IGNORECASE | re.DOTALL)
_TOPIC = re.compile(r'"([^"]+)"')
# 5.10 and later have both names of an event (contract 4.1).
_SPACED = re.compile(r"^\$events/(client|session)/")


def events(case: Case) -> Iterator[Finding]:
    """See that every wanted event comes, whole and soon."""
    yield from _rules(case)
    yield from _action(case)
    connector = case.actual.connector(case.desired.connector_id)
    if connector is None:
        yield CONNECTOR.found(f"there is no connector {case.desired.connector_id}")
        return
    if not connector.enabled:
        yield CONNECTOR.found(f"connector {connector.id} is disabled")
    options = connector.get("resource_opts")
    yield from _health(f"connector {connector.id}", options, case.desired.connector["resource_opts"])


def _rules(case: Case) -> Iterator[Finding]:
    ours = [
        rule
        for rule in case.actual.rules
        if rule.enabled and case.desired.action_id in rule.actions and _selected(rule)
    ]
    whole = [rule for rule in ours if _is_whole(rule)]
    for wanted in case.desired.rules:
        topics = _topics(wanted["sql"])
        kind = RULE if any(topic.startswith("$events/") for topic in topics) else STATUS_RULE
        missing = [topic for topic in topics if not _tells(whole, topic)]
        cut = [topic for topic in missing if _tells(ours, topic)]
        if cut:
            names = ", ".join(rule.id for rule in ours if rule not in whole)
            yield FIELDS.found(f"{names} does not select all (`SELECT *`, no WHERE) of {', '.join(cut)}")
        gone = [topic for topic in missing if topic not in cut]
        if gone:
            yield kind.found(f"{_state(case, wanted['id'])}: nothing selects {', '.join(gone)}")


def _state(case: Case, identifier: str) -> str:
    rule = case.actual.rule(identifier)
    if rule is None:
        return f"there is no rule {identifier}"
    if not rule.enabled:
        return f"rule {identifier} is disabled"
    if case.desired.action_id not in rule.actions:
        return f"rule {identifier} does not use {case.desired.action_id}"
    return f"rule {identifier} selects something else"


def _tells(rules: list[EngineRule], topic: str) -> bool:
    for rule in rules:
        for selected in _selected(rule):
            if selected == topic or (not topic.startswith("$") and covers(selected, topic)):
                return True
    return False


def _selected(rule: EngineRule) -> tuple[str, ...]:
    return tuple(_SPACED.sub(r"$events/\1_", topic) for topic in _topics(rule.sql))


def _topics(sql: str) -> tuple[str, ...]:
    found = _SQL.fullmatch(sql)
    return tuple(_TOPIC.findall(_CLAUSE.sub("", found["rest"]))) if found else ()


def _is_whole(rule: EngineRule) -> bool:
    found = _SQL.fullmatch(rule.sql)
    return found is not None and found["fields"].strip() == "*" and _CLAUSE.search(found["rest"]) is None


def _action(case: Case) -> Iterator[Finding]:
    wanted = case.desired.action
    action = case.actual.action(case.desired.action_id)
    if action is None:
        yield ACTION.found(f"there is no action {case.desired.action_id}")
        return
    if not action.enabled:
        yield ACTION.found(f"action {action.id} is disabled")
    if action.get("connector") != wanted["connector"]:
        yield ACTION.found(f"action {action.id} uses the connector {action.get('connector')}")
    parameters = _of(action.get("parameters"))
    for name in ("path", "method"):
        if parameters.get(name) != wanted["parameters"][name]:
            yield ACTION.found(f"action {action.id} has {name} = {parameters.get(name)}")
    if parameters.get("body") != wanted["parameters"]["body"]:
        yield FIELDS.found(f"action {action.id} sends {parameters.get('body')!r} and not the whole event")
    options = _of(action.get("resource_opts"))
    yield from _health(f"action {action.id}", options, wanted["resource_opts"])
    ttl, least = options.get("request_ttl", "45s"), wanted["resource_opts"]["request_ttl"]
    if (seconds(ttl) or 0.0) < (seconds(least) or 0.0):
        yield REQUEST_TTL.found(f"action {action.id} has request_ttl = {ttl}, {least} is wanted")


def _health(name: str, options: object, wanted: Mapping[str, Any]) -> Iterator[Finding]:
    interval = _of(options).get("health_check_interval", "15s")
    longest = wanted["health_check_interval"]
    found = seconds(interval)
    if found is None or found > (seconds(longest) or 0.0):
        yield HEALTH_CHECK.found(f"{name} has health_check_interval = {interval}, {longest} is wanted")


def _of(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
