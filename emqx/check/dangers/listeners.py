"""Where clients connect: whether they are asked who they are, and what stands before their topics."""

from __future__ import annotations

from collections.abc import Iterator

from emqx.check.case import Case
from emqx.check.findings import Finding, danger, difference, note

NO_AUTHN = danger(
    "listener.no_authn",
    "Whoever connects there comes in unasked, under any client id and user name.",
    "contract 1.1, `enable_authn`",
    "set `enable_authn = true` on the listener, then kick who came in through it",
)
OWN_AUTHN = danger(
    "listener.own_authn",
    "A listener with authenticators of its own asks them instead of the chain of all: who comes in there never was "
    "MChat's to say.",
    "EMQX's listener option `authentication`",
    "take `authentication` out of the listener, then kick who came in through it",
)
QUICK_DENY = difference(
    "listener.quick_deny",
    "Clients that send neither user name nor password are refused without being asked about: those with a "
    "certificate alone among them.",
    "contract 1.1, `enable_authn = quick_deny_anonymous`",
    "set `enable_authn = true` on the listener, unless that is meant",
)
MOUNTPOINT = danger(
    "listener.mountpoint",
    "A right is about the topic behind the mountpoint that the policy states for the zone. Behind another one it "
    "would be about somebody else's topic, so MChat refuses everything there.",
    'emqx-measured, "Zones and mountpoints"; docs/policy.md',
    "give the listener the mountpoint that the policy states under [zones], or state the listener's there",
)
ZONE_WITHOUT_LISTENER = difference(
    "listener.none_of_zone",
    "The policy states a mountpoint for a zone that no listener has: nobody can use its rights.",
    "docs/policy.md",
    "give a listener that zone and mountpoint, or take the zone out of the policy",
)
PROXY_PROTOCOL = difference(
    "listener.proxy_protocol",
    "The address of a client is what the caller says it is: who reaches the listener without the proxy chooses his "
    "own, and with it whom a lock-out by address counts against.",
    "contract 1.2, `peerhost`",
    "let only the proxy reach that listener",
)
ZONE_UNREAD = note(
    "zone.unread",
    "EMQX's API does not show zones: what such a zone sets for itself, `client_attrs_init` too, was not seen.",
    'emqx-measured, "REST"',
    "see `zones` in the broker's own files; `mchat emqx check --probe` tries what can be tried from outside",
)

KINDS = (NO_AUTHN, OWN_AUTHN, QUICK_DENY, MOUNTPOINT, ZONE_WITHOUT_LISTENER, PROXY_PROTOCOL, ZONE_UNREAD)


def listeners(case: Case) -> Iterator[Finding]:
    """See that every open listener asks, and has the mountpoint of its zone."""
    opened = [listener for listener in case.actual.listeners if listener.enabled]
    for listener in opened:
        if listener.asks is False:
            yield NO_AUTHN.found(f"{listener.id} ({listener.bind}) has enable_authn = false")
        elif listener.asks is not True:
            yield QUICK_DENY.found(f"{listener.id} ({listener.bind}) has enable_authn = {listener.asks}")
        if listener.asks is not False and listener.get("authentication"):
            yield OWN_AUTHN.found(f"{listener.id} ({listener.bind}) has authenticators of its own")
        stated = case.zones.get(listener.zone, "")
        if listener.mountpoint != stated:
            yield MOUNTPOINT.found(
                f"{listener.id} ({listener.bind}), zone {listener.zone}, has {_said(listener.mountpoint)}, and the "
                f"policy states {_said(stated)}"
            )
        if listener.get("proxy_protocol") is True:
            yield PROXY_PROTOCOL.found(f"{listener.id} ({listener.bind}) has proxy_protocol = true")
    there = {listener.zone for listener in opened}
    for zone in sorted(case.zones.keys() - there):
        yield ZONE_WITHOUT_LISTENER.found(f"zone {zone}, mountpoint {case.zones[zone]}")
    for zone in sorted(there - {"default"}):
        users = ", ".join(listener.id for listener in opened if listener.zone == zone)
        yield ZONE_UNREAD.found(f"zone {zone}, of {users}")


def _said(mountpoint: str) -> str:
    return f"mountpoint {mountpoint!r}" if mountpoint else "no mountpoint"
