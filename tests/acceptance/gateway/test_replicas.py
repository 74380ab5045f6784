"""A gateway in the table of replicas, for which revocations wait."""

from pathlib import Path

import pytest

from directory import groups, replicas
from directory.changes import newest_version
from directory.database import Database
from directory.replicas import Replica
from tests.acceptance.gateway.plain import Plain, at_mosquitto
from tests.acl_service.enforcement.stage import until
from tests.acl_service.serving import now_ms

pytestmark = [pytest.mark.mosquitto, pytest.mark.timeout(120)]


async def rows(running: Plain) -> list[Replica]:
    async with running.database.read() as connection:
        return list(await replicas.list_(connection, "gateway"))


async def test_it_says_that_it_is_there_what_it_has_heard_and_that_it_leaves(
    database: Database, database_url: str, mosquitto_port: int, tmp_path: Path
) -> None:
    async with at_mosquitto(tmp_path, database, database_url, mosquitto_port, ["root"]) as running:
        gateway = await running.gateway()
        (one,) = await rows(running)
        assert one.replica_id.startswith("gateway_")
        async with database.change("test", now_ms()) as change:
            await groups.create(change, name="New", creator="root", group_id="new")
        async with database.read() as connection:
            version = await newest_version(connection)
        assert version > one.applied_version

        async def heard() -> bool:
            return [each.applied_version for each in await rows(running)] == [version]

        await until(heard)
        assert await gateway.stop() == 0
        assert await rows(running) == []


async def test_one_that_is_killed_leaves_its_row_behind(
    database: Database, database_url: str, mosquitto_port: int, tmp_path: Path
) -> None:
    async with at_mosquitto(tmp_path, database, database_url, mosquitto_port, ["root"]) as running:
        gateway = await running.gateway()
        (before,) = await rows(running)
        await gateway.kill()
        (after,) = await rows(running)
        assert after.replica_id == before.replica_id
        await gateway.start()
        assert len({each.replica_id for each in await rows(running)} - {before.replica_id}) == 1, (
            "another name"
        )
