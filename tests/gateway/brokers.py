"""Brokers for the link: mosquitto with MQTT 5 and 3.1.1, and the laptop broker; and a line that can be cut."""

import asyncio
import contextlib
import itertools
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from pydantic_settings import SettingsConfigDict

from emqx.laptop.server import LaptopBroker
from gateway.exchange import Handler
from gateway.link import Link
from gateway.settings import GatewaySettings
from tests.emqx.conftest import laptop_settings
from tests.emqx.mchat import FakeMChat, allow, serving
from tests.emqx.mqtt import Clients, MqttClient, clients_of

Protocol = Literal["5", "3.1.1"]

_NUMBERS = itertools.count(1)


class UntouchedSettings(GatewaySettings):
    """The settings without what the environment of a developer says."""

    model_config = SettingsConfigDict(env_prefix="MCHAT_TEST_ONLY_", env_file=None)


class Line:
    """A TCP connection to a broker that can be cut, and be down for a while."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.down = False
        self.port = 0
        self.made = 0

    @asynccontextmanager
    async def laid(self) -> AsyncIterator["Line"]:
        server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            self.cut()
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """Both ends lose the connection, without a word."""
        for writer in list(self._open):
            writer.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.made += 1
        if self.down:
            writer.transport.abort()
            return
        there, back = await asyncio.open_connection("127.0.0.1", self._target)
        both = {writer, back}
        self._open |= both
        tasks = [asyncio.ensure_future(_pump(reader, back)), asyncio.ensure_future(_pump(there, writer))]
        self._tasks.update(tasks)
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._tasks.difference_update(tasks)
        self._open -= both
        for one in both:
            one.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()


@dataclass
class Place:
    """A running broker and what a test does there."""

    port: int
    protocol: Protocol
    clients: Clients
    prefix: str
    stack: AsyncExitStack
    links: list[Link] = field(default_factory=list)

    def settings(self, **values: Any) -> GatewaySettings:
        wanted = {
            "port": self.port,
            "protocol": self.protocol,
            "username": f"gw{self.prefix[:-1]}",
            "token": "ok",
            "share_group": f"g{self.prefix[:-1]}",
            "back_off": 0.02,
            "back_off_longest": 0.1,
            "stop_time": 5.0,
        }
        return UntouchedSettings(**{**wanted, **values})

    def link(self, *, clock: Callable[[], float] = time.monotonic, **values: Any) -> Link:
        link = Link(
            self.settings(**values), "ok", prefix=self.prefix, clock=clock, random=random.Random(1).random
        )
        self.links.append(link)
        return link

    async def linked(self, handler: Handler, **values: Any) -> Link:
        """A link that is up."""
        link = self.link(**values)
        link.start(handler)
        async with asyncio.timeout(10):
            await link.up.wait()
        return link

    async def line(self) -> Line:
        return await self.stack.enter_async_context(Line(self.port).laid())

    async def client(self, name: str = "a", **options: Any) -> MqttClient:
        """A client that has subscribed its responses."""
        client: MqttClient = await self.clients.connected(f"{self.prefix[:-1]}{name}", **options)
        await client.subscribe(f"{self.prefix}mchat/msg/resp/{name}/+")
        return client

    def request(self, name: str, seq: object) -> str:
        return f"{self.prefix}mchat/msg/req/{name}/{seq}"


@asynccontextmanager
async def _laptop() -> AsyncIterator[int]:
    everything = [{"permission": "allow", "action": "all", "topic": "#"}]
    async with serving(FakeMChat(authn=lambda body: allow(acl=everything))) as mchat:
        settings = laptop_settings(mchat.url, events=(), max_inflight=1_024)
        async with LaptopBroker(settings) as broker:
            yield broker.tcp_port


async def _place(kind: str, mosquitto_port: Callable[[], int]) -> AsyncIterator[Place]:
    broker, _, protocol = kind.partition("-")
    async with AsyncExitStack() as stack:
        port = mosquitto_port() if broker == "mosquitto" else await stack.enter_async_context(_laptop())
        clients = stack.enter_context(clients_of(port))
        # A name of its own: mosquitto serves all tests, and keeps sessions.
        place = Place(port, "5" if protocol == "5" else "3.1.1", clients, f"t{next(_NUMBERS)}/", stack)
        yield place
        for link in place.links:
            await link.stop()


@pytest.fixture(params=["mosquitto-5", "mosquitto-3.1.1", "laptop-3.1.1"])
async def place(request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    """Each broker with each version of MQTT that it speaks."""
    async for made in _place(request.param, lambda: int(request.getfixturevalue("mosquitto_port"))):
        yield made


@pytest.fixture
async def five(request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    """mosquitto with MQTT 5."""
    async for made in _place("mosquitto-5", lambda: int(request.getfixturevalue("mosquitto_port"))):
        yield made
