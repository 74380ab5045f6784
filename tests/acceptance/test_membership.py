"""The experiments of ``membership`` at the size of `make test`; `make soak` runs them in full."""

from pathlib import Path

from directory.database import Database
from tests.acceptance.membership import added_members_subscribe_at_once, removed_members_are_denied_in_time


async def test_a_member_added_by_one_process_subscribes_through_another_at_once(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    denied, times = await added_members_subscribe_at_once(database, database_url, tmp_path, 100)
    print(times.line())
    assert denied == 0


async def test_a_removed_member_is_denied_in_time_and_its_twin_is_not(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    seen = await removed_members_are_denied_in_time(database, database_url, tmp_path, people=50, rounds=2)
    print(seen.lines())
    assert seen.wrong == []
    assert len(seen.asked_until.values) == 100
    assert min(seen.asked_until.values) > 2, "an allow after two seconds would not have been seen"
