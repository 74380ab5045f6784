"""Fixtures of the acceptance of the gateway: everything runs once for the tests of a module, on each database."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from directory.database import Database
from tests.acceptance.enforcement.conftest import stage_url as stage_url
from tests.acceptance.gateway.field import field_clients
from tests.acceptance.gateway.scene import Scene, scene


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def everything(stage_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    database = Database.open(stage_url)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(database.close)
        yield await stack.enter_async_context(scene(tmp_path_factory.mktemp("gateway"), database, stage_url))


@pytest.fixture
def running(everything: Scene) -> Iterator[Scene]:
    """The same, with clients of the test's own."""
    with field_clients(everything.stage.mqtt_port) as field:
        yield Scene(everything.stage, everything.gateway, field)
