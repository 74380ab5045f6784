"""The gateway's experiments at the size that the issue states."""

from pathlib import Path

import pytest

from directory.database import Database
from tests.acceptance.gateway.killing import kill_at_mosquitto, kill_at_the_laptop_broker
from tests.acceptance.gateway.scene import add_admins, scene
from tests.acceptance.gateway.wills import AT_ONCE, attacker, wills_of_the_disabled

pytestmark = [pytest.mark.soak, pytest.mark.timeout(600)]


@pytest.mark.mosquitto
async def test_two_gateways_one_killed_every_few_seconds_for_a_minute(
    database: Database, database_url: str, mosquitto_port: int, tmp_path: Path
) -> None:
    assert await kill_at_mosquitto(tmp_path, database, database_url, mosquitto_port, 60, 3) == []


async def test_the_same_at_the_laptop_broker(database: Database, database_url: str, tmp_path: Path) -> None:
    assert await kill_at_the_laptop_broker(tmp_path, database, database_url, 60, 3) == []


async def test_200_wills_of_the_disabled(database: Database, database_url: str, tmp_path: Path) -> None:
    async with scene(tmp_path, database, database_url) as running:
        await add_admins(database, *map(attacker, range(AT_ONCE)))
        found = await wills_of_the_disabled(running, 200 // AT_ONCE)
    print(f"\n{database.dialect}: {found.published} wills, codes {dict(found.codes)}")
    assert found.effects == []
    assert found.codes == {401: 200}
