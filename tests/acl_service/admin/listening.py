"""Listeners to the stream of presence on real sockets, and people whose standing changes."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from prometheus_client import CollectorRegistry

from acl_service.admin.access import ANYBODY, Guard
from acl_service.admin.application import AdminApplication
from acl_service.admin.presence_listeners import Bounds, Listeners
from acl_service.admin.presence_stream import PresenceStream
from acl_service.admin.routes import AdminRoute, mounted
from acl_service.admin.tokens import Bearer, TokenMint
from acl_service.service import AccessService
from directory import standing
from directory.database import Database
from directory.standing import PersonRow
from mchat.listeners import Listener, bind, serve
from tests.acl_service.serving import now_ms

PATH = "/admin/presence/stream"
WITHIN_S = 30.0
MINT = TokenMint(b"k" * 32, lifetime_s=900, now_s=lambda: now_ms() / 1000)


@dataclass(frozen=True, slots=True)
class Event:
    """What came: the name, its data, and the id that is the last one seen."""

    name: str
    data: Any
    id: int | None


async def events(response: httpx.Response) -> AsyncIterator[Event]:
    """Read server-sent events; a comment is an event without a name."""
    name, data, number = "", "", None
    async for line in response.aiter_lines():
        field, _, value = line.partition(": ")
        if line == "":
            if name:
                yield Event(name, json.loads(data), number)
            name, data = "", ""
        elif line.startswith(":"):
            yield Event("", line, number)
        elif field == "event":
            name = value
        elif field == "data":
            data = value
        elif field == "id":
            number = int(value)


class Stage:
    """The route alone on a socket of its own, with bounds that a test can reach."""

    def __init__(
        self, service: AccessService, listeners: Listeners, registry: CollectorRegistry, port: int
    ) -> None:
        self.service = service
        self.listeners = listeners
        self.registry = registry
        self.port = port
        self.stop = asyncio.Event()
        self.serving: asyncio.Task[None] | None = None
        self._client = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", timeout=WITHIN_S, limits=httpx.Limits(max_connections=None)
        )

    async def headers(self, who: str = "root", last: int | str | None = None) -> dict[str, str]:
        person = await self.service.memory.find(who)
        assert person is not None
        token = MINT.issue(Bearer(who, next(iter(person.credentials))))
        more = {} if last is None else {"last-event-id": str(last)}
        return {"authorization": f"Bearer {token}", **more}

    @asynccontextmanager
    async def listening(
        self, who: str = "root", last: int | str | None = None
    ) -> AsyncIterator[AsyncIterator[Event]]:
        async with self._client.stream("GET", PATH, headers=await self.headers(who, last)) as response:
            assert response.status_code == 200, await response.aread()
            assert response.headers["content-type"].startswith("text/event-stream")
            async with asyncio.timeout(WITHIN_S):
                yield events(response)

    async def asked(self, who: str = "root", **options: Any) -> httpx.Response:
        """An answer that ends."""
        method = options.pop("method", "GET")
        last = options.pop("last", None)
        return await self._client.request(method, PATH, headers=await self.headers(who, last), **options)

    def counted(self, why: str) -> float:
        """How many streams ended so."""
        return self.registry.get_sample_value("mchat_presence_listeners_ended_total", {"why": why}) or 0.0

    @property
    def open(self) -> float:
        """How many are open."""
        return self.registry.get_sample_value("mchat_presence_listeners") or 0.0

    async def close(self) -> None:
        await self._client.aclose()
        self.stop.set()
        assert self.serving is not None
        await self.serving


@asynccontextmanager
async def staged(service: AccessService, *, buffer: int | None = None, **bounds: Any) -> AsyncIterator[Stage]:
    """Serve the route as `mchat serve admin` does.

    Args:
        service: whose memory and database it uses.
        buffer: bytes that the system keeps of what a listener has not read; None: as it likes.
        bounds: of `Bounds`.
    """
    guard = Guard(service.memory, service.freshness, MINT, service.now_ms)
    registry = CollectorRegistry()
    listeners = Listeners(
        service.database,
        service.memory,
        guard.caller,
        registry,
        clock=service.clock,
        bounds=Bounds(**bounds),
    )
    routes = [AdminRoute("GET", PATH, ANYBODY, PresenceStream(listeners).respond)]
    app = AdminApplication(mounted(routes, guard), listeners.end)
    with bind("127.0.0.1:0", "TEST") as bound:
        if buffer is not None:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
        stage = Stage(service, listeners, registry, bound.getsockname()[1])
        stage.serving = asyncio.create_task(serve([Listener(app, bound)], stage.stop))
        try:
            yield stage
        finally:
            await stage.close()


async def derive(database: Database, *rows: PersonRow) -> int:
    """Store what was derived of people; returns the number of the last change."""
    names = [one.employee_id for one in rows]
    async with database.write() as connection:
        await standing.touch(connection, names, 5)
        await standing.store(connection, rows, seen=await standing.people(connection, names))
        return await standing.newest_change(connection)


def on(employee_id: str, devices: int = 1) -> PersonRow:
    return PersonRow(
        employee_id=employee_id, status="online", devices=devices, changed_at=1_000, last_seen_at=2_000
    )


def off(employee_id: str) -> PersonRow:
    return PersonRow(employee_id=employee_id, status="offline", changed_at=3_000, last_seen_at=2_500)


async def turn(database: Database, names: Sequence[str], devices: int) -> int:
    """Give people another number of devices, and so a change each; returns the last number."""
    return await derive(database, *(on(one, devices) for one in names))
