"""What Prometheus reads of the gateway."""

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from gateway.metrics import Metrics, MetricsCollector
from gateway.refusals import Refusals


def test_requests_and_latencies_are_shown_by_action() -> None:
    metrics = Metrics()
    for seconds in (0.0005, 0.002, 30.0):
        metrics.answered("org.tree", 0, seconds)
    metrics.answered("unknown", 400, 0.001)
    metrics.dropped = 3
    metrics.duplicates = 2
    refusals = Refusals(most=1)
    assert [refusals.audited("a", 0) for _ in range(5)] == [True, *[False] * 4]
    registry = CollectorRegistry()
    registry.register(MetricsCollector(metrics, refusals))
    shown = generate_latest(registry).decode()
    for line in (
        'mchat_gateway_requests_total{action="org.tree",code="0"} 3.0',
        'mchat_gateway_requests_total{action="unknown",code="400"} 1.0',
        "mchat_gateway_dropped_total 3.0",
        "mchat_gateway_duplicates_total 2.0",
        'mchat_gateway_latency_seconds_bucket{action="org.tree",le="0.001"} 1.0',
        'mchat_gateway_latency_seconds_bucket{action="org.tree",le="0.0025"} 2.0',
        'mchat_gateway_latency_seconds_bucket{action="org.tree",le="+Inf"} 3.0',
        'mchat_gateway_latency_seconds_count{action="org.tree"} 3.0',
        "mchat_gateway_unaudited_total 4.0",
    ):
        assert line in shown.splitlines()
    assert sum(seconds for _, _, seconds in metrics.latencies()) == pytest.approx(30.0035)
