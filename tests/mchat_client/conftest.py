from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from emqx.laptop.server import LaptopBroker
from mchat_client import Backoff, Broker, Client
from tests.emqx.conftest import laptop_settings
from tests.emqx.mchat import FakeMChat, serving
from tests.mchat_client.gateway import FakeGateway
from tests.mchat_client.relay import Relay, relay_to
from tests.mosquitto import mosquitto_port

__all__ = ["mosquitto_port"]

QUICK = Backoff(first_s=0.02, most_s=0.1, stable_s=10.0, refusals=3)


@dataclass
class Laptop:
    broker: LaptopBroker
    mchat: FakeMChat


@dataclass
class Place:
    """A broker, with a gateway behind it and a way to it that can be cut."""

    gateway: FakeGateway
    relay: Relay
    stack: AsyncExitStack

    def client(self, employee_id: str, **options: Any) -> Client:
        version = options.pop("version", "3.1.1")
        keepalive = options.pop("keepalive_s", 30)
        broker = Broker(port=self.relay.port, version=version, keepalive_s=keepalive, connect_timeout_s=3.0)
        return Client(
            employee_id, "ok", options.pop("broker", broker), **{"backoff": QUICK, "repeat_s": 0.3, **options}
        )

    async def connected(self, employee_id: str, **options: Any) -> Client:
        return await self.stack.enter_async_context(self.client(employee_id, **options))


@pytest.fixture
async def laptop() -> AsyncIterator[Laptop]:
    async with serving(FakeMChat()) as mchat, LaptopBroker(laptop_settings(mchat.url)) as broker:
        yield Laptop(broker, mchat)


async def placed(stack: AsyncExitStack, port: int, **options: Any) -> Place:
    """A gateway on the broker at this port, and a way to it."""
    relay = await stack.enter_async_context(relay_to(port))
    gateway = FakeGateway(port, **options)
    stack.callback(gateway.stop)
    return Place(await gateway.start(), relay, stack)


@pytest.fixture(params=["mosquitto", "laptop"])
async def place(request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    """The same on mosquitto and on the laptop broker."""
    async with AsyncExitStack() as stack:
        if request.param == "mosquitto":
            port = request.getfixturevalue("mosquitto_port")
        else:
            mchat = await stack.enter_async_context(serving(FakeMChat()))
            port = (await stack.enter_async_context(LaptopBroker(laptop_settings(mchat.url)))).tcp_port
        yield await placed(stack, port)


@pytest.fixture
async def mosquitto(mosquitto_port: int) -> AsyncIterator[Place]:
    async with AsyncExitStack() as stack:
        yield await placed(stack, mosquitto_port)
