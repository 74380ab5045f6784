import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any, get_args

import pytest
from pydantic_settings import SettingsConfigDict

from emqx.laptop.server import LaptopBroker
from emqx.settings import EventKind, LaptopSettings
from tests.emqx.mchat import FakeMChat, serving
from tests.emqx.mqtt import Clients, clients_of
from tests.emqx.raw import RawClients

SECRET = "hook-secret"

ALL_EVENTS = get_args(EventKind)


class UntouchedSettings(LaptopSettings):
    """The settings without what the environment of a developer says."""

    model_config = SettingsConfigDict(env_prefix="MCHAT_TEST_ONLY_", env_file=None)


def laptop_settings(url: str, **values: Any) -> LaptopSettings:
    free = {"tcp_bind": "127.0.0.1:0", "ws_bind": "127.0.0.1:0", "events": ALL_EVENTS}
    return UntouchedSettings(**{**free, "hooks_url": url, "hook_secret": SECRET, **values})


@pytest.fixture
async def mchat() -> AsyncIterator[FakeMChat]:
    async with serving(FakeMChat()) as fake:
        yield fake


@pytest.fixture
async def start(mchat: FakeMChat) -> AsyncIterator[Callable[..., Any]]:
    """Start a broker with these settings beside the defaults of the tests."""
    async with AsyncExitStack() as stack:

        async def started(**values: Any) -> tuple[LaptopBroker, Clients]:
            broker = await stack.enter_async_context(LaptopBroker(laptop_settings(mchat.url, **values)))
            clients = stack.enter_context(clients_of(broker.tcp_port))
            return broker, clients

        yield started


@pytest.fixture
async def laptop(start: Callable[..., Any]) -> tuple[LaptopBroker, Clients]:
    started: tuple[LaptopBroker, Clients] = await start()
    return started


@pytest.fixture
async def bare(laptop: tuple[LaptopBroker, Clients]) -> AsyncIterator[RawClients]:
    made = RawClients(laptop[0].tcp_port)
    yield made
    await made.stop()


@pytest.fixture
def clients(laptop: tuple[LaptopBroker, Clients]) -> Clients:
    return laptop[1]


@pytest.fixture
def free_port() -> Iterator[int]:
    """A port of this machine that nobody listens on while the test runs."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        yield unused.getsockname()[1]
