"""What enforcement did and how long it took: metrics, and what health says of it."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from acl_service.enforcement.settled import Settled

_SECONDS: Final = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 30, 60, 300)


class Ledger:
    """Counts; one a process.

    Args:
        registry: where the metrics are shown.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._enforced = Histogram(
            "mchat_revocation_enforced_seconds",
            "Seconds from the commit of a change until it was in force in the broker",
            ["kind"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._confirmed = Histogram(
            "mchat_revocation_confirmed_seconds",
            "Seconds from the commit of a change until every hook replica had applied it and the broker was seen right",
            ["kind"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._kicked = Counter("mchat_sessions_kicked", "Sessions ended", registry=registry)
        self._unsubscribed = Counter("mchat_subscriptions_ended", "Subscriptions ended", registry=registry)
        self._written = Counter("mchat_acls_written", "Dynamic ACLs written", registry=registry)
        self._late = Counter(
            "mchat_acls_contended", "Dynamic ACLs that another worker was writing", registry=registry
        )
        self._failures = Counter(
            "mchat_enforcement_failures", "Attempts at work of the enforcer that failed", registry=registry
        )
        self._swept = Counter(
            "mchat_sweep_repairs", "What a sweep found and repaired", ["what"], registry=registry
        )
        self._waiting = Gauge("mchat_spread_waiting", "People beside changes who wait", registry=registry)

    def settled(self, done: Settled) -> None:
        """Count what was done to sessions."""
        self._kicked.inc(len(done.kicked))
        self._unsubscribed.inc(len(done.unsubscribed))
        self._written.inc(len(done.written))
        self._late.inc(len(done.held))

    def enforced(self, kind: str, milliseconds: int) -> None:
        """Count a change that is in force, so long after its commit."""
        self._enforced.labels(kind).observe(milliseconds / 1000)

    def confirmed(self, kind: str, milliseconds: int) -> None:
        """Count a change that was seen to be in force for good."""
        self._confirmed.labels(kind).observe(milliseconds / 1000)

    def failed(self) -> None:
        """Count an attempt that failed; it is repeated."""
        self._failures.inc()

    def swept(self, what: str, count: int) -> None:
        """Count what a sweep repaired."""
        self._swept.labels(what).inc(count)

    def waiting(self, count: int) -> None:
        """Say how many wait beside changes."""
        self._waiting.set(count)
