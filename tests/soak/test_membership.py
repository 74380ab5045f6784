"""Sizes as the issue states them; `make soak` prints the distributions."""

import json
from pathlib import Path

import pytest

from directory.database import Database
from tests.acceptance.membership import (
    added_members_subscribe_at_once,
    flood_of_denies,
    removed_members_are_denied_in_time,
)

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1_200)]


async def test_1000_members_added(database: Database, database_url: str, tmp_path: Path) -> None:
    denied, times = await added_members_subscribe_at_once(database, database_url, tmp_path, 1_000)
    print(f"\n{database.dialect}: denied {denied} of 1000; {times.line()}")
    assert denied == 0


async def test_1000_members_removed(database: Database, database_url: str, tmp_path: Path) -> None:
    wrong, times = await removed_members_are_denied_in_time(database, database_url, tmp_path, 1_000)
    print(f"\n{database.dialect}: {times.line()}")
    assert wrong == []


async def test_a_flood_from_1000_clients(database: Database, database_url: str, tmp_path: Path) -> None:
    for one in await flood_of_denies(database, database_url, tmp_path, 10.0, rates=(250, 500, 1_000, 2_000)):
        print(f"\n{database.dialect}: {json.dumps(one)}")
        assert one["version_reads_per_s"] <= 520
        assert one["snapshots_per_s"] <= 5
