"""The broker's decision about a publish or subscribe: memory, then its sources in order (contract section 2)."""

import time
from collections.abc import Callable

from emqx.laptop.bodies import EventBodies
from emqx.laptop.client import Client
from emqx.laptop.decisions import DecisionCache, Question
from emqx.laptop.rule_engine import RuleEngine
from emqx.laptop.sources import Sources
from emqx.rules import Action, Permission, permits


class Access:
    """What the connection remembers, superuser, the rules of the authn answer, the sources, then ``no_match``.

    Args:
        sources: the authorization sources.
        events: gets client.check_authz_complete.
        bodies: builds it.
        clock: Unix seconds.
    """

    def __init__(
        self,
        sources: Sources,
        events: RuleEngine,
        bodies: EventBodies,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._sources = sources
        self._events = events
        self._bodies = bodies
        self._clock = clock

    async def allows(
        self,
        client: Client,
        action: Action,
        topic: str,
        qos: int,
        *,
        retain: bool = False,
        decisions: DecisionCache | None = None,
    ) -> bool:
        """Whether the client may.

        Args:
            client: who asks; after ``expires_at`` a client with rules is denied everything (contract 1.4).
            action: ``publish`` or ``subscribe``.
            topic: without prefixes (contract 2.4).
            qos: of the message, or asked for.
            retain: the message's flag.
            decisions: what its connection remembers; None = nothing, and nothing is kept.
        """
        question = Question(action, topic, qos, retain)
        result, source = await self._recall(client, question, decisions)
        if self._events.wants("client.check_authz_complete"):
            now = int(self._clock() * 1000)
            body = self._bodies.authz_complete(client, action, topic, result, source, now)
            self._events.emit(client.client_id, body)
        return result == "allow"

    async def _recall(
        self, client: Client, question: Question, decisions: DecisionCache | None
    ) -> tuple[Permission, str]:
        # Before memory, unlike EMQX: it may look there first, since at that moment the connection ends anyhow.
        if (
            client.rules is not None
            and client.expires_at is not None
            and client.expires_at < int(self._clock())
        ):
            return "deny", "http"
        if decisions is None or not self._sources.caches(question.topic):
            return await self._decide(client, question)
        remembered = decisions.find(question, self._sources.cache_ttl)
        if remembered is not None:
            return remembered, "cache"
        asked = decisions.clearings
        result, source = await self._decide(client, question)
        decisions.keep(question, result, self._sources.settings.cache.max_size, asked)
        return result, source

    async def _decide(self, client: Client, question: Question) -> tuple[Permission, str]:
        if client.superuser:
            return "allow", "superuser"
        if client.rules is not None and (permission := permits(client.rules, *question)) is not None:
            # EMQX 5.8.9 names `http` as the source of these too (recordings, "acl in the connect response").
            return permission, "http"
        return await self._sources.decide(client, *question)
