"""The broker itself: sessions, who is online, and the way of a message. It knows no sockets."""

import asyncio
import time
from collections.abc import Callable, Iterable
from functools import partial
from itertools import count
from weakref import WeakValueDictionary

import structlog

from emqx.laptop import packets
from emqx.laptop.access import Access
from emqx.laptop.admission import Admission
from emqx.laptop.authenticators import Authenticators, Refusal
from emqx.laptop.bans import Bans
from emqx.laptop.beginnings import begin, settings_beside
from emqx.laptop.bodies import EventBodies
from emqx.laptop.client import Client
from emqx.laptop.connection import Connection
from emqx.laptop.decisions import DecisionCache
from emqx.laptop.delayed import DelayedMessages
from emqx.laptop.http_backend import http_client
from emqx.laptop.integrations import Integrations
from emqx.laptop.messages import Message
from emqx.laptop.retained import RetainedMessages
from emqx.laptop.router import Router
from emqx.laptop.rule_database import RuleDatabase
from emqx.laptop.rule_engine import RuleEngine
from emqx.laptop.session import Delivery, Session, Subscription, routed
from emqx.laptop.sources import Sources
from emqx.laptop.topics import Filter, delay, undelayed
from emqx.laptop.zones import Zones
from emqx.settings import LaptopSettings

_log = structlog.get_logger(__name__)

SHUTTING_DOWN = "server_shutting_down"

_EVENT_PATIENCE = 2.0
# The client is still there, or went on purpose, or the broker goes: no will (MQTT 3.1.1 section 3.1.2.5).
_WITHOUT_WILL = frozenset({"normal", SHUTTING_DOWN})


class Broker:
    """Sessions and messages.

    Args:
        settings: bounds, and where to ask.
        clock: Unix seconds.
    """

    def __init__(self, settings: LaptopSettings, clock: Callable[[], float] = time.time) -> None:
        self.settings = settings
        self._clock = clock
        self._http = http_client()
        self.authenticators = Authenticators(self._http, clock)
        rules = RuleDatabase(settings.max_rule_subjects)
        self.sources = Sources(self._http, rules, settings_beside(settings))
        depth = settings.event_buffer // settings.event_lanes
        self.integrations = Integrations(self._http, lanes=settings.event_lanes, depth=depth, clock=clock)
        self.events = RuleEngine(self.integrations, clock)
        begin(settings, self.authenticators, self.sources, self.integrations, self.events)
        self.bans = Bans(settings.max_bans, clock)
        self.zones = Zones(settings)
        self._bodies = EventBodies(settings.node)
        self.admission = Admission(
            self.authenticators,
            self.bans,
            self.zones.limits,
            self.events,
            self._bodies,
            clock,
        )
        self.access = Access(self.sources, self.events, self._bodies, clock)
        self._router = Router()
        self._retained = RetainedMessages(settings.max_retained)
        # In the order of their numbers.
        self._sessions: dict[str, Session] = {}
        self._numbers = count(1)
        self._online: dict[str, Connection] = {}
        self._expiries: dict[str, asyncio.TimerHandle] = {}
        self._delayed = DelayedMessages(settings.max_delayed, self.publish)
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def start(self) -> None:
        """Begin to send events."""
        self.integrations.start()

    async def close(self) -> None:
        """Send the events that wait, for two seconds at most, and let go of everything."""
        for timer in self._expiries.values():
            timer.cancel()
        self._delayed.close()
        await self.integrations.close(_EVENT_PATIENCE)
        await self._http.aclose()

    def now(self) -> int:
        """Unix milliseconds."""
        return int(self._clock() * 1000)

    @property
    def sessions(self) -> Iterable[Session]:
        """Every session, online or not, the oldest first."""
        return self._sessions.values()

    @property
    def live_connections(self) -> int:
        """How many clients are connected."""
        return len(self._online)

    def session(self, client_id: str) -> Session | None:
        """The session of a client, online or not."""
        return self._sessions.get(client_id)

    def decisions(self, client_id: str) -> DecisionCache | None:
        """What a client's connection remembers; None while it is away."""
        return self._online[client_id].decisions if client_id in self._online else None

    def clear_decisions(self) -> None:
        """Let every connection forget what was decided."""
        for connection in self._online.values():
            connection.decisions.clear()

    async def kick(self, client_id: str, *, will: bool = True) -> bool:
        """End a client's session, online or not. False if there is none.

        What it had not acknowledged is lost, also what came through a share group (emqx-measured).

        Args:
            client_id: whose.
            will: whether its will is published.
        """
        if (connection := self._online.get(client_id)) is not None:
            if not will:
                connection.will = None
            await connection.end("kicked")
            return True
        if (session := self._sessions.get(client_id)) is not None:
            self._end_session(session, redispatch=False)
            return True
        return False

    async def open_session(
        self, connection: Connection, client: Client, will: packets.WillMessage | None
    ) -> tuple[Client, Session] | Refusal:
        """Put an admitted client online: end its older connection, find or make its session, send CONNACK.

        A take-over with clean session 0 continues whatever session is there, as EMQX does.
        """
        client_id = client.client_id
        async with self._turns.setdefault(client_id, asyncio.Lock()):
            if (older := self._online.get(client_id)) is not None:
                await older.end("discarded" if client.clean_session else "takenover")
            session = self._sessions.get(client_id)
            if session is not None and client.clean_session:
                self._end_session(session, redispatch=True)
                session = None
            present = session is not None
            if session is None:
                if len(self._sessions) >= self.settings.max_sessions:
                    _log.warning("sessions_exhausted", limit=self.settings.max_sessions)
                    return Refusal(packets.SERVER_UNAVAILABLE)
                session = self._new_session(client)
            else:
                self._resume(session)
            client = client.connected(self.now())
            connection.client, connection.session, connection.will = client, session, will
            session.client, session.disconnected_at, session.left = client, None, False
            self._online[client_id] = connection
            if self.events.wants("client.connected"):
                self.events.emit(client_id, self._bodies.connected(client, self.now()))
            connection.send(packets.connack(packets.ACCEPTED, session_present=present))
            if self.events.wants("client.connack"):
                self.events.emit(client_id, self._bodies.connack(client, packets.ACCEPTED, self.now()))
            session.attach(connection, client.mountpoint)
            return client, session

    async def close_session(self, connection: Connection, reason: str) -> None:
        """Take a client offline, if it got online: publish its will if it may, tell, keep or end its session."""
        client, session = connection.client, connection.session
        if client is None or session is None:
            return
        session.detach()
        session.disconnected_at = disconnected_at = self.now()
        session.left = reason == "normal"
        if connection.will is not None and reason not in _WITHOUT_WILL:
            await self._publish_will(client, connection.will, connection.decisions)
        if self.events.wants("client.disconnected"):
            body = self._bodies.disconnected(client, reason, disconnected_at, self.now())
            self.events.emit(client.client_id, body)
        del self._online[client.client_id]
        if reason == "takenover" or (session.persistent and reason not in ("kicked", "discarded")):
            self._expiries[client.client_id] = asyncio.get_running_loop().call_later(
                client.limits.session_expiry, partial(self._end_session, session, redispatch=True)
            )
        else:
            self._end_session(session, redispatch=reason != "kicked")

    def subscribe(self, client: Client, session: Session, subscription: Subscription) -> bool:
        """Add or replace an authorized subscription, its filter mounted; False if the session has too many."""
        name = subscription.topic_filter.text
        if (
            name not in session.subscriptions
            and len(session.subscriptions) >= self.settings.max_subscriptions
        ):
            _log.warning("subscriptions_exhausted", client_id=client.client_id)
            return False
        session.subscriptions[name] = subscription
        self._router.subscribe(client.client_id, subscription.topic_filter, subscription.qos)
        if self.events.wants("session.subscribed"):
            self.events.emit(client.client_id, self._bodies.subscribed(client, subscription, self.now()))
        return True

    def unsubscribe(self, client: Client, session: Session, topic_filter: Filter) -> None:
        """Remove a subscription, its filter mounted, if it is there."""
        subscription = session.subscriptions.pop(topic_filter.text, None)
        if subscription is None:
            return
        self._router.unsubscribe(client.client_id, topic_filter)
        if self.events.wants("session.unsubscribed"):
            self.events.emit(client.client_id, self._bodies.unsubscribed(client, subscription, self.now()))

    def deliver_retained(self, session: Session, subscription: Subscription) -> None:
        """Send what is retained for a new subscription, to its session alone; a share group gets nothing."""
        if subscription.topic_filter.group is None:
            for message in self._retained.matching(subscription.topic_filter.levels):
                qos = min(message.qos, subscription.qos)
                session.deliver(Delivery(message, qos, retained=True))

    def publish(self, message: Message) -> int:
        """Send an authorized message to whom it concerns; a ``$delayed`` one later.

        Returns:
            To how many it went just now.
        """
        if (later := delay(message.topic, self._clock())) is not None:
            self._delayed.keep(message.moved(later[1]), later[0])
            return 0
        if self.events.selects(message.topic):
            self.events.emit(message.sender, self._bodies.publish(message, self.now()))
        if message.retain:
            self._retained.keep(message)
        routes = self._router.routes(message.topic, message.sender)
        for route in routes:
            self._sessions[route.client_id].deliver(routed(message, route))
        if not routes and self.events.wants("message.dropped"):
            body = self._bodies.dropped(message, "no_subscribers", self.now())
            self.events.emit(message.sender, body)
        return len(routes)

    async def _publish_will(self, client: Client, will: packets.WillMessage, memory: DecisionCache) -> None:
        asked = undelayed(will.topic)
        if asked is not None and await self.access.allows(
            client, "publish", asked, will.qos, retain=will.retain, decisions=memory
        ):
            self.publish(
                Message(
                    topic=client.mountpoint + will.topic,
                    payload=will.payload,
                    qos=will.qos,
                    retain=will.retain,
                    sender=client.client_id,
                    username=client.username,
                    received_at=self.now(),
                )
            )

    def _new_session(self, client: Client) -> Session:
        session = Session(
            client.client_id,
            persistent=not client.clean_session,
            max_inflight=client.limits.max_inflight,
            max_queued=client.limits.max_queued,
            created_at=self.now(),
            number=next(self._numbers),
        )
        self._sessions[client.client_id] = session
        return session

    def _resume(self, session: Session) -> None:
        self._expiries.pop(session.client_id).cancel()
        session.persistent = True
        for subscription in session.subscriptions.values():
            # A group member that comes back goes to the end of its list (emqx-measured).
            if subscription.topic_filter.group is not None:
                self._router.subscribe(session.client_id, subscription.topic_filter, subscription.qos)

    def _end_session(self, session: Session, *, redispatch: bool) -> None:
        if (timer := self._expiries.pop(session.client_id, None)) is not None:
            timer.cancel()
        del self._sessions[session.client_id]
        for subscription in session.subscriptions.values():
            self._router.unsubscribe(session.client_id, subscription.topic_filter)
        if session.dropped:
            _log.warning("deliveries_dropped", client_id=session.client_id, count=session.dropped)
        if redispatch:
            for message, share in session.surrender():
                if (route := self._router.member(share, message.sender)) is not None:
                    self._sessions[route.client_id].deliver(routed(message, route))
