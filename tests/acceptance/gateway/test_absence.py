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

EXPIRY_S = 2
"""MCHAT_GATEWAY_SESSION_EXPIRY here, of 15 s; 20 s away become 4."""

LONG_S = 20.0
"""What issue 7 names; between the default expiry (15 s) and the end of a silent connection's session (22.5 s)."""

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


async def passed(seconds: float) -> None:
    """Time is the condition: the broker's sessions end by it."""
    over = time.monotonic() + seconds
    await until(lambda: time.monotonic() > over, seconds + 5)


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
        await passed(2 * EXPIRY_S)
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


FREEZES = pytest.mark.parametrize(("protocol", "keepalive"), [("5", 2), ("3.1.1", 60)])
"""A broker writes into the socket of a frozen gateway until it gives it up, and then keeps its session."""


@FREEZES
@ON_SQLITE
async def test_one_that_was_frozen_does_nothing_old(
    database: Database, database_url: str, mosquitto_port: int, tmp_path: Path, protocol: str, keepalive: int
) -> None:
    async with at_mosquitto(tmp_path, database, database_url, mosquitto_port, ["root"]) as running:
        gateway = await running.gateway(
            gateway_session_expiry=EXPIRY_S, gateway_protocol=protocol, gateway_keepalive=keepalive
        )
        client = await running.clients.connected("root")
        await client.subscribe("mchat/msg/resp/root/+")
        await ask(client, "before")
        await made(running, client, "before")
        with gateway.frozen():
            for number in range(20):
                await ask(client, f"old{number}")
            await passed(2 * EXPIRY_S)
        await until(lambda: len(gateway.kept) == 2, 30)
        await ask(client, "after")
        await made(running, client, "after")
        assert gateway.kept == [False, False]
        assert await departments(running) == {"before", "after"}
        assert len(client.received) == 2


@FREEZES
@ON_SQLITE
async def test_one_that_was_frozen_shortly_answers_once(
    database: Database, database_url: str, mosquitto_port: int, tmp_path: Path, protocol: str, keepalive: int
) -> None:
    """The twin."""
    async with at_mosquitto(tmp_path, database, database_url, mosquitto_port, ["root"]) as running:
        gateway = await running.gateway(
            gateway_session_expiry=120, gateway_protocol=protocol, gateway_keepalive=keepalive
        )
        client = await running.clients.connected("root")
        await client.subscribe("mchat/msg/resp/root/+")
        young = [f"young{number}" for number in range(20)]
        with gateway.frozen():
            for name in young:
                await ask(client, name)
            await passed(2 * EXPIRY_S)
        for name in young:
            await made(running, client, name)
        assert all(gateway.kept[1:])
        assert await departments(running) == set(young)
        assert sorted(one.topic.rpartition("/")[2] for one in client.received) == sorted(young)


@ON_SQLITE
async def test_after_twenty_seconds_nothing_old_happens(
    database: Database, database_url: str, mosquitto_port: int, tmp_path: Path
) -> None:
    """As it is set by default: one was killed, the other stood still; requests go to either."""
    async with at_mosquitto(tmp_path, database, database_url, mosquitto_port, ["root"]) as running:
        killed, frozen = await running.gateway(), await running.gateway()
        client = await running.clients.connected("root")
        await client.subscribe("mchat/msg/resp/root/+")
        for number in range(4):
            await ask(client, f"before{number}")
        before = {f"before{number}" for number in range(4)}
        for name in before:
            await made(running, client, name)
        assert all(one.codes("root") for one in (killed, frozen)), "they share the requests"
        await killed.kill()
        with frozen.frozen():
            for number in range(20):
                await ask(client, f"old{number}")
            await passed(LONG_S)
        await killed.start()
        await until(lambda: len(frozen.kept) == 2, 30)
        for number in range(4):
            await ask(client, f"after{number}")
        after = {f"after{number}" for number in range(4)}
        for name in after:
            await made(running, client, name)
        assert (killed.kept, frozen.kept) == ([False, False], [False, False])
        assert await departments(running) == before | after
        assert len(client.received) == 8
