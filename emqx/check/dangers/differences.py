"""Everything else in which the broker is not as `mchat emqx apply` makes it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from emqx.api.objects import ConfiguredObject
from emqx.check.case import Case
from emqx.check.dangers.caches import GROUP_DENIES, caches
from emqx.check.dangers.events import FIELDS, RULE, STATUS_RULE, events
from emqx.check.durations import seconds
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

# Told by the other modules, whatever is there instead.
_TOLD = frozenset(
    (
        *("enable", "url", "method", "body", "connector"),
        *("parameters.path", "parameters.method", "parameters.body"),
    )
)


def everything_else(case: Case) -> Iterator[Finding]:
    """Compare each object that is there with the one that is wanted."""
    actual, desired = case.actual, case.desired
    yield from _compared(
        case, AUTHN, AUTHENTICATOR, actual.authenticator(AUTHENTICATOR), desired.authenticator
    )
    for source in desired.sources:
        kind = source["type"]
        yield from _compared(case, AUTHZ, f"source {kind}", actual.source(kind), source)
    for name, there, wanted in (
        (f"connector {desired.connector_id}", actual.connector(desired.connector_id), desired.connector),
        (f"action {desired.action_id}", actual.action(desired.action_id), desired.action),
        *((f"rule {rule['id']}", actual.rule(rule["id"]), rule) for rule in desired.rules),
    ):
        yield from _compared(case, EVENTS, name, there, wanted)
    cache = actual.authorization_settings.get("cache")
    excludes = cache.get("excludes") if isinstance(cache, Mapping) else None
    # Those that are wanted, by name; more of them is no less.
    unnamed = [text for text in desired.authorization["cache"]["excludes"] if text not in (excludes or ())]
    if unnamed and not any(one.kind is GROUP_DENIES for one in caches(case)):
        yield AUTHZ.found(f"authorization.cache.excludes = {excludes}, {unnamed} are wanted too")
    zone = actual.global_zone.masked()
    for name in differences(zone["mqtt"], desired.mqtt):
        yield MQTT.found(f"mqtt.{name} = {zone['mqtt'].get(name)}, {desired.mqtt[name]} is wanted")


def _compared(
    case: Case, kind: Kind, name: str, there: ConfiguredObject | None, wanted: Mapping[str, Any]
) -> Iterator[Finding]:
    if there is None:
        return
    shown = there.masked()
    for path in differences(shown, wanted):
        if not _is_told(case, kind, path, _at(shown, path), _at(wanted, path)):
            yield kind.found(f"{name} has {path} = {_at(shown, path)}, {_at(wanted, path)} is wanted")


def _is_told(case: Case, kind: Kind, path: str, there: Any, wanted: Any) -> bool:
    """Whether another module tells it: what is a danger to one side is a difference to the other."""
    if path in ("sql", "actions"):
        return any(one.kind in (RULE, STATUS_RULE, FIELDS) for one in events(case))
    if path == "pool_size":
        return kind is not EVENTS and isinstance(there, int) and there < wanted
    if path == "resource_opts.health_check_interval":
        return (seconds(there) or 0.0) > (seconds(wanted) or 0.0)
    if path == "resource_opts.request_ttl":
        return (seconds(there) or 0.0) < (seconds(wanted) or 0.0)
    if path == "description":  # the mark of the gateway's zone
        return case.desired.listener is not None
    return path in _TOLD or path == "headers.authorization"


def _at(value: Any, path: str) -> object:
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return "nothing" if value is None else value
