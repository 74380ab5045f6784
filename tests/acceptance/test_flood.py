"""The flood of ``flood`` at the size of `make test`; `make soak` runs it in full."""

from pathlib import Path

import pytest

from directory.database import Database
from tests.acceptance.flood import faults, flood_of_denies

pytestmark = pytest.mark.timed


async def test_a_flood_of_denies_costs_the_database_a_bounded_number_of_reads_flat_in_its_rate(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    costs = await flood_of_denies(database, database_url, tmp_path, 1.5, rates=(800, 1_600))
    for cost in costs:
        print(f"{database.dialect}: {cost.line()}")
    assert faults(costs) == []
