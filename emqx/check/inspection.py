"""The whole check of one broker, and every kind of thing that it can find."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from emqx.check.case import Case
from emqx.check.dangers import (
    attributes,
    authenticators,
    bodies,
    caches,
    detours,
    differences,
    events,
    extensions,
    gateway,
    links,
    listeners,
    sessions,
    sources,
    versions,
)
from emqx.check.findings import Finding, Kind

INSPECTIONS: tuple[Callable[[Case], Iterator[Finding]], ...] = (
    versions.versions,
    authenticators.authenticators,
    sources.sources,
    sources.beside_the_sources,
    sources.common_rules,
    links.links,
    bodies.bodies,
    caches.caches,
    listeners.listeners,
    attributes.attributes,
    detours.rewrites,
    detours.republishing,
    detours.bridges,
    extensions.extensions,
    sessions.sessions,
    events.events,
    gateway.gateway,
    differences.everything_else,
)

KINDS: tuple[Kind, ...] = (
    *versions.KINDS,
    *authenticators.KINDS,
    *sources.KINDS,
    *links.KINDS,
    *bodies.KINDS,
    *caches.KINDS,
    *listeners.KINDS,
    *attributes.KINDS,
    *detours.KINDS,
    *extensions.KINDS,
    *sessions.KINDS,
    *events.KINDS,
    *gateway.KINDS,
    *differences.KINDS,
)
"""Everything that can be found, as docs/emqx-check.md lists it."""

_ORDER = {"danger": 0, "difference": 1, "note": 2}


def inspect(case: Case) -> tuple[Finding, ...]:
    """Everything that is to be told of a broker, dangers first."""
    found = [finding for inspection in INSPECTIONS for finding in inspection(case)]
    return tuple(sorted(found, key=lambda finding: _ORDER[finding.severity]))
