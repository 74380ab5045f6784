"""What is in hand, with a connection that a test answers for."""

import itertools

from gateway.acknowledgements import Acknowledgements
from gateway.figures import Figures
from gateway.inflight import InFlight, Limits
from gateway.outgoing import Outgoing
from gateway.packets import Greeting, Incoming
from tests.gateway.echo import Echo

ROOM = Greeting(session_present=False, receive_maximum=None, packet_size=None, shared=True)


class Sent:
    """A connection that remembers what was sent, and answers when a test says so."""

    def __init__(self) -> None:
        self.packets: list[tuple[str, bytes]] = []
        self.full = False
        self._ids = itertools.count(1)

    def send(
        self, topic: str, payload: bytes, qos: int, *, retain: bool, correlation: bytes | None
    ) -> int | None:
        if self.full:
            return None
        self.packets.append((topic, payload))
        return next(self._ids)

    def flush(self) -> None:
        """Nothing waits."""


class Stage:
    """What is in hand, with a connection that a test answers for."""

    def __init__(self, echo: Echo, limits: Limits | None = None) -> None:
        self.sent = Sent()
        self.outgoing = Outgoing(10_000)
        self.outgoing.attach(self.sent, ROOM)
        self.acknowledged: list[int] = []
        self.lives = True
        self.acknowledgements = Acknowledgements(self.acknowledged.append, lambda: self.lives)
        self.late: list[tuple[str, bytes]] = []
        self.now = 0.0
        self.figures = Figures()
        limits = limits or Limits(requests=100, of_client=100, seconds=10.0)
        self.hand = InFlight(self.outgoing, self._late, limits, lambda: self.now, self.figures)
        self.hand.handler = echo
        self._ids = itertools.count(1)

    def ask(self, client: str, seq: str, qos: int = 1) -> int:
        packet_id = next(self._ids) if qos else 0
        packet = Incoming(packet_id, f"mchat/msg/req/{client}/{seq}", seq.encode(), False, None, None)
        self.hand.arrived(packet, self.acknowledgements)
        return packet_id

    async def _late(self, topic: str, payload: bytes, correlation: bytes | None) -> None:
        self.late.append((topic, payload))
