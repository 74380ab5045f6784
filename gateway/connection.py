"""One connection and what belongs to it: its acknowledgements, its arrivals, what it publishes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from gateway.acknowledgements import Acknowledgements
from gateway.inflight import InFlight
from gateway.outgoing import Outgoing
from gateway.packets import Greeting, Incoming
from gateway.settings import GatewaySettings
from gateway.wire import Wire

log = structlog.get_logger(__name__)


class Connection:
    """Told by its wire what happens, and tells those whom it concerns.

    Args:
        settings: where the broker is, and as whom to connect.
        secret: the credential.
        outgoing: what is published: through this connection while it stands.
        in_flight: what is in hand.
        take: given each message, with this connection's acknowledgements.
        clock: seconds that only grow.

    Attributes:
        wire: the connection itself.
        acknowledgements: of what came by it.
        lost_because: why it ended, once it has.
        arrivals: how many messages came.
        holding: whether messages are left alone, unacknowledged, so that the broker sends them again to the next.
        wanted_over: whether it ends because the gateway wants it to.
    """

    def __init__(
        self,
        settings: GatewaySettings,
        secret: str,
        outgoing: Outgoing,
        in_flight: InFlight,
        take: Callable[[Incoming, Acknowledgements], None],
        clock: Callable[[], float],
    ) -> None:
        self.wire = Wire(settings, secret, self, clock)
        self.acknowledgements = Acknowledgements(self.wire.acknowledge, self.wire.pulse.felt)
        self.lost_because: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.arrivals = 0
        self.holding = False
        self.wanted_over = False
        self._outgoing = outgoing
        self._in_flight = in_flight
        self._take = take

    def connected(self, greeting: Greeting) -> None:
        """See `gateway.packets.Events`."""
        self._outgoing.attach(self.wire, greeting)

    def arrived(self, packet: Incoming) -> None:
        """See `gateway.packets.Events`."""
        self.arrivals += 1
        if self.holding and packet.packet_id:
            return
        try:
            self._take(packet, self.acknowledgements)
        except Exception:  # raised through paho, it would read the same packet again, and again
            log.exception("a message could not be taken in hand", topic=packet.topic[:200])

    def published(self, packet_id: int, code: int) -> None:
        """See `gateway.packets.Events`."""
        try:
            self._outgoing.published(packet_id, code)
        except Exception:  # as in `arrived`
            log.exception("an acknowledgement could not be taken in")

    def lost(self, why: str, *, suspicious: bool) -> None:
        """See `gateway.packets.Events`."""
        self.acknowledgements.end()
        self._outgoing.detach(suspicious=suspicious and not self.wanted_over)
        self._in_flight.told()
        if not self.lost_because.done():
            self.lost_because.set_result(why)

    async def drain(self, topic_filter: str) -> None:
        """Unsubscribe, and go on until nothing comes any more: the broker has queued some (emqx-measured.md).

        Raises:
            gateway.exchange.NotConnected: the connection was lost before.
        """
        await self.wire.questions.unsubscribe(topic_filter)
        arrivals = -1
        while arrivals != self.arrivals:
            arrivals = self.arrivals
            await self._in_flight.finished(self.acknowledgements)
            # What the acknowledgements made the broker send comes before its answer.
            await self.wire.questions.round_trip()

    async def hold(self) -> None:
        """Take nothing more in hand, and go on until everything that was in hand is acknowledged at the broker.

        Raises:
            gateway.exchange.NotConnected: the connection was lost before.
        """
        self.holding = True
        await self._in_flight.finished(self.acknowledgements)
        # A connection that is closed while something arrives may lose what it sent last.
        await self.wire.questions.round_trip()


class Silent:
    """Hears nothing: for a connection that only throws a session away."""

    def connected(self, greeting: Greeting) -> None:
        """See `gateway.packets.Events`."""

    def arrived(self, packet: Incoming) -> None:
        """See `gateway.packets.Events`."""

    def published(self, packet_id: int, code: int) -> None:
        """See `gateway.packets.Events`."""

    def lost(self, why: str, *, suspicious: bool) -> None:
        """See `gateway.packets.Events`."""
