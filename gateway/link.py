"""The gateway's session at the broker: connected, subscribed, connected again; drained when it stops or is told to.

emqx-measured.md, first list: clean start false, a client id that the instance keeps, and a session that outlives a
cut connection for a few seconds. What is cut is sent again; what nobody comes back for goes to another gateway.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import structlog

from gateway.acknowledgements import Acknowledgements
from gateway.connection import Connection, Silent
from gateway.exchange import Handler, NotConnected
from gateway.figures import Figures, zone_fault
from gateway.inflight import InFlight, Limits
from gateway.outgoing import Outgoing
from gateway.packets import FAILURE, Greeting, Incoming
from gateway.settings import GatewaySettings
from gateway.wire import Wire

log = structlog.get_logger(__name__)

_SETTLED_S = 5.0
"""How long a connection must have stood for the next to be tried without a longer pause."""

_SWEEP_S = 0.5
_LATE_ATTEMPTS = 3
_TAKEN_OVER = "(0x8e)"
_MANY = 3


class Link:
    """Brings requests from the broker to a handler, and what they cause back; a `gateway.exchange.Publisher`.

    Args:
        settings: where the broker is, and how much is taken in hand.
        secret: the credential.
        prefix: what stands before every topic: empty, or the service id and a slash.
        clock: seconds that only grow.
        random: numbers between 0 and 1, so that gateways do not come back at the same moment.

    Attributes:
        figures: counts, and how things stand.
        outgoing: what is published.
        in_flight: what is in hand.
        settled: awaited before a connection is left: until what others publish is with the broker.
    """

    def __init__(
        self,
        settings: GatewaySettings,
        secret: str,
        *,
        prefix: str,
        clock: Callable[[], float],
        random: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._secret = secret
        self._clock = clock
        self._random = random
        self._requests = f"{prefix}mchat/msg/req/+/+"
        self.figures = Figures()
        self.outgoing = Outgoing(settings.packet_size)
        limits = Limits(settings.in_hand, settings.in_hand_client, settings.request_time)
        self.in_flight = InFlight(self.outgoing, self._publish_late, limits, clock, self.figures)
        self.settled: Callable[[], Awaitable[None]] | None = None
        self._connection: Connection | None = None
        self._up = asyncio.Event()
        self._away_since: float | None = None
        self._failures = 0
        self._stopping = False
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def up(self) -> asyncio.Event:
        """Set while there is a connection, and requests come."""
        return self._up

    def start(self, handler: Handler) -> None:
        """Connect, and connect again for as long as `stop` is not called.

        Args:
            handler: answers the requests that come.
        """
        self.in_flight.handler = handler
        self._tasks = [
            asyncio.create_task(self._stay_connected(), name="link"),
            asyncio.create_task(self._sweep(), name="link-sweep"),
        ]

    async def publish(self, topic: str, payload: bytes, qos: int = 1, retain: bool = False) -> None:
        """See `gateway.exchange.Publisher`."""
        await self.outgoing.publish(topic, payload, qos, retain)

    async def reconnect(self) -> None:
        """Finish what is in hand, connect anew, and return once requests come again (decision 11).

        The session is kept: what comes meanwhile waits at the broker, in order, even if this is the only gateway.
        """
        connection = self._connection
        if connection is not None:
            try:
                async with asyncio.timeout(self._settings.stop_time):
                    await connection.hold()
                    await self._settled()
            except (TimeoutError, NotConnected) as error:
                # What is not acknowledged comes again.
                log.warning(
                    "reconnecting unfinished", in_hand=self.in_flight.count, error=str(error) or "out of time"
                )
            connection.wanted_over = True
            self._up.clear()
            await connection.wire.close(forget=False)
        await self._up.wait()

    async def stop(self) -> None:
        """Take nothing new, finish what is in hand, and leave; in `stop_time` at most, and some seconds for the
        broker's answers.
        """
        self._stopping = True
        connection = self._connection
        if connection is not None:
            finished = False
            try:
                async with asyncio.timeout(self._settings.stop_time):
                    await connection.drain(self.figures.subscribed)
                    await self._settled()
                    # What was held back comes again, if the session stays.
                    finished = not connection.holding
            except (TimeoutError, NotConnected) as error:
                # The session stays for its few seconds: the next process, or another gateway, gets the rest.
                log.warning(
                    "stopping unfinished", in_hand=self.in_flight.count, error=str(error) or "out of time"
                )
            connection.wanted_over = True
            await self._cancel()
            await connection.wire.close(forget=finished)
            if finished and self._settings.protocol != "5":
                with contextlib.suppress(NotConnected):
                    await self._forget_session()
        await self._cancel()
        await self.in_flight.stop()

    def _take(self, packet: Incoming, acknowledgements: Acknowledgements) -> None:
        self.figures.requests += 1
        if packet.retained:
            # Somebody left it there: nobody waits for an answer.
            self.figures.dropped += 1
            acknowledgements.settle(acknowledgements.expect(packet.packet_id))
            return
        self.in_flight.arrived(packet, acknowledgements)

    async def _stay_connected(self) -> None:
        while True:
            try:
                connection = await self._connect()
            except NotConnected as error:
                self._failed(str(error))
                await self._pause()
                continue
            began = self._clock()
            why = await asyncio.shield(connection.lost_because)
            self._up.clear()
            self._connection, self.figures.greeting, self.figures.subscribed = None, None, ""
            # Not when this was noticed: the process may have stood still since.
            self._away_since = connection.wire.pulse.last
            if self._stopping:
                return
            if connection.wanted_over:
                continue
            self.figures.lost += 1
            if self._clock() - began >= _SETTLED_S:
                self._failures = 0
            if _TAKEN_OVER in why or self._failures >= _MANY:
                name = self._settings.client_id
                why = f"{why}: perhaps another connects as {name}; name the instance of each gateway"
            self._failed(why)
            await self._pause()

    async def _connect(self) -> Connection:
        if self._stale():
            await self._forget_session()
            self._away_since = self._clock()
        connection = Connection(
            self._settings, self._secret, self.outgoing, self.in_flight, self._take, self._clock
        )
        greeting = await connection.wire.open(clean=False)
        try:
            shared = self._settings.share if greeting.shared else ""
            if self._settings.shared and not greeting.shared:
                log.warning("the broker has no shared subscriptions: this must be the only gateway")
            wanted = f"{shared}{self._requests}"
            # Each time: the session may have lost it, or have been made before somebody died.
            code = await connection.wire.questions.subscribe(wanted)
            if code >= FAILURE:
                raise NotConnected(
                    f"the broker refuses {wanted} to {self._settings.client_id} (0x{code:02x}): "
                    f"{self._settings.username} needs the role service"
                )
        except BaseException:
            connection.wire.abort()
            raise
        self._connection = connection
        self._greeted(greeting, wanted)
        self._up.set()
        return connection

    def _greeted(self, greeting: Greeting, subscribed: str) -> None:
        figures = self.figures
        figures.connections += 1
        figures.greeting, figures.subscribed, figures.fault = greeting, subscribed, ""
        log.info(
            "connected to the broker",
            client_id=self._settings.client_id,
            session_present=greeting.session_present,
            receive_maximum=greeting.receive_maximum,
            subscribed=subscribed,
        )
        if (fault := zone_fault(greeting, self._settings.receive_maximum)) is not None:
            log.warning(fault)

    def _stale(self) -> bool:
        """Tell whether the session at the broker may hold requests that nobody waits for any more.

        MQTT 3.1.1 has no expiry of our choosing; nor is it known how long a process was away before it began. That of
        MQTT 5 begins when the broker notices, which is later where the gateway stood still or the line went silent.
        """
        if self._away_since is None:
            return self._settings.protocol != "5"
        return self._clock() - self._away_since > self._settings.session_expiry

    async def _forget_session(self) -> None:
        wire = Wire(self._settings, self._secret, Silent(), self._clock)
        await wire.open(clean=True)
        await wire.close(forget=True)

    def _failed(self, why: str) -> None:
        if self.figures.fault != why:
            log.warning("no connection to the broker", error=why)
        self.figures.fault = why

    async def _pause(self) -> None:
        settings = self._settings
        longest = min(settings.back_off * 2.0 ** min(self._failures, 32), settings.back_off_longest)
        self._failures += 1
        await asyncio.sleep(longest * (0.5 + self._random() / 2))

    async def _publish_late(self, topic: str, payload: bytes, correlation: bytes | None) -> None:
        async with asyncio.timeout(self._settings.stop_time):
            for attempts_left in reversed(range(_LATE_ATTEMPTS)):
                await self._up.wait()
                try:
                    await self.outgoing.publish(topic, payload, correlation=correlation)
                except NotConnected:
                    if not attempts_left:
                        raise
                else:
                    return

    async def _settled(self) -> None:
        if self.settled is not None:
            await self.settled()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_S)
            self.in_flight.expire()

    async def _cancel(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
