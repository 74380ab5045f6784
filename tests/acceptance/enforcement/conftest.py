"""A stage that a module's tests share: to start everything takes longer than what is tested."""

import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from uuid import uuid4

import pytest
import pytest_asyncio

from directory.database import Database
from tests.acceptance.enforcement.removals import pushed
from tests.acceptance.enforcement.stage import Stage, stage
from tests.acceptance.enforcement.voice import Voice, voice
from tests.postgres import PostgresServer

PEOPLE = 30
MESSAGES_PER_S = 100.0


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def stage_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a migrated database that the tests of a module share, on both databases in turn."""
    yield from database_of(request, tmp_path_factory)


def database_of(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Make the database that a fixture's parameter names, and drop it again."""
    if request.param == "sqlite":
        template = request.getfixturevalue("sqlite_template")
        yield f"sqlite:///{shutil.copy(template, tmp_path_factory.mktemp('rights') / 'mchat.db')}"
        return
    server: PostgresServer = request.getfixturevalue("postgres_server")
    name = f"mchat_{uuid4().hex}"
    yield server.create(name, request.getfixturevalue("postgres_template"))
    server.drop(name)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(stage_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """Everything, with the team connected and each client's dynamic ACL in the broker."""
    database = Database.open(stage_url)
    folder = tmp_path_factory.mktemp("stage")
    async with AsyncExitStack() as stack:
        stack.push_async_callback(database.close)
        opened = await stack.enter_async_context(stage(folder, database, stage_url, people=PEOPLE))
        await opened.gather_the_team()
        await pushed(opened, PEOPLE)
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def speaker(running: Stage) -> AsyncIterator[Voice]:
    """The gateway, which speaks to the team without a pause."""
    speaking = await voice(running.mqtt_port)
    async with speaking.speaking(MESSAGES_PER_S):
        yield speaking
