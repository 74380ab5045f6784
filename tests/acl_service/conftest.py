"""A service on each database, with a small company in it."""

from collections.abc import AsyncIterator

import pytest

from directory.database import Database
from tests.acl_service.serving import Served, activate_profile, add_group, add_person, serving


@pytest.fixture
async def company(database: Database) -> dict[str, str]:
    """alice and bob in the group team, carol outside; tokens by employee id."""
    await activate_profile(database)
    tokens = {name: await add_person(database, name) for name in ("alice", "bob", "carol")}
    tokens["root"] = await add_person(database, "root", role="admin")
    await add_group(database, "team", "alice", ["bob"])
    return tokens


@pytest.fixture
async def served(database: Database, company: dict[str, str]) -> AsyncIterator[Served]:
    async with serving(database) as running:
        running.tokens = company
        yield running
