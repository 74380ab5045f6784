"""MQTT 5's Response Topic: an answer goes to a topic of the client's own, whatever it wishes."""

import json
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes

from directory.database import Database
from gateway.paho_client import properties_of
from tests.acceptance.gateway.plain import at_mosquitto
from tests.emqx.waiting import until

pytestmark = [pytest.mark.mosquitto, pytest.mark.timeout(120)]


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


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
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
