"""Everything else in which the broker is not as `mchat emqx apply` makes it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from emqx.api.objects import ConfiguredObject
from emqx.check.case import Case
from emqx.check.findings import Finding, Kind, difference
from emqx.desired.likeness import differences
from emqx.desired.questions import AUTHENTICATOR

AUTHN = difference("authn.differs", "A value of the authenticator is another.", "docs/emqx.md")
AUTHZ = difference("authz.differs", "A value of an authorization source is another.", "docs/emqx.md")
EVENTS = difference(
    "events.differs", "A value of the connector, the action or a rule is another.", "docs/emqx.md"
)
MQTT = difference(
    "mqtt.differs",
    "Sessions of people who are away end sooner or later, or fewer or more messages wait for them.",
    "contract section 9",
)

KINDS = (AUTHN, AUTHZ, EVENTS, MQTT)

# Told as a danger where it is one, by the other modules.
_TOLD = frozenset(
    (
        *("enable", "url", "method", "body", "sql", "actions", "pool_size", "description", "connector"),
        *("parameters.path", "parameters.method", "parameters.body"),
        *("resource_opts.health_check_interval", "resource_opts.request_ttl"),
    )
)


def everything_else(case: Case) -> Iterator[Finding]:
    """Compare each object that is there with the one that is wanted."""
    actual, desired = case.actual, case.desired
    yield from _compared(AUTHN, AUTHENTICATOR, actual.authenticator(AUTHENTICATOR), {**desired.authenticator})
    for source in desired.sources:
        yield from _compared(AUTHZ, f"source {source['type']}", actual.source(source["type"]), source)
    yield from _compared(
        EVENTS, f"connector {desired.connector_id}", actual.connector(desired.connector_id), desired.connector
    )
    yield from _compared(
        EVENTS, f"action {desired.action_id}", actual.action(desired.action_id), desired.action
    )
    for rule in desired.rules:
        yield from _compared(EVENTS, f"rule {rule['id']}", actual.rule(rule["id"]), rule)
    zone = actual.global_zone.masked()
    for name in differences(zone["mqtt"], desired.mqtt):
        yield MQTT.found(f"mqtt.{name} = {zone['mqtt'].get(name)}, {desired.mqtt[name]} is wanted")


def _compared(
    kind: Kind, name: str, there: ConfiguredObject | None, wanted: Mapping[str, Any]
) -> Iterator[Finding]:
    if there is None:
        return
    shown = there.masked()
    for path in differences(shown, wanted):
        if path not in _TOLD and not path.startswith("headers.authorization"):
            yield kind.found(f"{name} has {path} = {_at(shown, path)}, {_at(wanted, path)} is wanted")


def _at(value: Any, path: str) -> object:
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return "nothing" if value is None else value
