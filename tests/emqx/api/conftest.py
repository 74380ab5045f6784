from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
from pydantic_settings import SettingsConfigDict

from emqx.api.broker import BrokerApi
from emqx.api.settings import ApiSettings

KEY = "mchat-key"
SECRET = "the-api-secret"


class UntouchedSettings(ApiSettings):
    """The settings without what the environment of a developer says."""

    model_config = SettingsConfigDict(env_prefix="MCHAT_TEST_ONLY_", env_file=None, extra="forbid")


def api_settings(url: str = "http://127.0.0.1:18083", **values: Any) -> ApiSettings:
    patient = {"connect_timeout": 30.0, "read_timeout": 30.0, "call_timeout": 60.0}
    return UntouchedSettings(**{"url": url, "api_key": KEY, "api_secret": SECRET, **patient, **values})


class Moments:
    """A clock that moves by itself only through `sleep`, and says how it was used."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def moments() -> Moments:
    return Moments()


@pytest.fixture
async def connect(moments: Moments) -> AsyncIterator[Callable[..., BrokerApi]]:
    """A client of the REST API at this URL, with these settings."""
    async with AsyncExitStack() as stack:
        made: list[BrokerApi] = []

        def connected(url: str, **values: Any) -> BrokerApi:
            api = BrokerApi(
                api_settings(url, **values), clock=moments, sleep=moments.sleep, random=lambda: 0.5
            )
            made.append(api)
            return api

        yield connected
        for api in made:
            stack.push_async_callback(api.close)
