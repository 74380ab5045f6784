"""`/nodes` and `/status`: what this broker is; and `/api_key`, which no key may ask for."""

import os
import time
from collections.abc import Iterator

from emqx.laptop.broker import Broker
from emqx.laptop.refusals import ApiRefusal, not_found
from emqx.laptop.rest.calls import Answer, Call, Route

VERSION = "5.8.9"
"""The EMQX whose answers these are."""


class NodeCalls:
    """The calls.

    Args:
        broker: the one node.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._began = time.monotonic()

    def routes(self) -> Iterator[Route]:
        """Who answers what."""
        yield Route("GET", "/nodes", self.every)
        yield Route("GET", "/nodes/{}", self.get)
        yield Route("GET", "/status", self.status)
        for method in ("GET", "POST"):
            yield Route(method, "/api_key", self.keys)

    async def every(self, call: Call) -> Answer:
        """The node, alone."""
        return Answer([self._told()])

    async def get(self, call: Call) -> Answer:
        """The node by its name."""
        if call.ids[0] != self._broker.settings.node:
            raise not_found(f"node {call.ids[0]} not found")
        return Answer(self._told())

    async def status(self, call: Call) -> Answer:
        """EMQX's own words."""
        return Answer(f"Node {self._broker.settings.node} is started\nemqx is running", text=True)

    async def keys(self, call: Call) -> Answer:
        """Refused to whoever comes with a key, and nobody comes otherwise."""
        raise ApiRefusal(
            401,
            "API_KEY_NOT_ALLOW",
            "Please use bearer Token instead, using API key/secret in api_key path is not permitted",
        )

    def _told(self) -> dict[str, object]:
        sessions = len(tuple(self._broker.sessions))
        load1, load5, load15 = os.getloadavg()
        return {
            "node": self._broker.settings.node,
            "node_status": "running",
            "role": "core",
            "edition": "Opensource",
            "version": VERSION,
            "otp_release": "none: the laptop broker of MChat",
            "uptime": int((time.monotonic() - self._began) * 1_000),
            "connections": sessions,
            "cluster_sessions": sessions,
            "live_connections": self._broker.live_connections,
            "load1": round(load1, 2),
            "load5": round(load5, 2),
            "load15": round(load15, 2),
            "max_fds": self._broker.settings.max_connections,
            "memory_total": "0.00G",
            "memory_used": "0.00M",
            "process_available": 0,
            "process_used": 0,
        }
