"""What presence did, as metrics."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge


class Counters:
    """Counts; one a process.

    Args:
        registry: where the metrics are shown.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._facts = Counter(
            "mchat_presence_facts",
            "What was heard of connections, by what it meant",
            ["kind"],
            registry=registry,
        )
        self._events = Counter("mchat_presence_events", "Events taken in", ["use"], registry=registry)
        self._contradictions = Counter(
            "mchat_presence_contradictions",
            "Messages on status topics that are no projection of ours",
            registry=registry,
        )
        self._published = Counter(
            "mchat_presence_published", "Projections published", ["why"], registry=registry
        )
        self._insistent = Counter(
            "mchat_presence_insistent",
            "Reports of people whose status is contradicted again and again",
            registry=registry,
        )
        self._failures = Counter(
            "mchat_presence_failures", "Attempts that failed and are repeated", ["at"], registry=registry
        )
        self._reconciled = Counter(
            "mchat_presence_reconciled", "Reconciliations with the broker's list", ["why"], registry=registry
        )
        self._repaired = Counter(
            "mchat_presence_repairs", "What reconciliation found and repaired", ["what"], registry=registry
        )
        self._intruders = Counter(
            "mchat_presence_intruders",
            "Clients that nobody let in, by what was done",
            ["done"],
            registry=registry,
        )
        self._unaddressable = Gauge(
            "mchat_presence_unaddressable", "Intruders that cannot be kicked: an alarm", registry=registry
        )

    def facts(self, kinds: Mapping[str, int]) -> None:
        """Count what facts meant (`fold.Kind`)."""
        for kind, count in kinds.items():
            self._facts.labels(kind).inc(count)

    def events(self, taken: int, unread: int, late: int) -> None:
        """Count events: all that were taken in, those that said nothing, those whose number came after greater ones."""
        for use, count in (("taken", taken), ("unread", unread), ("late", late)):
            self._events.labels(use).inc(count)

    def contradictions(self, count: int) -> None:
        """Count messages that contradict a projection."""
        self._contradictions.inc(count)

    def published(self, why: str, count: int) -> None:
        """Count projections that the broker took: `changed` or `contradicted`."""
        self._published.labels(why).inc(count)

    def insistent(self) -> None:
        """Count a report of somebody who goes on contradicting."""
        self._insistent.inc()

    def failed(self, at: str) -> None:
        """Count an attempt that is repeated."""
        self._failures.labels(at).inc()

    def reconciled(self, why: str) -> None:
        """Count a reconciliation: at the `start`, by the `timer`, after a `gap` or a `silence`."""
        self._reconciled.labels(why).inc()

    def repaired(self, what: str, count: int) -> None:
        """Count repairs."""
        self._repaired.labels(what).inc(count)

    def intruders(self, done: str, count: int) -> None:
        """Count intruders: `seen` for the first time, `kicked`."""
        self._intruders.labels(done).inc(count)

    def unaddressable(self, count: int) -> None:
        """Say how many intruders cannot be kicked."""
        self._unaddressable.set(count)
