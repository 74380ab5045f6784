"""The gateway's share group, its listener and its zone: so that no request is lost or overtakes another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from emqx.check.case import Case
from emqx.check.findings import Finding, danger, difference
from emqx.desired.likeness import differences

STRATEGY = danger(
    "gateway.strategy",
    "Requests of one sender go to several gateways and overtake each other.",
    "emqx-measured, first list, 2",
)
LISTENER = danger(
    "gateway.listener",
    "The gateway shares the limits of people: 32 messages in hand and 1,000 that wait; of a burst the rest is dropped "
    "while senders are told that it arrived.",
    'emqx-measured, first list, 4, and "A subscriber that does not acknowledge"',
)
ZONE = danger(
    "gateway.zone",
    "The gateway's listener is of another zone, so it has the limits of that one.",
    "emqx-measured, first list, 4",
    "delete that listener (Dashboard, or `DELETE /listeners/ID`) and run `mchat emqx apply`",
)
LIMITS = danger(
    "gateway.limits",
    "A long queue without a larger heap and mailbox gets the gateway's connection killed, and all of it lost.",
    "emqx-measured, first list, 4",
)
BIND = difference(
    "gateway.bind",
    "The gateway's listener is at another address than the settings say.",
    "MCHAT_EMQX_GATEWAY_BIND",
    "delete that listener and run `mchat emqx apply`, or correct MCHAT_EMQX_GATEWAY_BIND",
)
MARK = difference(
    "gateway.zone_mark",
    "The zone's values were last set by another version of the settings, or by hand: EMQX shows no zone, only the "
    "mark in the connector's description tells.",
    'emqx-measured, "REST"',
)

KINDS = (STRATEGY, LISTENER, ZONE, LIMITS, BIND, MARK)


def gateway(case: Case) -> Iterator[Finding]:
    """See that the gateway has what it needs."""
    actual, desired = case.actual, case.desired
    strategy = _strategy(case)
    if strategy != desired.share_strategy:
        yield STRATEGY.found(
            f"share group {desired.share_group} is spread by {strategy}, {desired.share_strategy} is wanted"
        )
    wanted = desired.listener
    if wanted is None:
        return
    listener = actual.listener(desired.listener_id)
    if listener is None or not listener.enabled:
        how = "there is no listener" if listener is None else "disabled is the listener"
        yield LISTENER.found(f"{how} {desired.listener_id}")
    else:
        if listener.zone != desired.zone_name:
            yield ZONE.found(f"{listener.id} is of zone {listener.zone}, {desired.zone_name} is wanted")
        if listener.bind != wanted["bind"]:
            yield BIND.found(f"{listener.id} listens on {listener.bind}, {wanted['bind']} is wanted")
    yield from _zone(case)


def _zone(case: Case) -> Iterator[Finding]:
    desired = case.desired
    zones = case.actual.root("zones")
    if isinstance(zones, Mapping):  # in no version up to 6.2
        zone = zones.get(desired.zone_name)
        off = differences(zone if isinstance(zone, Mapping) else {}, desired.zone)
        if off:
            yield LIMITS.found(f"zone {desired.zone_name} differs in {', '.join(off)}")
        return
    connector = case.actual.connector(desired.connector_id)
    if connector is not None and connector.get("description", "") != desired.connector["description"]:
        yield MARK.found(f"zone {desired.zone_name}, by the description of {connector.id}")


def _strategy(case: Case) -> object:
    groups = case.actual.broker.get("shared_subscription_group")
    own = groups.get(case.desired.share_group) if isinstance(groups, Mapping) else None
    if isinstance(own, Mapping) and "strategy" in own:
        return own["strategy"]
    mqtt = case.actual.global_zone.get("mqtt")
    return mqtt.get("shared_subscription_strategy") if isinstance(mqtt, Mapping) else None
