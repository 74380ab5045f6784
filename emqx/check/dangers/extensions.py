"""Parts of EMQX that decide beside us, or let clients in beside the listeners."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from emqx.check.case import Case
from emqx.check.findings import Finding, danger, difference

EXHOOK = danger(
    "extension.exhook",
    "A server behind ExHook may let clients in, allow what we deny, and change messages.",
    "contract 4.8 (authenticate, authorize and message.publish take its answer)",
    "disable the server under `exhook.servers`, or see that it registers none of these hooks",
)
GATEWAY = danger(
    "extension.gateway",
    "A gateway of EMQX (STOMP, CoAP, ExProto …) has listeners and authenticators of its own: without one, everybody "
    "comes in, and its clients publish and subscribe the same topics.",
    "EMQX's `gateway` settings; contract 1.7 for an empty chain",
    "disable it under `gateway`, or give it an authenticator that MChat knows of",
)
PLUGIN = difference(
    "extension.plugin",
    "A plugin can hook into everything; what it does cannot be read.",
    "EMQX's `plugins` settings",
    "know what it does, or disable it",
)
UNREAD = danger(
    "configuration.unread",
    "ExHook, gateways, bridges and secrets can be read nowhere else: they were not seen.",
    'emqx-measured, "REST"',
    "report it with the line that is named; look at these parts in the Dashboard meanwhile",
)

KINDS = (EXHOOK, GATEWAY, PLUGIN, UNREAD)


def extensions(case: Case) -> Iterator[Finding]:
    """See who else decides."""
    actual = case.actual
    if actual.roots is None:
        yield UNREAD.found(actual.unreadable)
    servers = _of(actual.root("exhook")).get("servers")
    for server in servers if isinstance(servers, list) else ():
        if _enabled(server):
            yield EXHOOK.found(f"server {_of(server).get('name', '')}")
    for name, gateway in _of(actual.root("gateway")).items():
        if _enabled(gateway):
            yield GATEWAY.found(f"gateway {name}")
    states = _of(actual.root("plugins")).get("states")
    for state in states if isinstance(states, list) else ():
        if _enabled(state):
            yield PLUGIN.found(f"plugin {_of(state).get('name_vsn', '')}")


def _of(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def _enabled(value: object) -> bool:
    return _of(value).get("enable", True) is not False
