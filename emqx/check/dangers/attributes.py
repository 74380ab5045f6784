"""What the broker puts into a session by itself: the attributes that our answers speak in, and other names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from emqx.check.case import Case
from emqx.check.findings import Finding, danger, difference

OURS = frozenset({"employee_id", "role", "grants_version", "credential_id", "zone", "told"})
"""What the answer to authn sets (`acl_service/hooks/authn.py`), and authz and enforcement read back."""

TNS = "tns"

INITIAL_ATTRIBUTES = danger(
    "attributes.initial",
    "A client chooses who it is: attributes made of what it sends stand in questions to authz, and in the broker's "
    "list of sessions, wherever our answer does not put its own in their place. `tns` makes it a tenant, whose events "
    "our rules do not see.",
    "contract fact 7, 1.4 and 4.4 (namespace trap)",
    "take these entries out of `mqtt.client_attrs_init`; give attributes of your own other names",
)
OTHER_NAMES = difference(
    "attributes.names",
    "The client id or user name is another than the client sent: it looks for its answers under the one it knows.",
    "EMQX's `mqtt` settings",
    "set it back to its default, unless the clients know of it",
)
SWITCHED_OFF = difference(
    "mqtt.switched_off",
    "Something that the topics of the policy need is switched off: subscriptions of the gateway's share group, with "
    "wildcards, or retained states.",
    "EMQX's `mqtt` settings",
    "set it to true",
)
DURABLE = difference(
    "mqtt.durable_sessions",
    "Subscriptions of a durable session that is away cannot be taken by REST: whoever loses a right while away loses "
    "the session, and what waits in it.",
    "contract 5.4 (404), decision 8",
    "set `durable_sessions.enable = false`, unless that is meant",
)

KINDS = (INITIAL_ATTRIBUTES, OTHER_NAMES, SWITCHED_OFF, DURABLE)

_DEFAULTS: Mapping[str, object] = {
    "use_username_as_clientid": False,
    "peer_cert_as_username": "disabled",
    "peer_cert_as_clientid": "disabled",
    "clientid_override": "disabled",
}
_NEEDED = ("shared_subscription", "wildcard_subscription", "retain_available")


def attributes(case: Case) -> Iterator[Finding]:
    """See that nothing but our answers says who a session is."""
    mqtt = cast("Mapping[str, Any]", case.actual.global_zone.get("mqtt"))
    for entry in mqtt.get("client_attrs_init") or ():
        name = entry.get("set_as_attr") if isinstance(entry, Mapping) else None
        if name in OURS or name == TNS:
            expression = entry.get("expression")
            yield INITIAL_ATTRIBUTES.found(f"mqtt.client_attrs_init sets {name} = {expression}")
    for name, default in _DEFAULTS.items():
        if mqtt.get(name, default) != default:
            yield OTHER_NAMES.found(f"mqtt.{name} = {_written(mqtt[name])}")
    for name in _NEEDED:
        if mqtt.get(name, True) is False:
            yield SWITCHED_OFF.found(f"mqtt.{name} = false")
    if _switch(case.actual.root("retainer")) is False:
        yield SWITCHED_OFF.found("retainer.enable = false")
    if _switch(case.actual.global_zone.get("durable_sessions")) is True:
        yield DURABLE.found("durable_sessions.enable = true")


def _switch(root: object) -> object:
    return root.get("enable") if isinstance(root, Mapping) else None


def _written(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
