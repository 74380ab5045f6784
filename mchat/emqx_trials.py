"""The trials of ``mchat emqx check --probe``: MQTT clients that try what cannot be read (`emqx.check.trials`)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

from directory import events
from directory.database import Database
from directory.secret import new_token
from emqx.api.broker import BrokerApi
from emqx.api.built_in_rules import BuiltInRule
from emqx.api.publishing import Message
from emqx.check import trials as kinds
from mchat.emqx_attempts import Attempts, Outcome
from mchat.emqx_place import Place
from mchat.emqx_probe import Entitled, Visitor
from mchat.probe import PATIENCE_S, Ended, NoAnswer, Probe, receive_maximum

CONNECTED, REFUSED, GRANTED = "connected", "refused", "granted"

EVENT_S = 10.0
REVOKED_S = 5.0
LOOK_S = 0.1

_NOT_GRANTED = 128


@dataclass(slots=True)
class Trials:
    """All trials of one broker.

    Attributes:
        place: where.
        api: of the broker.
        database: the directory, where events arrive.
        visitor: who comes in.
        entitled: what it may.
        mark: of this run, random: in client ids, topics and payloads.
        revoke: ends the visitor's token.
        clock: monotonic seconds.
        patience_s: how long a message may take.
        attempts: what came out so far.
    """

    place: Place
    api: BrokerApi
    database: Database
    visitor: Visitor
    entitled: Entitled
    mark: str
    revoke: Callable[[], Awaitable[None]]
    clock: Callable[[], float] = time.monotonic
    patience_s: float = PATIENCE_S
    attempts: Attempts = field(default_factory=Attempts)

    @property
    def client_id(self) -> str:
        """Of the client that comes in."""
        return f"{self.visitor.employee_id}_{self.mark}"

    @property
    def private(self) -> str:
        """A topic that no policy speaks of."""
        return f"{self.place.prefix}mchat/probe/{self.mark}"

    async def run(self) -> tuple[Outcome, ...]:
        """Try everything, one after the other; what was written into the broker is taken out again.

        Raises:
            OSError: nobody listens there.
            ApiError: the broker's API does not answer.
            directory.errors.DirectoryError: the directory does not answer.
        """
        async with self.database.read() as connection:
            newest = await events.newest(connection)
        await self._strangers()
        with self._client(self.client_id, self.visitor.employee_id, self.visitor.token) as probe:
            came_in = await self.attempts.make(kinds.KNOWN, CONNECTED, lambda: _enters(probe))
            if came_in:
                try:
                    await self._inside(probe)
                finally:
                    await self._clean()
        if came_in:
            await self.attempts.make(kinds.EVENTS, "stored", lambda: self._stored(newest))
            await self._receive_maximum()
            await self.attempts.make(kinds.REVOKED, REFUSED, self._revoked)
        else:
            for kind in kinds.KINDS[len(self.attempts.done) :]:
                self.attempts.leave_out(kind, "the known client did not come in")
        return tuple(self.attempts.done)

    async def _strangers(self) -> None:
        """Who must not come in."""
        name, token = self.visitor.employee_id, self.visitor.token
        nobody = f"nobody{self.mark}"
        for kind, client_id, username, secret in (
            (kinds.UNKNOWN_USER, nobody, nobody, new_token()),
            (kinds.NO_CREDENTIAL, nobody, None, None),
            (kinds.WRONG_SECRET, self.client_id, name, new_token()),
            (kinds.WILDCARD_ID, f"{name}_+", name, token),
            (kinds.FOREIGN_ID, nobody, name, token),
        ):
            await self.attempts.make(kind, REFUSED, partial(self._connects, client_id, username, secret))

    async def _inside(self, probe: Probe) -> None:
        """What the one who came in may and may not."""
        await self.attempts.make(kinds.EVERYTHING, REFUSED, lambda: self._everything(probe))
        await self._own(probe)
        if not self.place.has_database:
            for kind in (*_BY_RULES, kinds.TOLD_PUBLISH, kinds.RETAINED):
                self.attempts.leave_out(
                    kind, "there is no source built_in_database to write rules of its own into"
                )
            return
        group = self._group()
        first = None if group is None else await _subscribes(probe, group)
        await self._write_rules(group)
        await self.attempts.make_or_leave(
            kinds.EXCLUDES,
            f"{REFUSED}, then {GRANTED}",
            None if group is None else lambda: _again(probe, group, first),
            "nothing is excluded from the cache",
        )
        await self.attempts.make(kinds.CACHE_CLEAR, GRANTED, lambda: self._cleared(probe))
        await self.attempts.make(
            kinds.DATABASE, "heard", lambda: self._arrives(probe, self.private, retain=False)
        )
        await self.attempts.make(
            kinds.DATABASE_RETAIN, "not heard", lambda: self._arrives(probe, self.private, retain=True)
        )
        await self._published(probe)

    async def _own(self, probe: Probe) -> None:
        """Its own topic, that of somebody else, and a publish to what it may only hear."""
        own = self.entitled.subscribed
        if own is None:
            for kind in (kinds.TOLD_SUBSCRIBE, kinds.FOREIGN_SUBSCRIBE, kinds.FOREIGN_PUBLISH):
                self.attempts.leave_out(
                    kind, "the policy tells the broker of no topic that an employee may only subscribe"
                )
            return
        await self.attempts.make(kinds.TOLD_SUBSCRIBE, GRANTED, lambda: _subscribes(probe, own))
        foreign = own.replace(self.client_id, f"nobody{self.mark}")
        foreign = foreign.replace(self.visitor.employee_id, f"nobody{self.mark}")
        await self.attempts.make_or_leave(
            kinds.FOREIGN_SUBSCRIBE,
            REFUSED,
            None if foreign == own else lambda: _subscribes(probe, foreign),
            f"{own} is everybody's",
        )
        await self.attempts.make(
            kinds.FOREIGN_PUBLISH, "not heard", lambda: self._arrives(probe, own, retain=False)
        )

    async def _published(self, probe: Probe) -> None:
        """A topic that it may publish, which a rule of its own lets it hear."""
        topic = self.entitled.published
        if topic is None:
            for kind in (kinds.TOLD_PUBLISH, kinds.RETAINED):
                self.attempts.leave_out(
                    kind, "the policy tells the broker of no topic that an employee may publish"
                )
            return
        await _subscribes(probe, topic)
        await self.attempts.make(
            kinds.TOLD_PUBLISH, "heard", lambda: self._arrives(probe, topic, retain=False)
        )
        await self.attempts.make(
            kinds.RETAINED, "not heard", lambda: self._arrives(probe, topic, retain=True)
        )

    async def _everything(self, probe: Probe) -> str:
        """Refused, or the first filter that is granted."""
        for topic in ("#", "+/#", "$SYS/#", "$share/probe/#", self.private):
            if await _subscribes(probe, topic) != REFUSED:
                return f"{topic} {GRANTED}"
        return REFUSED

    async def _arrives(self, probe: Probe, topic: str, *, retain: bool) -> str:
        """Whether a publish of the client is heard before one that the broker itself makes after it."""
        tried, after = (
            f"tried {self.mark} {len(self.attempts.done)}",
            f"after {self.mark} {len(self.attempts.done)}",
        )
        await asyncio.to_thread(lambda: probe.publish(topic, tried, retain=retain))
        await self.api.publishing.publish(Message(topic, after, qos=1))
        heard = await asyncio.to_thread(probe.heard, after, self.patience_s)
        if after not in heard:
            return f"the broker's own message on {topic} did not come"
        return "heard" if tried in heard else "not heard"

    async def _write_rules(self, group: str | None) -> None:
        """Rules of the user name: enforcement writes by client id, so they do not get into each other's way."""
        heard = [topic for topic in (self.private, group, self.entitled.published) if topic is not None]
        await self.api.user_rules.put(
            self.visitor.employee_id,
            [
                BuiltInRule(self.private, "allow", "publish", retain=False),
                *(BuiltInRule(topic, "allow", "subscribe") for topic in heard),
            ],
        )

    async def _clean(self) -> None:
        if not self.place.has_database:
            return
        await self.api.user_rules.delete(self.visitor.employee_id)
        for topic in (self.private, self.entitled.published):
            if topic is not None:  # a retained one that should not have come through
                await self.api.publishing.publish(Message(topic, "", retain=True))

    async def _cleared(self, probe: Probe) -> str:
        await self.api.caches.clear(self.client_id)
        return await _subscribes(probe, self.private)

    async def _stored(self, newest: int) -> str:
        """Whether the event of the connection reaches the directory in time."""
        ends = self.clock() + EVENT_S
        while True:
            async with self.database.read() as connection:
                rows = await events.after(connection, newest)
            if any(row.kind == "client.connected" and row.client_id == self.client_id for row in rows):
                return "stored"
            if self.clock() > ends:
                return f"nothing within {EVENT_S:g} s"
            newest = rows[-1].event_id if rows else newest
            await asyncio.sleep(LOOK_S)

    async def _receive_maximum(self) -> None:
        kind, wanted = kinds.RECEIVE_MAXIMUM, self.place.inflight
        if self.place.gateway is None:
            self.attempts.leave_out(kind, "there is no listener of the gateway")
            return
        host, port = self.place.gateway
        visitor = self.visitor
        try:
            told = await asyncio.to_thread(
                receive_maximum, port, f"{self.client_id}_g", visitor.employee_id, visitor.token, host
            )
        except (NoAnswer, OSError) as error:
            self.attempts.leave_out(kind, f"{host}:{port}: {error}")
            return
        least = f"{wanted} or more"
        self.attempts.add(Outcome(kind, least, least if told >= wanted else str(told)))

    async def _revoked(self) -> str:
        await self.revoke()
        ends = self.clock() + REVOKED_S
        while True:
            got = await self._connects(self.client_id, self.visitor.employee_id, self.visitor.token)
            if got != CONNECTED or self.clock() > ends:
                return got
            await asyncio.sleep(LOOK_S)

    def _group(self) -> str | None:
        """A topic about which no decision is remembered, and that nobody is granted."""
        if self.place.excluded is None:
            return None
        return self.place.excluded.replace("#", self.mark).replace("+", self.mark)

    def _client(self, client_id: str, username: str | None, secret: str | None) -> Probe:
        return Probe(self.place.port, client_id, username, secret, self.place.host)

    async def _connects(self, client_id: str, username: str | None, secret: str | None) -> str:
        with self._client(client_id, username, secret) as probe:
            return await _enters(probe)


_BY_RULES = (kinds.EXCLUDES, kinds.CACHE_CLEAR, kinds.DATABASE, kinds.DATABASE_RETAIN)


async def _enters(probe: Probe) -> str:
    try:
        return CONNECTED if await asyncio.to_thread(probe.connect) == 0 else REFUSED
    except Ended:
        return REFUSED


async def _subscribes(probe: Probe, topic: str) -> str:
    code = await asyncio.to_thread(probe.subscribe, topic)
    return REFUSED if code == _NOT_GRANTED else GRANTED


async def _again(probe: Probe, topic: str, first: str | None) -> str:
    return f"{first}, then {await _subscribes(probe, topic)}"
