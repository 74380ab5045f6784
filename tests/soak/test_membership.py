"""Sizes as the issue states them; `make soak` prints the distributions."""

from pathlib import Path

import pytest

from directory.database import Database
from tests.acceptance.membership import added_members_subscribe_at_once, removed_members_are_denied_in_time

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1_200)]


async def test_1000_members_added(database: Database, database_url: str, tmp_path: Path) -> None:
    denied, times = await added_members_subscribe_at_once(database, database_url, tmp_path, 1_000)
    print(f"\n{database.dialect}: denied {denied} of 1000; {times.line()}")
    assert denied == 0


async def test_1000_members_removed(database: Database, database_url: str, tmp_path: Path) -> None:
    seen = await removed_members_are_denied_in_time(database, database_url, tmp_path, people=100, rounds=10)
    print(f"\n{database.dialect}: wrong {len(seen.wrong)} of 1000\n{seen.lines()}")
    assert seen.wrong == []
    assert len(seen.asked_until.values) == 1_000
    assert min(seen.asked_until.values) > 2
