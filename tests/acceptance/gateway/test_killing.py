"""What is killed without a word takes nothing with it, and does nothing twice; a minute of it is in `make soak`."""

from pathlib import Path

import pytest

from directory.database import Database
from tests.acceptance.gateway.killing import kill_at_mosquitto

pytestmark = pytest.mark.timeout(180)


@pytest.mark.mosquitto
async def test_of_two_gateways_one_after_the_other_is_killed_under_load(
    database: Database, database_url: str, mosquitto_port: int, tmp_path: Path
) -> None:
    assert await kill_at_mosquitto(tmp_path, database, database_url, mosquitto_port, 10, 1.0) == []
