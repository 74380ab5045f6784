"""What a connected client asks for, packet by packet (MQTT 3.1.1 chapter 3)."""

from typing import TYPE_CHECKING

from emqx.errors import EmqxError
from emqx.laptop import packets
from emqx.laptop.client import Client
from emqx.laptop.decisions import DecisionCache
from emqx.laptop.messages import Message
from emqx.laptop.session import Outlet, Session, Subscription
from emqx.laptop.topics import Filter, check_name, parse_filter, undelayed

if TYPE_CHECKING:
    from emqx.laptop.broker import Broker


class ProtocolError(EmqxError):
    """A packet that MQTT 3.1.1 does not allow at this place; the connection has to end."""


class DeniedError(EmqxError):
    """A denial that ends the connection, under ``deny_action = disconnect``."""


class Channel:
    """One connected client at work. Its packets are handled one after the other; a question holds the next.

    Args:
        broker: where messages and subscriptions go.
        client: who it is.
        session: its state.
        outlet: the way back to it.
        decisions: what its connection remembers.
    """

    def __init__(
        self, broker: "Broker", client: Client, session: Session, outlet: Outlet, decisions: DecisionCache
    ) -> None:
        self._broker = broker
        self._client = client
        self._session = session
        self._outlet = outlet
        self._decisions = decisions

    async def handle(self, packet: packets.Packet) -> None:
        """Do what a packet asks for.

        Raises:
            TopicError: a topic name or filter is none.
            ProtocolError: the packet may not come here.
        """
        match packet:
            case packets.Publish():
                await self._publish(packet)
            case packets.Puback(packet_id):
                self._session.acknowledged(packet_id)
            case packets.Pubrec(packet_id):
                self._session.received(packet_id)
            case packets.Pubrel(packet_id):
                self._session.release(packet_id)
                self._outlet.send(packets.pubcomp(packet_id))
            case packets.Pubcomp(packet_id):
                self._session.completed(packet_id)
            case packets.Subscribe():
                await self._subscribe(packet)
            case packets.Unsubscribe():
                self._unsubscribe(packet)
            case packets.Pingreq():
                self._outlet.send(packets.PINGRESP)
            case _:
                raise ProtocolError(f"a {type(packet).__name__.upper()} may not come here")

    async def _publish(self, packet: packets.Publish) -> None:
        check_name(packet.topic)
        duplicate = packet.qos == 2 and self._session.is_duplicate(packet.packet_id)
        if not duplicate:
            if await self._may_publish(packet):
                self._broker.publish(self._message(packet))
                if packet.qos == 2:
                    self._session.hold(packet.packet_id)
            else:
                self._denied(f"publish {packet.topic!r}")
        # A refused message is acknowledged like any other: MQTT 3.1.1 has no word for no (emqx-measured).
        if packet.qos == 1:
            self._outlet.send(packets.puback(packet.packet_id))
        elif packet.qos == 2:
            self._outlet.send(packets.pubrec(packet.packet_id))

    async def _may_publish(self, packet: packets.Publish) -> bool:
        asked = undelayed(packet.topic)
        return asked is not None and await self._broker.access.allows(
            self._client, "publish", asked, packet.qos, retain=packet.retain, decisions=self._decisions
        )

    def _denied(self, what: str) -> None:
        if self._broker.sources.settings.deny_action == "disconnect":
            raise DeniedError(f"{what} is denied, and deny_action is disconnect")

    def _message(self, packet: packets.Publish) -> Message:
        return Message(
            topic=self._client.mountpoint + packet.topic,
            payload=packet.payload,
            qos=packet.qos,
            retain=packet.retain,
            dup=packet.dup,
            sender=self._client.client_id,
            username=self._client.username,
            peer=self._client.peer,
            attributes=self._client.attributes,
            received_at=self._broker.now(),
        )

    async def _subscribe(self, packet: packets.Subscribe) -> None:
        wanted = [Subscription(parse_filter(text), qos) for text, qos in packet.filters]
        allowed = [await self._may_subscribe(subscription) for subscription in wanted]
        if not all(allowed):
            self._denied(f"subscribe {packet.filters!r}")
        mounted = [
            Subscription(subscription.topic_filter.mounted(self._client.mountpoint), subscription.qos)
            for subscription in wanted
        ]
        granted = [
            may and self._broker.subscribe(self._client, self._session, subscription)
            for subscription, may in zip(mounted, allowed, strict=True)
        ]
        codes = [
            subscription.qos if success else packets.SUBSCRIPTION_REFUSED
            for subscription, success in zip(wanted, granted, strict=True)
        ]
        self._outlet.send(packets.suback(packet.packet_id, codes))
        for subscription, success in zip(mounted, granted, strict=True):
            if success:
                self._broker.deliver_retained(self._session, subscription)

    async def _may_subscribe(self, subscription: Subscription) -> bool:
        topic_filter: Filter = subscription.topic_filter
        if (asked := topic_filter.asked) is None:
            return False
        allowed = await self._broker.access.allows(
            self._client, "subscribe", asked, subscription.qos, decisions=self._decisions
        )
        # EMQX asks, and then refuses: exclusive subscriptions are off by default (recordings).
        return allowed and not topic_filter.exclusive

    def _unsubscribe(self, packet: packets.Unsubscribe) -> None:
        for topic_filter in [parse_filter(text).mounted(self._client.mountpoint) for text in packet.filters]:
            self._broker.unsubscribe(self._client, self._session, topic_filter)
        self._outlet.send(packets.unsuback(packet.packet_id))
