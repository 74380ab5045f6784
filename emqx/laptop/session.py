"""A client's session: what it subscribed, what it was sent and has not acknowledged, what waits for it.

MQTT 3.1.1 sections 3.1.2.4, 4.3, 4.4 and 4.6; the bounds are EMQX's ``max_inflight`` and ``max_mqueue_len``.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from emqx.laptop import packets
from emqx.laptop.client import Client
from emqx.laptop.messages import Message
from emqx.laptop.router import Route, Share
from emqx.laptop.topics import Filter

_PACKET_IDS = 65_535


class Outlet(Protocol):
    """The way to the client while it is connected."""

    @property
    def congested(self) -> bool:
        """Whether so much waits to be sent that more has to stay in the session's queue."""

    def send(self, data: bytes) -> None:
        """Send a packet; never waits."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """A filter and the QoS that was granted for it."""

    topic_filter: Filter
    qos: int


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message on its way to one subscriber.

    Attributes:
        message: what was published.
        qos: the lower of the message's and the subscription's.
        retained: it was kept and is sent because of a new subscription; only then RETAIN is set.
        share: the group that it was sent through; if the session ends, another member gets it.
    """

    message: Message
    qos: int
    retained: bool = False
    share: Share | None = None


class Session:
    """The state that belongs to a client id.

    Args:
        client_id: whose it is.
        persistent: whether it outlives its connection (clean session 0).
        max_inflight: QoS 1 and 2 messages sent and not acknowledged, at most.
        max_queued: messages that wait, at most; the oldest is dropped for a new one.
        created_at: Unix milliseconds.
        number: of the session; later ones have higher ones.

    Attributes:
        client: as it connected last; None until it did.
        disconnected_at: when that connection ended, Unix milliseconds; None while it stands.
        left: whether it ended with the client's DISCONNECT.
    """

    def __init__(
        self,
        client_id: str,
        *,
        persistent: bool,
        max_inflight: int,
        max_queued: int,
        created_at: int = 0,
        number: int = 0,
    ) -> None:
        self.client_id = client_id
        self.persistent = persistent
        self.created_at = created_at
        self.number = number
        self.client: Client | None = None
        self.disconnected_at: int | None = None
        self.left = False
        self.subscriptions: dict[str, Subscription] = {}
        self.dropped = 0
        self._max_inflight = max_inflight
        self._max_queued = max_queued
        self._outlet: Outlet | None = None
        self._mountpoint = ""
        # By packet id, in order of sending; None: PUBREC came, PUBREL was sent, PUBCOMP is awaited.
        self._inflight: dict[int, Delivery | None] = {}
        self._queue: deque[Delivery] = deque()
        self._unreleased: set[int] = set()
        self._last_packet_id = 0

    @property
    def queued(self) -> int:
        """Messages that wait."""
        return len(self._queue)

    @property
    def inflight(self) -> int:
        """Messages that were sent and not acknowledged."""
        return len(self._inflight)

    @property
    def unreleased(self) -> int:
        """QoS 2 messages of the client whose PUBREL is awaited."""
        return len(self._unreleased)

    @property
    def max_queued(self) -> int:
        """Messages that may wait."""
        return self._max_queued

    @property
    def max_inflight(self) -> int:
        """Messages that may be unacknowledged."""
        return self._max_inflight

    def attach(self, outlet: Outlet, mountpoint: str = "") -> None:
        """Go online: send again what was not acknowledged (DUP set), then what waited, in order.

        Args:
            outlet: the way to the client.
            mountpoint: of the connection: taken off the topics that begin with it.
        """
        self._outlet, self._mountpoint = outlet, mountpoint
        for packet_id, delivery in self._inflight.items():
            if delivery is None:
                outlet.send(packets.pubrel(packet_id))
            else:
                outlet.send(self._publish(delivery, packet_id, dup=True))
        self.pump()

    def detach(self) -> None:
        """Go offline: from now on messages wait."""
        self._outlet = None

    def deliver(self, delivery: Delivery) -> None:
        """Send a message, or let it wait behind those that already do."""
        outlet = self._outlet
        if outlet is not None and not self._queue and self._may_send(outlet, delivery.qos):
            self._send(outlet, delivery)
            return
        if len(self._queue) >= self._max_queued:
            self._queue.popleft()
            self.dropped += 1
        self._queue.append(delivery)

    def pump(self) -> None:
        """Send what waits, as far as the in-flight window and the outlet take it."""
        outlet = self._outlet
        while outlet is not None and self._queue and self._may_send(outlet, self._queue[0].qos):
            self._send(outlet, self._queue.popleft())

    def acknowledged(self, packet_id: int) -> None:
        """PUBACK: a QoS 1 message is done; an unknown id is ignored."""
        delivery = self._inflight.get(packet_id)
        if delivery is not None and delivery.qos == 1:
            del self._inflight[packet_id]
            self.pump()

    def received(self, packet_id: int) -> None:
        """PUBREC: the client has a QoS 2 message; answered even for an unknown id, so that it can end."""
        delivery = self._inflight.get(packet_id)
        if delivery is not None and delivery.qos == 2:
            self._inflight[packet_id] = None
        if self._outlet is not None:
            self._outlet.send(packets.pubrel(packet_id))

    def completed(self, packet_id: int) -> None:
        """PUBCOMP: a QoS 2 message is done; an unknown id is ignored."""
        if packet_id in self._inflight and self._inflight[packet_id] is None:
            del self._inflight[packet_id]
            self.pump()

    def is_duplicate(self, packet_id: int) -> bool:
        """Whether a QoS 2 PUBLISH of the client with this id was taken already and is not released."""
        return packet_id in self._unreleased

    def hold(self, packet_id: int) -> None:
        """Remember a QoS 2 PUBLISH of the client until its PUBREL."""
        self._unreleased.add(packet_id)

    def release(self, packet_id: int) -> None:
        """PUBREL: the id of a QoS 2 PUBLISH may be used again."""
        self._unreleased.discard(packet_id)

    def surrender(self) -> Iterator[tuple[Message, Share]]:
        """What came through share groups and was not acknowledged, in order: others have to get it.

        A QoS 2 message that the client has received already (PUBREC) is not among it.
        """
        for delivery in (*self._inflight.values(), *self._queue):
            if delivery is not None and delivery.share is not None:
                yield delivery.message, delivery.share

    def _may_send(self, outlet: Outlet, qos: int) -> bool:
        return not outlet.congested and (qos == 0 or len(self._inflight) < self._max_inflight)

    def _send(self, outlet: Outlet, delivery: Delivery) -> None:
        packet_id = 0
        if delivery.qos:
            packet_id = self._next_packet_id()
            self._inflight[packet_id] = delivery
        outlet.send(self._publish(delivery, packet_id))

    def _publish(self, delivery: Delivery, packet_id: int, *, dup: bool = False) -> bytes:
        message = delivery.message
        return packets.publish(
            message.topic.removeprefix(self._mountpoint),
            message.payload,
            delivery.qos,
            retain=delivery.retained,
            dup=dup,
            packet_id=packet_id,
        )

    def _next_packet_id(self) -> int:
        while True:
            self._last_packet_id = self._last_packet_id % _PACKET_IDS + 1
            if self._last_packet_id not in self._inflight:
                return self._last_packet_id


def routed(message: Message, route: Route) -> Delivery:
    """The delivery of a message along a route."""
    return Delivery(message, min(message.qos, route.qos), share=route.share)
