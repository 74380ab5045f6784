"""Steps to what flows: messages that wait, the gateway's zone and group, events."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from emqx.apply.comparison import changed_fields, inner
from emqx.apply.steps import Deed, Step
from emqx.check.state import Actual
from emqx.desired.broker import Desired
from emqx.desired.likeness import differences

Json = dict[str, Any]


def limits(actual: Actual, wanted: Desired) -> Iterator[Step]:
    """People's sessions, the gateway's zone and the strategy of its share group."""
    there = cast("Json", actual.global_zone.get("mqtt"))
    if changed := differences(there, wanted.mqtt):
        said = ", ".join(f"{name} {there.get(name)} → {wanted.mqtt[name]}" for name in changed)
        body = {"mqtt": {name: wanted.mqtt[name] for name in changed}}
        yield Step(Deed.MERGE, f"sessions of people: {said}", "mqtt", body)
    group = inner(actual.broker.get("shared_subscription_group"), wanted.share_group)
    if group.get("strategy") != wanted.share_strategy:
        said = f"share group {wanted.share_group}: {wanted.share_strategy}, which keeps each sender's order"
        strategy = {wanted.share_group: {"strategy": wanted.share_strategy}}
        yield Step(Deed.MERGE, said, "broker", {"broker": {"shared_subscription_group": strategy}})
    connector = actual.connector(wanted.connector_id)
    marked = connector is not None and connector.get("description") == wanted.connector["description"]
    # EMQX shows no zone; the connector's description, written after it, says which values were set.
    if wanted.listener is not None and not marked:
        zone = {wanted.zone_name: wanted.zone}
        yield Step(
            Deed.MERGE, f"zone {wanted.zone_name}: room for the gateway's messages", "zones", {"zones": zone}
        )


def events(actual: Actual, wanted: Desired) -> Iterator[Step]:
    """The connector, the action and the rules."""
    connector, action = actual.connector(wanted.connector_id), actual.action(wanted.action_id)
    body = _unnamed(wanted.connector)
    if connector is None:
        yield Step(
            Deed.CREATE_CONNECTOR, "events: add the connector to MChat", wanted.connector_id, wanted.connector
        )
    else:
        clear = inner(inner(actual.root("connectors"), "http"), wanted.connector["name"])
        if changed := changed_fields(connector.writable(), body, clear or None, wanted):
            line = f"events: set {', '.join(changed)} of the connector to MChat"
            yield Step(Deed.PUT_CONNECTOR, line, wanted.connector_id, body)
    if action is None:
        yield Step(
            Deed.CREATE_ACTION, "events: add the action that sends them", wanted.action_id, wanted.action
        )
    elif changed := differences(action.writable(), _unnamed(wanted.action)):
        line = f"events: set {', '.join(changed)} of the action that sends them"
        yield Step(Deed.PUT_ACTION, line, wanted.action_id, _unnamed(wanted.action))
    for rule in wanted.rules:
        found = actual.rule(rule["id"])
        rule_body = {name: value for name, value in rule.items() if name != "id"}
        if found is None:
            yield Step(Deed.PUT_RULE, f"events: add the rule {rule['id']}", rule["id"], rule_body)
        elif changed := differences(found.writable(), rule_body):
            line = f"events: set {', '.join(changed)} of the rule {rule['id']}"
            yield Step(Deed.PUT_RULE, line, rule["id"], rule_body)


def _unnamed(body: Json) -> Json:
    return {name: value for name, value in body.items() if name not in ("type", "name")}
