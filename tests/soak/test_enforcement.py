"""Bullet by bullet of the issue, at the size that it states."""

from pathlib import Path

import pytest

from directory.database import Database
from tests.acceptance.enforcement.killing import kill_between_commit_and_enforcement

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1_200)]


async def test_a_worker_killed_20_times(database: Database, database_url: str, tmp_path: Path) -> None:
    found = await kill_between_commit_and_enforcement(database, database_url, tmp_path, kills=20)
    print(f"\n{database.dialect}: {found.line()}")
    assert found.wrong == []
