"""A stage that a module's tests share; each test has clients of its own."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from directory.database import Database
from tests.acceptance.enforcement.conftest import stage_url as stage_url
from tests.acceptance.enforcement.stage import Stage, stage
from tests.acceptance.presence.scene import Scene
from tests.emqx.mqtt import clients_of

ON_SQLITE = pytest.mark.parametrize("stage_url", ["sqlite"], indirect=True)
ON_POSTGRES = pytest.mark.parametrize(
    "database_url", [pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True
)
"""Processes take long to start; the parts are tested on both databases (tests/acl_service/presence)."""

PATIENCE_S = 4
"""MCHAT_PATIENCE on a busy machine: what is tested is who is there, not how soon somebody is answered."""

PEOPLE = 12
GRACE_S = 1.5
RECONCILE_S = 4.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(stage_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """Everything. The enforcement looks for intruders at the start only, and leaves them to presence then."""
    database = Database.open(stage_url)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(database.close)
        folder = tmp_path_factory.mktemp("presence")
        yield await stack.enter_async_context(
            stage(
                folder,
                database,
                stage_url,
                people=PEOPLE,
                presence_grace=GRACE_S,
                presence_reconcile=RECONCILE_S,
                sweep_seconds=3_600,
                patience=PATIENCE_S,
            )
        )


@pytest.fixture
def scene(running: Stage) -> Iterator[Scene]:
    with clients_of(running.mqtt_port) as clients:
        yield Scene(running, clients)
