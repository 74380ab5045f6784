"""Who may come in: from a CONNECT to a client with its rights, or to a return code (section 3.1.4)."""

import secrets
import string
import time
from collections.abc import Callable

import structlog

from emqx.laptop import packets
from emqx.laptop.authenticators import Authenticators, Refusal
from emqx.laptop.bans import Bans
from emqx.laptop.bodies import EventBodies
from emqx.laptop.client import Client
from emqx.laptop.mountpoints import render
from emqx.laptop.rule_engine import RuleEngine
from emqx.laptop.zones import Limits
from emqx.listeners import ListenerSettings

_log = structlog.get_logger(__name__)

_BASE62 = string.digits + string.ascii_letters


def new_client_id() -> str:
    """A client id of the broker's making, as EMQX's: 128 random bits in base 62."""
    return "".join(secrets.choice(_BASE62) for _ in range(22))


class Admission:
    """Asks for every CONNECT, and tells what came of it.

    Args:
        authenticators: whom it asks.
        bans: who is not even asked about.
        limits: of a zone, by its name.
        events: gets client.check_authn_complete, and client.connack of a refusal.
        bodies: builds them.
        clock: Unix seconds.
        make_client_id: for clients that bring none.
    """

    def __init__(
        self,
        authenticators: Authenticators,
        bans: Bans,
        limits: Callable[[str], Limits],
        events: RuleEngine,
        bodies: EventBodies,
        clock: Callable[[], float] = time.time,
        make_client_id: Callable[[], str] = new_client_id,
    ) -> None:
        self._authenticators = authenticators
        self._bans = bans
        self._limits = limits
        self._events = events
        self._bodies = bodies
        self._clock = clock
        self._make_client_id = make_client_id

    async def admit(
        self,
        connect: packets.Connect,
        peer: tuple[str, int],
        socket: tuple[str, int],
        listener: ListenerSettings,
    ) -> Client | Refusal:
        """The client with what authentication gave it, or the return code for its CONNACK.

        Nothing is touched for a client that is not admitted: no session, no will.

        Args:
            connect: its first packet.
            peer: host and port that it connects from.
            socket: host and port that it connects to.
            listener: that it came in by, for its zone and mountpoint.
        """
        if not connect.client_id and not connect.clean_session:
            return Refusal(packets.IDENTIFIER_REJECTED)
        try:
            client_id = connect.client_id.decode()
            username = None if connect.username is None else connect.username.decode()
        except UnicodeDecodeError:
            _log.warning("name_not_utf8", peer=peer[0])
            return Refusal(packets.NOT_AUTHORIZED)
        client_id = client_id or self._make_client_id()
        client = Client(
            client_id=client_id,
            username=username,
            peer=peer,
            socket=socket,
            zone=listener.zone,
            mountpoint=render(listener.mountpoint, client_id, username),
            keepalive=connect.keepalive,
            clean_session=connect.clean_session,
            is_bridge=connect.is_bridge,
            listener=listener.id,
            limits=self._limits(listener.zone),
        )
        answer: Client | Refusal
        if self._bans.covers(client):
            answer = Refusal(packets.NOT_AUTHORIZED, "banned")
        else:
            anonymous = self._authenticators.open
            answer = await self._authenticators.authenticate(client, connect.password)
            self._tell_outcome(client, answer, anonymous)
        if isinstance(answer, Refusal) and self._events.wants("client.connack"):
            body = self._bodies.connack(client, answer.code, self._now(), answer.reason)
            self._events.emit(client.client_id, body)
        return answer

    def _tell_outcome(self, client: Client, answer: Client | Refusal, anonymous: bool) -> None:
        if self._events.wants("client.check_authn_complete"):
            who, code = (client, answer.code) if isinstance(answer, Refusal) else (answer, packets.ACCEPTED)
            body = self._bodies.authn_complete(who, code, self._now(), anonymous=anonymous)
            self._events.emit(client.client_id, body)

    def _now(self) -> int:
        return int(self._clock() * 1000)
