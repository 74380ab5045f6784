"""What the hooks count: plain integers on the hot path, read by Prometheus only when it asks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping

import structlog
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from acl_service.verdict import Refusal

log = structlog.get_logger(__name__)

LINES_PER_SECOND = 10


class Tally:
    """Counts answers by hook and outcome, and logs refusals without letting a flood of them fill the log.

    Args:
        clock: monotonic seconds, for the pace of the log.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._second = 0
        self._lines = 0
        self._unlogged = 0
        self._traced = -1
        self.allowed = {"authn": 0, "authz": 0}
        self.denied: Counter[tuple[str, str]] = Counter()
        self.events: Counter[tuple[str, str]] = Counter()

    def deny(self, hook: str, kind: str, reason: str, **subject: str | None) -> None:
        """Count a refusal and, within the pace, log it with its reason. ``subject`` must hold no secret."""
        self.denied[hook, kind] += 1
        second = int(self._clock())
        if second != self._second:
            if self._unlogged:
                log.warning("refusals not logged one by one", count=self._unlogged)
            self._second, self._lines, self._unlogged = second, 0, 0
        if self._lines >= LINES_PER_SECOND:
            self._unlogged += 1
            return
        self._lines += 1
        shown = {name: _printable(value) for name, value in subject.items()}
        log.info("denied", hook=hook, kind=kind, reason=_printable(reason), **shown)

    def fault(self, hook: str, error: Exception) -> Refusal:
        """A refusal for a fault of ours; its traceback is logged, at most once a second."""
        second = int(self._clock())
        if second != self._traced:
            self._traced = second
            log.error("a fault of ours, denied", hook=hook, exc_info=error)
        return Refusal("fault", f"{type(error).__name__}: {error}")


def _printable(value: str | None) -> str | None:
    """The text as a terminal may show it: names come from strangers and may hold escape sequences."""
    return value if value is None or value.isprintable() else repr(value)


class TallyCollector:
    """Gives Prometheus a tally and some gauges at the time of the scrape."""

    def __init__(self, tally: Tally, gauges: Mapping[str, tuple[str, Callable[[], float]]]) -> None:
        self._tally = tally
        self._gauges = gauges

    def describe(self) -> Iterable[Metric]:
        """Name nothing in advance: registering must not read the gauges."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield the present values."""
        answers = CounterMetricFamily(
            "mchat_hook_answers", "Answers of the hooks", labels=("hook", "result", "kind")
        )
        for hook, count in self._tally.allowed.items():
            answers.add_metric((hook, "allow", ""), count)
        for (hook, kind), count in self._tally.denied.items():
            answers.add_metric((hook, "deny", kind), count)
        yield answers
        events = CounterMetricFamily("mchat_events", "Events received", labels=("event", "outcome"))
        for (event, outcome), count in self._tally.events.items():
            events.add_metric((event, outcome), count)
        yield events
        for name, (help_, read) in self._gauges.items():
            yield GaugeMetricFamily(name, help_, value=read())
