"""A gateway without a broker: requests go in as arrivals, answers and what is left to be published come out."""

import itertools
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import gateway.actions  # noqa: F401 - registers them
from directory import audit, outbox, people, schema, sessions
from directory.audit import AuditRow
from directory.database import Database
from directory.feed import Feed
from directory.sessions import SessionRow
from gateway.caller import Callers, LiveClient
from gateway.deliveries import Left
from gateway.dispatcher import Dispatcher
from gateway.exchange import Arrival, Reply
from gateway.house import House
from gateway.means import Means
from gateway.proofs import Proofs
from gateway.router import ROUTER, Router
from gateway.terms import Terms
from gateway.topics import Topics

TERMS = Terms(version="0.0.test", challenge_proof=frozenset())
"""As by default, but that nobody proves itself again for a challenge."""


class Broker:
    """The broker's live clients, as a port."""

    def __init__(self) -> None:
        self.clients: dict[str, LiveClient] = {}
        self.asked: list[str] = []

    async def find(self, client_id: str) -> LiveClient | None:
        self.asked.append(client_id)
        return self.clients.get(client_id)


class Names:
    """Names messages so that a test can read it."""

    def of(self, employee_id: str, client_id: str, seq_id: str, payload_digest: bytes) -> str:
        return f"msg_{employee_id}-{client_id}-{seq_id}-{payload_digest.hex()[:8]}"


@dataclass
class Answer:
    """An answer, as a client sees it, and what went out before it."""

    code: int
    message: str
    data: dict[str, Any]
    seq_id: str
    raw: bytes
    reply: Reply

    @property
    def delivered(self) -> list[tuple[str, Any]]:
        """The relayed messages, by topic."""
        return [(one.topic, json.loads(one.payload)) for one in self.reply.deliveries]


@dataclass
class Stage:
    """One instance of the gateway's core.

    Attributes:
        committed: What transactions left to be published, in order.
        now_ms: The wall clock, which only tests move.
    """

    database: Database
    dispatcher: Dispatcher
    house: House
    broker: Broker
    means: Means
    committed: list[Left]
    clock: list[int]
    numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    async def handle(self, arrival: Arrival) -> Reply:
        """Give a request to the dispatcher, and wait if it has to."""
        reply = self.dispatcher.handle(arrival)
        return reply if isinstance(reply, Reply) else await reply()

    async def raw(self, client_id: str, seq_id: str, payload: bytes, **more: Any) -> Answer:
        """Send bytes, and wait for the answer, however long it is put off."""
        topic = f"{self.means.topics.prefix}mchat/msg/req/{client_id}/{seq_id}"
        reply = await self.handle(Arrival(topic, payload, time.monotonic(), **more))
        response = reply.response
        if response is None and reply.after is not None:
            response = await reply.after()
        assert response is not None, "no answer"
        return Answer(**json.loads(response), raw=response, reply=reply)

    async def send(self, client_id: str, action: str, /, *, seq: str | None = None, **params: Any) -> Answer:
        """Ask for an action; without `seq` under a number that was not used before."""
        seq_id = seq or f"seq_{next(self.numbers)}"
        return await self.raw(client_id, seq_id, json.dumps({"action": action, **params}).encode())

    async def challenge(self, client_id: str, action: str, target: str, **params: Any) -> dict[str, Any]:
        """Ask for a challenge and return what the sensitive action needs of it."""
        answer = await self.send(client_id, "auth.challenge", for_action=action, target=target, **params)
        return {name: answer.data[name] for name in ("challenge_id", "token")}

    def messages(self) -> list[tuple[str, Any]]:
        """What was left to be published, by topic, and forget it."""
        found = [(one.delivery.topic, json.loads(one.delivery.payload)) for one in self.committed]
        self.committed.clear()
        return found

    async def audited(self) -> Sequence[AuditRow]:
        """The audit rows of this gateway's clients, newest first."""
        async with self.database.read() as connection:
            return [one for one in await audit.list_(connection) if one.client_id is not None]

    async def work(self, worker: str, kind: str | None = None) -> list[Mapping[str, Any]]:
        """The payloads of what was left for a worker."""
        async with self.database.read() as connection:
            rows = await outbox.pending(connection, worker)
        return [row.payload for row in rows if kind is None or row.kind == kind]

    async def count(self, table: str) -> int:
        """Count the rows of a table."""
        from sqlalchemy import func, select

        async with self.database.read() as connection:
            return await connection.scalar(select(func.count()).select_from(getattr(schema, table))) or 0


async def join(database: Database, *employee_ids: str, role: str = "employee") -> None:
    """Add people, each connected as the client id that is its own id."""
    async with database.change("hr", 1_000) as change:
        for one in employee_ids:
            await people.add(
                change,
                name=f"Name of {one}",
                employee_id=one,
                role=role,
                is_ai_agent=role == "agent",
                agent_profile={"capabilities": []} if role == "agent" else None,
            )
    await connect(database, **{one: one for one in employee_ids})


async def connect(database: Database, **clients: str) -> None:
    """Write the rows of sessions: people by client id."""
    rows = [
        SessionRow(client_id=client_id, employee_id=employee_id, grants_version=1, updated_at=1)
        for client_id, employee_id in clients.items()
    ]
    async with database.write() as connection:
        await sessions.store(connection, rows)


@asynccontextmanager
async def staged(
    database: Database,
    *,
    terms: Terms | None = None,
    instance: str = "gw1",
    router: Router = ROUTER,
    now_ms: Callable[[], int] | None = None,
) -> AsyncIterator[Stage]:
    """Run an instance on a database; its clock stands still at 1,800,000,000,000 ms."""
    terms = terms or TERMS
    clock = [1_800_000_000_000]
    now = now_ms or (lambda: clock[0])
    house = House(database, time.monotonic, stale_s=terms.stale_s, grace_s=terms.grace_s)
    feed = Feed(database, on_change=house.apply)
    await feed.start()
    house.follow(feed)
    broker, committed = Broker(), list[Left]()
    means = Means(
        database=database,
        house=house,
        callers=Callers(house, broker),
        topics=Topics(terms.service),
        terms=terms,
        message_ids=Names(),
        proofs=Proofs(database, now),
        now_ms=now,
        instance=instance,
        committed=committed.extend,
    )
    traces = (f"trace{number}" for number in itertools.count(1))
    dispatcher = Dispatcher(router, means, clock=time.monotonic, new_trace=lambda: next(traces))
    try:
        yield Stage(database, dispatcher, house, broker, means, committed, clock)
    finally:
        await dispatcher.close()
        await feed.stop()
        await house.lookups.close()
