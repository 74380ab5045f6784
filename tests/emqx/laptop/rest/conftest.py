from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from emqx.api.broker import BrokerApi
from emqx.laptop.server import LaptopBroker
from tests.emqx.api.conftest import KEY, SECRET, api_settings
from tests.emqx.mchat import FakeMChat
from tests.emqx.mqtt import Clients


@dataclass(frozen=True)
class Place:
    """A laptop broker with its REST API, MQTT clients, and MChat's stand-in behind."""

    broker: LaptopBroker
    clients: Clients
    mchat: FakeMChat
    api: BrokerApi
    http: httpx.AsyncClient

    async def call(self, method: str, path: str, body: object = None, **options: Any) -> httpx.Response:
        return await self.http.request(method, path, json=body, **options)


@pytest.fixture
async def open_place(start: Callable[..., Any], mchat: FakeMChat) -> AsyncIterator[Callable[..., Any]]:
    """A place with these settings of the laptop broker."""
    async with AsyncExitStack() as stack:

        async def opened(**values: Any) -> Place:
            broker, clients = await start(
                **{"api_bind": "127.0.0.1:0", "api_key": KEY, "api_secret": SECRET, **values}
            )
            url = f"http://127.0.0.1:{broker.api_port}"
            api = await stack.enter_async_context(BrokerApi(api_settings(url)))
            http = await stack.enter_async_context(
                httpx.AsyncClient(base_url=f"{url}/api/v5", auth=(KEY, SECRET), trust_env=False, timeout=30)
            )
            return Place(broker, clients, mchat, api, http)

        yield opened


@pytest.fixture
async def place(open_place: Callable[..., Any]) -> Place:
    opened: Place = await open_place()
    return opened
