"""Enforcement on a stage of one process: hooks and the laptop broker on real sockets, real MQTT clients.

What the enforcement asks of the broker's REST API is written down, and may be answered wrongly.
"""

import asyncio
import gc
import time
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from acl_service.enforcement import confirmation, push
from acl_service.enforcement.enforcement import Enforcement
from acl_service.service import AccessService
from directory import client_acls, groups, outbox, replicas
from directory.changes import Change
from directory.client_acls import ClientAcl
from directory.database import Database
from directory.outbox import OutboxRow
from directory.replicas import Replica
from emqx.api.broker import BrokerApi
from emqx.api.wire import JSON, Answer, Request, Wire
from emqx.laptop.server import LaptopBroker
from mchat.listeners import Listener, bind, serve
from tests.acl_service.serving import HOOK_SECRET, UntouchedSettings
from tests.emqx.api.conftest import KEY, SECRET, api_settings
from tests.emqx.conftest import laptop_settings
from tests.emqx.mqtt import Clients, MqttClient, clients_of

WITHIN_S = 30.0

ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""For tests of what lies in front of the database: one kind of it is enough."""

NOT_FOUND = Answer(404, JSON, b'{"code":"NOT_FOUND","message":"Not Found"}')
NOBODY = Answer(404, JSON, b'{"code":"CLIENTID_NOT_FOUND","message":"Client ID not found"}')
BROKEN = Answer(500, JSON, b'{"code":"INTERNAL_ERROR","message":"badarg"}')

Doings = Callable[[Change], Awaitable[object]]
Fault = Callable[[Request], Awaitable[Answer | None]]


async def until(condition: Callable[[], Any], within_s: float = WITHIN_S) -> None:
    """Wait for a condition, which may have to be awaited."""
    ends = time.monotonic() + within_s
    while True:
        found = condition()
        asked = asyncio.iscoroutine(found)
        if await found if asked else found:
            return
        assert time.monotonic() < ends, f"not within {within_s:g} s"
        await asyncio.sleep(0.02 if asked else 0.002)


@contextmanager
def brisk() -> Iterator[None]:
    """The loops of the enforcement without their rests; nothing else about them is another."""
    rests = {confirmation: 0.02, push: 0.02}
    before = {module: module._EVERY_S for module in rests}
    for module, seconds in rests.items():
        module._EVERY_S = seconds  # type: ignore[attr-defined]
    try:
        yield
    finally:
        for module, seconds in before.items():
            module._EVERY_S = seconds  # type: ignore[attr-defined]


class Clock:
    """The wall clock, and how much a test has put it forward."""

    def __init__(self) -> None:
        self.ahead_ms = 0

    def __call__(self) -> int:
        return time.time_ns() // 1_000_000 + self.ahead_ms


def reap() -> None:
    """Collect connections that tasks were being given when they were cancelled: SQLAlchemy leaves them, and warns."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()


class RecordedWire:
    """A wire that writes down what is sent, and lets a test answer instead of the broker."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self.requests: list[Request] = []
        self.fault: Fault | None = None

    async def exchange(self, request: Request) -> Answer:
        self.requests.append(request)
        answer = None if self.fault is None else await self.fault(request)
        return await self._wire.exchange(request) if answer is None else answer

    async def close(self) -> None:
        await self._wire.close()

    def writes(self) -> list[str]:
        """Method and path of each call that may change something; a bulk call for one client is named for it."""
        return [one.call for one in self.requests if one.method != "GET"]

    def about(self, client_id: str) -> list[str]:
        """Calls whose path names a client."""
        return [one.call for one in self.requests if client_id in one.path.split("/")]


def recorded(api: BrokerApi) -> RecordedWire:
    """Write down from now on what an API client sends."""
    wire = RecordedWire(api._transport._wire)
    api._transport._wire = cast(Wire, wire)
    return wire


@asynccontextmanager
async def hooks_of(
    database: Database, now_ms: Callable[[], int], **settings: Any
) -> AsyncIterator[tuple[AccessService, int]]:
    """A process that answers the broker: the service, and the port of its hooks."""
    feed_stale_s = settings.pop("feed_stale_s", 2.0)
    access = UntouchedSettings(**{"hook_secrets": HOOK_SECRET, "patience": 4.0, **settings})
    async with AsyncExitStack() as stack:
        service = await stack.enter_async_context(
            AccessService.running(database, access, feed_stale_s=feed_stale_s, now_ms=now_ms)
        )
        bound = stack.enter_context(bind("127.0.0.1:0", "TEST"))
        stop = asyncio.Event()
        task = asyncio.create_task(serve([Listener(service.hooks(), bound)], stop))

        async def stopped() -> None:
            stop.set()
            await task

        stack.push_async_callback(stopped)
        yield service, bound.getsockname()[1]


@asynccontextmanager
async def heard(service: AccessService) -> AsyncIterator[None]:
    """The replica's heartbeat, which comes when there is something to say: at each change."""
    changed = asyncio.Event()
    service.when_changed.append(changed.set)

    async def beat() -> None:
        now_ms = service.now_ms()
        async with service.database.write() as connection:
            await replicas.beat(connection, Replica("here", "hooks", service.memory.version, now_ms, now_ms))

    async def beating() -> None:
        while True:
            await changed.wait()
            changed.clear()
            await beat()

    await beat()
    task = asyncio.create_task(beating())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@dataclass(slots=True)
class Stage:
    """What runs.

    Attributes:
        database: the directory.
        service: the process that answers the broker; the enforcement shares its memory.
        laptop: the broker.
        api: of the test itself; the enforcement has one of its own.
        wire: what the enforcement asks of the broker.
        enforcement: its parts; it works within `working`.
        clients: makes MQTT clients.
        clock: of the service and the enforcement.
        tokens: by employee id.
    """

    database: Database
    service: AccessService
    laptop: LaptopBroker
    api: BrokerApi
    wire: RecordedWire
    enforcement: Enforcement
    clients: Clients
    clock: Clock
    tokens: dict[str, str] = field(default_factory=dict)

    async def change(self, do: Doings) -> int | None:
        """Commit a change; returns its version."""
        async with self.database.change("test", self.clock()) as change:
            await do(change)
        return change.version

    async def join(self, group_id: str, employee_id: str) -> int | None:
        return await self.change(lambda change: groups.add_members(change, group_id, [employee_id]))

    async def leave(self, group_id: str, employee_id: str) -> int | None:
        return await self.change(lambda change: groups.remove_members(change, group_id, [employee_id]))

    async def come(
        self, person: str, client_id: str | None = None, *filters: str, **options: Any
    ) -> MqttClient:
        """A client of a person, let in and subscribed."""
        client = await self.clients.connected(
            client_id or f"{person}_pc", username=person, password=self.tokens[person], **options
        )
        if filters:
            assert await client.subscribe(*filters) == [1] * len(filters)
        return client

    def topics(self, client_id: str) -> set[str]:
        """What a session of the broker is subscribed to."""
        session = self.laptop.broker.session(client_id)
        return set() if session is None else set(session.subscriptions)

    def rules(self, client_id: str) -> set[str]:
        """The topics of the rules that the broker has under a client id."""
        found = dict(self.laptop.broker.sources.database.all("clientid")).get(client_id)
        return set() if found is None else {one["topic"] for one in found.shown}

    def cached(self, client_id: str) -> set[str]:
        """Topics about which a connection remembers an answer."""
        return {question.topic for question, _ in self.laptop.broker.decisions(client_id) or ()}

    async def work(self) -> list[OutboxRow]:
        """What is not done."""
        async with self.database.read() as connection:
            return list(await outbox.pending(connection, "enforcer"))

    async def done(self) -> list[OutboxRow]:
        """What is done, the newest first."""
        async with self.database.read() as connection:
            return list(await outbox.recent(connection, "enforcer"))

    async def row(self, client_id: str) -> ClientAcl | None:
        async with self.database.read() as connection:
            return (await client_acls.of_clients(connection, [client_id])).get(client_id)

    async def enforced(self) -> None:
        """Wait until every change is in force."""

        async def in_force() -> bool:
            return all(one.enforced_at is not None for one in await self.work())

        await until(in_force)

    async def settled(self) -> None:
        """Wait until every change is confirmed."""

        async def done() -> bool:
            return not await self.work()

        await until(done)

    async def pushed(self, *client_ids: str) -> None:
        """Wait until sessions have been given their rules."""

        async def given() -> bool:
            rows = [await self.row(one) for one in client_ids]
            return all(one is not None and one.written_at > 0 for one in rows)

        await until(given)

    @asynccontextmanager
    async def working(self, enforcement: Enforcement | None = None) -> AsyncIterator[None]:
        """Run an enforcement."""
        async with (enforcement or self.enforcement).running():
            yield
        if self.database.dialect == "postgresql":
            reap()

    def metric(self, name: str, **labels: str) -> float:
        return self.service.registry.get_sample_value(name, labels) or 0.0


@asynccontextmanager
async def stage(
    database: Database,
    *,
    laptop: dict[str, Any] | None = None,
    api: dict[str, Any] | None = None,
    confirm_s: float = 0.05,
    **settings: Any,
) -> AsyncIterator[Stage]:
    """Hooks, the broker and an enforcement that does not work yet.

    Args:
        database: migrated, with a policy.
        laptop: settings of the broker.
        api: settings of the enforcement's API client.
        confirm_s: after how long a change is looked at again; short, because the one replica has heard of it.
        settings: of the access service.
    """
    clock = Clock()
    async with AsyncExitStack() as stack:
        stack.enter_context(brisk())
        service, port = await stack.enter_async_context(
            hooks_of(database, clock, **{"push_rate": 10_000.0, **settings})
        )
        await stack.enter_async_context(heard(service))
        values = {
            "hook_secret": HOOK_SECRET,
            "api_bind": "127.0.0.1:0",
            "api_key": KEY,
            "api_secret": SECRET,
            "events": ("client.connected", "client.disconnected"),
        }
        broker = await stack.enter_async_context(
            LaptopBroker(laptop_settings(f"http://127.0.0.1:{port}", **{**values, **(laptop or {})}))
        )
        url = f"http://127.0.0.1:{broker.api_port}"
        own = await stack.enter_async_context(BrokerApi(api_settings(url)))
        enforcement, wire = await stack.enter_async_context(
            enforcer(service, broker, feed_stale_s=confirm_s, **(api or {}))
        )
        clients = stack.enter_context(clients_of(broker.tcp_port))
        yield Stage(database, service, broker, own, wire, enforcement, clients, clock)


@dataclass(slots=True)
class Worker:
    """Another process that enforces, with a memory of its own.

    Attributes:
        service: its share of the access service; it answers nobody.
        enforcement: its parts.
        wire: what it asks of the broker.
    """

    service: AccessService
    enforcement: Enforcement
    wire: RecordedWire


@asynccontextmanager
async def another(stage: Stage, **settings: Any) -> AsyncIterator[Worker]:
    """Another worker on the same stage, which does not work yet."""
    access = UntouchedSettings(**{"push_rate": 10_000.0, **settings})
    async with AsyncExitStack() as stack:
        service = await stack.enter_async_context(
            AccessService.running(stage.database, access, now_ms=stage.clock)
        )
        enforcement, wire = await stack.enter_async_context(enforcer(service, stage.laptop))
        yield Worker(service, enforcement, wire)


@asynccontextmanager
async def enforcer(
    service: AccessService, broker: LaptopBroker, *, feed_stale_s: float = 0.05, **api: Any
) -> AsyncIterator[tuple[Enforcement, RecordedWire]]:
    """An enforcement with an API client of its own, which is written down."""
    values = {"circuit_failures": 1_000, **api}
    async with BrokerApi(api_settings(f"http://127.0.0.1:{broker.api_port}", **values)) as client:
        wire = recorded(client)
        yield Enforcement(service, client, feed_stale_s=feed_stale_s, latest_answer_s=0), wire
