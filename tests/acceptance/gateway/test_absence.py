"""A gateway that was away for longer than its session is kept does nothing of what was asked meanwhile."""

import json
import time
from pathlib import Path

import pytest
from sqlalchemy import select

from directory import schema
from directory.database import Database
from tests.acceptance.gateway.plain import Plain, at_mosquitto
from tests.emqx.mqtt import MqttClient
from tests.emqx.waiting import until

pytestmark = [pytest.mark.mosquitto, pytest.mark.timeout(120)]

EXPIRY_S = 1
"""MCHAT_GATEWAY_SESSION_EXPIRY here, of 15 s; 20 s away become 3."""

ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""What is kept meanwhile is the broker's."""


async def ask(client: MqttClient, name: str, person: str = "root") -> None:
    payload = json.dumps({"action": "department.create", "name": name}).encode()
    await client.publish(f"mchat/msg/req/{person}/{name}", payload)


async def departments(running: Plain) -> set[str]:
    async with running.database.read() as connection:
        return {str(row[0]) for row in await connection.execute(select(schema.department.c.name))}


async def made(running: Plain, client: MqttClient, name: str) -> None:
    await until(lambda: any(one.topic.endswith(f"/{name}") for one in client.received), 30)
    assert name in await departments(running)


@pytest.mark.parametrize("ends", ["killed", "stopped"])
@ON_SQLITE
async def test_nothing_old_happens(
    database: Database, database_url: str, mosquitto_port: int, tmp_path: Path, ends: str
) -> None:
    async with at_mosquitto(tmp_path, database, database_url, mosquitto_port, ["root"]) as running:
        gateway = await running.gateway(gateway_session_expiry=EXPIRY_S)
        client = await running.clients.connected("root")
        await client.subscribe("mchat/msg/resp/root/+")
        await ask(client, "before")
        await made(running, client, "before")
        if ends == "killed":
            await gateway.kill()
        else:
            assert await gateway.stop() == 0
        for number in range(20):
            await ask(client, f"old{number}")
        gone = time.monotonic() + 3 * EXPIRY_S
        await until(lambda: time.monotonic() > gone)
        await gateway.start()
        await ask(client, "after")
        await made(running, client, "after")
        assert gateway.kept == [False, False]
        assert await departments(running) == {"before", "after"}
        assert len(client.received) == 2


@ON_SQLITE
async def test_what_is_young_enough_happens_once(
    database: Database, database_url: str, mosquitto_port: int, tmp_path: Path
) -> None:
    """The twin: within the time, nothing is lost, and what was done before is not done again."""
    async with at_mosquitto(tmp_path, database, database_url, mosquitto_port, ["root"]) as running:
        gateway = await running.gateway(gateway_session_expiry=120)
        client = await running.clients.connected("root")
        await client.subscribe("mchat/msg/resp/root/+")
        await ask(client, "before")
        await made(running, client, "before")
        await gateway.kill()
        for number in range(5):
            await ask(client, f"young{number}")
        await gateway.start()
        for number in range(5):
            await made(running, client, f"young{number}")
        assert gateway.kept == [False, True]
        assert await departments(running) == {"before", *(f"young{number}" for number in range(5))}
