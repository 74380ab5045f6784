"""The experiments of ``membership`` at the size of `make test`; `make soak` runs them in full."""

from pathlib import Path

from directory.database import Database
from tests.acceptance.membership import (
    added_members_subscribe_at_once,
    flood_of_denies,
    removed_members_are_denied_in_time,
)


async def test_a_member_added_by_one_process_subscribes_through_another_at_once(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    denied, times = await added_members_subscribe_at_once(database, database_url, tmp_path, 100)
    print(times.line())
    assert denied == 0


async def test_a_removed_member_is_denied_in_time_and_its_twin_is_not(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    wrong, times = await removed_members_are_denied_in_time(database, database_url, tmp_path, 104)
    print(times.line())
    assert wrong == []


async def test_a_flood_of_denies_costs_the_database_a_bounded_number_of_reads(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    figures = await flood_of_denies(database, database_url, tmp_path, 2.0, rates=(250, 1_000))
    print(figures)
    for one in figures:
        assert one["version_reads_per_s"] <= 520, "at most one read each two milliseconds"
        assert one["snapshots_per_s"] <= 5, "an unrelated change makes nobody's grants be read again"
