"""How the link stands, for whoever asks over HTTP: `/health/link`, the check of `/health/ready`, and Prometheus."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gateway.figures import zone_fault
from gateway.link import Link
from gateway.settings import GatewaySettings

_COUNTS: Final = {
    "requests": "Requests that came",
    "overloaded": "Requests answered with 503 at once, too much being in hand",
    "overdue": "Requests answered with 503 since they took too long",
    "unanswered": "Requests whose handler failed",
    "dropped": "Retained messages on request topics",
    "refused": "Messages that the broker does not take",
    "connections": "Times that the broker let the gateway in",
    "lost": "Connections that the gateway did not end",
}


class LinkHealth:
    """Tells of one link.

    Args:
        link: To the broker.
        settings: What it was told.
    """

    def __init__(self, link: Link, settings: GatewaySettings) -> None:
        self._link = link
        self._settings = settings

    async def broker(self) -> str | None:
        """Tell why no requests come; None: they do."""
        if self._link.up.is_set():
            return None
        return self._link.figures.fault or "not connected yet"

    def facts(self) -> dict[str, Any]:
        """Tell how things stand."""
        figures = self._link.figures
        greeting = figures.greeting
        return {
            "client_id": self._settings.client_id,
            "connected": self._link.up.is_set(),
            "fault": figures.fault or None,
            "protocol": self._settings.protocol,
            "subscribed": figures.subscribed or None,
            # Too small, the gateway's listener has no zone of its own (emqx-measured.md); 3.1.1 does not tell.
            "receive_maximum": None if greeting is None else greeting.receive_maximum,
            "zone": None
            if greeting is None
            else zone_fault(greeting, self._settings.receive_maximum) or "ok",
            "packet_size": None if greeting is None else greeting.packet_size,
            "in_hand": self._link.in_flight.count,
            "publishing": self._link.outgoing.open,
            **{name: getattr(figures, name) for name in _COUNTS},
        }

    async def respond(self, request: Request) -> Response:
        """Answer `/health/link`: 200, whatever there is to tell."""
        return JSONResponse(self.facts())

    def describe(self) -> Iterable[Metric]:
        """Name nothing in advance (`prometheus_client`)."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield the present values."""
        facts = self.facts()
        for name, meaning in _COUNTS.items():
            yield CounterMetricFamily(f"mchat_gateway_link_{name}", meaning, value=facts[name])
        for name, meaning in (
            ("connected", "Whether requests come"),
            ("in_hand", "Requests in hand"),
            ("publishing", "Messages that the broker does not have yet"),
            ("receive_maximum", "Receive Maximum of the broker; 0 if it did not tell"),
        ):
            yield GaugeMetricFamily(f"mchat_gateway_link_{name}", meaning, value=float(facts[name] or 0))
