"""What the gateway counts: plain integers on the way of a request, read by Prometheus only when it asks."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric

from gateway.refusals import Refusals

BUCKETS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Upper bounds of the latency histogram, seconds."""


class Metrics:
    """Counts requests.

    Attributes:
        requests: By action and code; an action that there is none of counts as `unknown`.
        dropped: Requests whose topic has no valid client or sequence id: they have no answer.
        duplicates: Mutating requests that were carried out before.
    """

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, int]] = Counter()
        self.dropped = 0
        self.duplicates = 0
        self._buckets: dict[str, list[int]] = {}
        self._seconds: Counter[str] = Counter()

    def answered(self, action: str, code: int, seconds: float) -> None:
        """Count an answer and how long it took from the request's arrival."""
        self.requests[action, code] += 1
        counts = self._buckets.get(action)
        if counts is None:
            counts = self._buckets[action] = [0] * (len(BUCKETS_S) + 1)
        counts[bisect_left(BUCKETS_S, seconds)] += 1
        self._seconds[action] += seconds  # type: ignore[assignment]

    def latencies(self) -> Iterator[tuple[str, list[tuple[str, float]], float]]:
        """Yield each action with its cumulated buckets and its seconds in all."""
        for action, counts in self._buckets.items():
            total, buckets = 0, []
            for bound, count in zip((*BUCKETS_S, float("inf")), counts, strict=True):
                total += count
                buckets.append(("+Inf" if bound == float("inf") else str(bound), float(total)))
            yield action, buckets, self._seconds[action]


class MetricsCollector:
    """Gives Prometheus the counts at the time of the scrape.

    Args:
        metrics: of requests.
        refusals: of those that were refused.
    """

    def __init__(self, metrics: Metrics, refusals: Refusals) -> None:
        self._metrics = metrics
        self._refusals = refusals

    def describe(self) -> Iterable[Metric]:
        """Name nothing in advance (`prometheus_client`)."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield the present values."""
        metrics = self._metrics
        requests = CounterMetricFamily(
            "mchat_gateway_requests", "Requests answered", labels=("action", "code")
        )
        for (action, code), count in metrics.requests.items():
            requests.add_metric((action, str(code)), count)
        yield requests
        yield CounterMetricFamily(
            "mchat_gateway_dropped", "Requests without a valid client or sequence id", value=metrics.dropped
        )
        yield CounterMetricFamily(
            "mchat_gateway_duplicates", "Requests that were carried out before", value=metrics.duplicates
        )
        yield CounterMetricFamily(
            "mchat_gateway_unaudited",
            "Refused requests without a row of the audit, their client having had too many in a minute",
            value=self._refusals.unaudited,
        )
        latency = HistogramMetricFamily(
            "mchat_gateway_latency_seconds", "From a request's arrival to its answer", labels=("action",)
        )
        for action, buckets, seconds in metrics.latencies():
            latency.add_metric((action,), buckets, seconds)
        yield latency
