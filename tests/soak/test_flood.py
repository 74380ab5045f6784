"""The flood of denies at the issue's size."""

from pathlib import Path

import pytest

from directory.database import Database
from tests.acceptance.flood import faults, flood_of_denies

pytestmark = [pytest.mark.soak, pytest.mark.timeout(300)]


async def test_a_flood_from_1000_clients(database: Database, database_url: str, tmp_path: Path) -> None:
    costs = await flood_of_denies(database, database_url, tmp_path, 10.0, rates=(1_000, 1_500, 2_000))
    for cost in costs:
        print(f"\n{database.dialect}: {cost.line()}")
    assert faults(costs) == []
