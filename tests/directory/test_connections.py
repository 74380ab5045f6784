"""What a URL may be, and how the connections that it leads to are set up."""

from pathlib import Path

import pytest

from directory.connections import BoundedConnection
from directory.database import Database
from directory.errors import InvalidValue, Unavailable
from directory.migrations import migrate


@pytest.mark.parametrize(
    "url",
    [
        "",
        "mchat.db",
        "mysql://u:geheim@h/d",
        "postgres://u:geheim@h/d",
        "sqlite://",
        "sqlite:///:memory:",
        "postgresql://u:geheim@h",
        "://geheim",
    ],
)
def test_a_url_of_another_kind_is_refused_without_showing_its_password(url: str) -> None:
    with pytest.raises(InvalidValue, match="sqlite:///") as caught:
        Database.open(url)
    assert "geheim" not in str(caught.value)


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="nowhere"):
        Database.open(f"sqlite:///{tmp_path / 'nowhere' / 'mchat.db'}")


@pytest.mark.parametrize("settings", [{"pool_size": 0}, {"timeout_s": 0.0}])
def test_settings_that_make_no_sense_are_refused(tmp_path: Path, settings: dict[str, float]) -> None:
    with pytest.raises(InvalidValue):
        Database.open(f"sqlite:///{tmp_path / 'mchat.db'}", **settings)  # type: ignore[arg-type]


async def test_sqlite_is_set_up_for_what_is_promised(sqlite_url: str) -> None:
    database = Database.open(sqlite_url)
    async with database.read() as connection:
        found = {
            name: (await connection.exec_driver_sql(f"PRAGMA {name}")).scalar_one()
            for name in ("journal_mode", "busy_timeout", "foreign_keys", "synchronous")
        }
    await database.close()
    assert found == {"journal_mode": "wal", "busy_timeout": 5_000, "foreign_keys": 1, "synchronous": 2}


@pytest.mark.postgres
async def test_what_the_url_asks_of_postgresql_comes_before_our_own(postgres_url: str) -> None:
    database = Database.open(
        f"{postgres_url}?application_name=mine&options=-c%20lock_timeout%3D77", timeout_s=3
    )
    async with database.read() as connection:
        found = [
            (await connection.exec_driver_sql(f"SHOW {name}")).scalar_one()
            for name in ("application_name", "lock_timeout", "statement_timeout", "timezone")
        ]
    await database.close()
    assert found == ["mine", "77ms", "3s", "UTC"]


@pytest.mark.postgres
async def test_a_migration_takes_its_time_and_gives_the_limits_back(postgres_url: str) -> None:
    database = Database.open(postgres_url, pool_size=1, timeout_s=3)
    await migrate(database)
    async with database.read() as connection:
        raw = await connection.get_raw_connection()
        assert isinstance(raw.driver_connection, BoundedConnection)
        assert raw.driver_connection.answer_within_s == 3
        assert (await connection.exec_driver_sql("SHOW statement_timeout")).scalar_one() == "3s"
    await database.close()
