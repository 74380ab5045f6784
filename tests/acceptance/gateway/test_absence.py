"""A gateway that was away for longer than its session is kept does nothing of what was asked meanwhile."""

import json
import time
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from sqlalchemy import select

from directory import schema
from directory.database import Database
from gateway.paho_client import properties_of
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


class Five:
    """A client of MQTT 5 that names a response topic with each request."""

    def __init__(self, port: int, name: str) -> None:
        self.got: list[paho.MQTTMessage] = []
        self.listening = False
        self._port = port
        self.name = name
        self.paho = paho.Client(CallbackAPIVersion.VERSION2, name, protocol=MQTTProtocolVersion.MQTTv5)
        self.paho.on_message = lambda client, data, message: self.got.append(message)
        self.paho.on_connect = self._comes
        self.paho.on_subscribe = self._listens

    def _comes(self, *_: Any) -> None:
        self.paho.subscribe([("mchat/#", 1)])

    def _listens(self, *_: Any) -> None:
        self.listening = True

    async def __aenter__(self) -> "Five":
        self.paho.connect_async("127.0.0.1", self._port)
        self.paho.loop_start()
        await until(lambda: self.listening)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.paho.disconnect()
        self.paho.loop_stop()

    def heard(self) -> list[paho.MQTTMessage]:
        """All that was published for it or anybody else, but its own requests."""
        return [one for one in list(self.got) if "/req/" not in one.topic or b"action" not in one.payload]

    async def answered_at(self, seq: str, response_topic: str) -> str:
        """Ask, and return the topic of the answer."""
        correlation = seq.encode()
        extra = properties_of(PacketTypes.PUBLISH, ResponseTopic=response_topic, CorrelationData=correlation)
        before = len(self.heard())
        self.paho.publish(f"mchat/msg/req/{self.name}/{seq}", b'{"action":"group.list"}', 1, properties=extra)
        await until(lambda: len(self.heard()) > before, 30)
        (answer,) = self.heard()[before:]
        assert getattr(answer.properties, "CorrelationData", None) == correlation
        assert json.loads(answer.payload)["seq_id"] == seq
        return answer.topic


@ON_SQLITE
async def test_an_answer_goes_nowhere_but_to_who_asked(
    database: Database, database_url: str, mosquitto_port: int, tmp_path: Path
) -> None:
    async with at_mosquitto(tmp_path, database, database_url, mosquitto_port, ["root"]) as running:
        gateway = await running.gateway()
        async with Five(mosquitto_port, "root") as client:
            elsewhere = (
                "mchat/inbox/m0",
                "mchat/msg/resp/m0/s",
                "mchat/msg/req/root/again",
                "mchat/msg/resp/root/a/b",
                "mchat/msg/resp/root/",
                "$SYS/broker",
                "mchat/msg/resp/root_phone/s",
            )
            for number, topic in enumerate(elsewhere):
                assert await client.answered_at(f"s{number}", topic) == f"mchat/msg/resp/root/s{number}"
            # The twin: another of its own.
            assert await client.answered_at("own", "mchat/msg/resp/root/mine") == "mchat/msg/resp/root/mine"
        link = await gateway.link()
        assert (link["connections"], link["lost"], link["refused"]) == (1, 0, 0)
