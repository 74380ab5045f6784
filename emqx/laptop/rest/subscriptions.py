"""Subscriptions of clients, made and ended without the client's doing and without asking whether they may."""

from collections.abc import Iterator
from typing import Annotated

from msgspec import Meta, Struct

from emqx.laptop.broker import Broker
from emqx.laptop.client import Client
from emqx.laptop.refusals import bad_request, not_emulated
from emqx.laptop.rest.calls import DONE, Answer, Call, Route, page
from emqx.laptop.rest.clients import client_session, no_client
from emqx.laptop.session import Session, Subscription
from emqx.laptop.topics import Filter, TopicError, matches, parse_filter


class TopicBody(Struct, frozen=True):
    """What ends."""

    topic: str


class SubscriptionBody(Struct, frozen=True):
    """What begins; options of MQTT 5 are not this broker's."""

    topic: str
    qos: Annotated[int, Meta(ge=0, le=2)] = 0
    nl: int = 0
    rap: int = 0
    rh: int = 0


class SubscriptionCalls:
    """The calls.

    Args:
        broker: whose subscriptions.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def routes(self) -> Iterator[Route]:
        """Who answers what."""
        yield Route("GET", "/subscriptions", self.every)
        yield Route("GET", "/clients/{}/subscriptions", self.of)
        yield Route("POST", "/clients/{}/subscribe", self.subscribe)
        yield Route("POST", "/clients/{}/subscribe/bulk", self.subscribe_many)
        yield Route("POST", "/clients/{}/unsubscribe", self.unsubscribe)
        yield Route("POST", "/clients/{}/unsubscribe/bulk", self.unsubscribe_many)

    async def every(self, call: Call) -> Answer:
        """Those that match, by page number."""
        client_id, group = call.query.get("clientid"), call.query.get("share_group")
        topic, name = call.query.get("topic"), call.query.get("match_topic")
        found = [
            (session, subscription)
            for session in self._broker.sessions
            if client_id in (None, session.client_id)
            for subscription in session.subscriptions.values()
            if group in (None, subscription.topic_filter.group)
            and topic in (None, subscription.topic_filter.text)
            and (name is None or matches(subscription.topic_filter.levels, name))
        ]
        # EMQX does not count what a topic name matches.
        return page(call, found, lambda one: self._told(*one), counted=name is None)

    async def of(self, call: Call) -> Answer:
        """Those of a client, online or not; mounted."""
        session = client_session(self._broker, call.ids[0])
        return Answer([self._told(session, one) for one in session.subscriptions.values()])

    async def subscribe(self, call: Call) -> Answer:
        """Make one."""
        session, client = self._client(call)
        return Answer(self._subscribe(session, client, call.read(SubscriptionBody)))

    async def subscribe_many(self, call: Call) -> Answer:
        """Make several, in their order."""
        session, client = self._client(call)
        wanted = call.read(list[SubscriptionBody])
        return Answer([self._subscribe(session, client, one) for one in wanted])

    async def unsubscribe(self, call: Call) -> Answer:
        """End one."""
        session, client = self._client(call)
        self._unsubscribe(session, client, call.read(TopicBody))
        return DONE

    async def unsubscribe_many(self, call: Call) -> Answer:
        """End several."""
        session, client = self._client(call)
        for one in call.read(list[TopicBody]):
            self._unsubscribe(session, client, one)
        return DONE

    def _client(self, call: Call) -> tuple[Session, Client]:
        session = client_session(self._broker, call.ids[0])
        if session.client is None:
            raise no_client()
        return session, session.client

    def _subscribe(self, session: Session, client: Client, wanted: SubscriptionBody) -> dict[str, object]:
        if wanted.nl or wanted.rap or wanted.rh:
            raise not_emulated("subscription options of MQTT 5: leave out nl, rap and rh")
        try:
            topic_filter: Filter = parse_filter(wanted.topic).mounted(client.mountpoint)
        except TopicError as error:
            raise bad_request(str(error)) from error
        subscription = Subscription(topic_filter, wanted.qos)
        if not self._broker.subscribe(client, session, subscription):
            raise bad_request(
                f"the client has {self._broker.settings.max_subscriptions} subscriptions already"
            )
        self._broker.deliver_retained(session, subscription)
        told = self._told(session, subscription)
        del told["durable"]
        return told

    def _unsubscribe(self, session: Session, client: Client, wanted: TopicBody) -> None:
        # The filter is unmounted, and one that is none or is not subscribed is no error (emqx-measured, "REST").
        try:
            topic_filter = parse_filter(wanted.topic).mounted(client.mountpoint)
        except TopicError:
            return
        self._broker.unsubscribe(client, session, topic_filter)

    def _told(self, session: Session, subscription: Subscription) -> dict[str, object]:
        return {
            "clientid": session.client_id,
            "durable": False,
            "nl": 0,
            "node": self._broker.settings.node,
            "qos": subscription.qos,
            "rap": 0,
            "rh": 0,
            "topic": subscription.topic_filter.text,
        }
