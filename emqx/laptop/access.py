"""The broker's decision about a publish or subscribe: its sources in order (contract section 2.3)."""

import time
from collections.abc import Callable

from emqx.laptop.bodies import EventBodies
from emqx.laptop.client import Client
from emqx.laptop.events import EventSink
from emqx.laptop.questions import Questions
from emqx.rules import Action, permits


class Access:
    """Superuser, the rules of the authn answer, the HTTP authorizer, then ``no_match = deny``.

    Args:
        questions: the HTTP authorizer.
        events: gets client.check_authz_complete.
        bodies: builds it.
        clock: Unix seconds.
    """

    def __init__(
        self,
        questions: Questions,
        events: EventSink,
        bodies: EventBodies,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._questions = questions
        self._events = events
        self._bodies = bodies
        self._clock = clock

    async def allows(
        self, client: Client, action: Action, topic: str, qos: int, *, retain: bool = False
    ) -> bool:
        """Whether the client may.

        Args:
            client: who asks; after ``expires_at`` a client with rules is denied everything (contract 1.4).
            action: ``publish`` or ``subscribe``.
            topic: without prefixes (contract 2.4).
            qos: of the message, or asked for.
            retain: the message's flag.
        """
        result, source = await self._decide(client, action, topic, qos, retain)
        if self._events.wants("client.check_authz_complete"):
            now = int(self._clock() * 1000)
            body = self._bodies.authz_complete(client, action, topic, result, source, now)
            self._events.emit(client.client_id, body)
        return result == "allow"

    async def _decide(
        self, client: Client, action: Action, topic: str, qos: int, retain: bool
    ) -> tuple[str, str]:
        if client.superuser:
            return "allow", "superuser"
        if client.rules is not None:
            # EMQX 5.8.9 names `http` as the source of these too (recordings, "acl in the connect response").
            if client.expires_at is not None and client.expires_at < int(self._clock()):
                return "deny", "http"
            if (permission := permits(client.rules, action, topic, qos, retain)) is not None:
                return permission, "http"
        verdict = await self._questions.authorize(client, action, topic, qos, retain)
        return ("deny", "default") if verdict is None else (verdict, "http")
