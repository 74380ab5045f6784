"""The stage with a small company: alice and bob in the group team, carol outside, root an admin."""

from collections.abc import AsyncIterator

import pytest

from directory.database import Database
from tests.acl_service.enforcement.stage import Stage, stage


@pytest.fixture
async def stood(database: Database, company: dict[str, str]) -> AsyncIterator[Stage]:
    """The stage; nobody enforces yet."""
    async with stage(database) as running:
        running.tokens = company
        yield running


@pytest.fixture
async def live(stood: Stage) -> AsyncIterator[Stage]:
    """The stage, with the enforcement at work, and what founding the company left already done."""
    async with stood.working():
        await stood.settled()
        yield stood


@pytest.fixture
async def remembering(database: Database, company: dict[str, str]) -> AsyncIterator[Stage]:
    """As `live`, with a broker that remembers what it was told of groups and people, denies too."""
    async with stage(database, laptop={"cache_excludes": ()}) as running:
        running.tokens = company
        async with running.working():
            await running.settled()
            yield running
