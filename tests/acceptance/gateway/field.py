"""A client as they are in the field (actions.md): MQTT 3.1.1, no auth.bind, answers cut apart by text."""

import itertools
import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.emqx.mqtt import MqttClient, Received
from tests.emqx.waiting import until

ANSWER_S = 30.0
ATTEMPTS = 3
"""On a busy machine a question of the broker may not be answered in time, and is a no."""

_NUMBERS = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client in the field reads of an answer."""

    code: int
    message: str
    data: dict[str, Any]


def cut_apart(text: str) -> Answer:
    """Read an answer without a parser of JSON: by the places of its keys, in the order that is promised."""
    code = re.match(r'\{"code":(\d+),"message":"', text)
    assert code is not None, f"not cut apart: {text[:200]}"
    message, found, rest = text[code.end() :].partition('","data":')
    assert found and '"' not in message, f"not cut apart: {text[:200]}"
    data, found, seq_id = rest.rpartition(',"seq_id":"')
    assert found and re.fullmatch(r'[^"]+"\}', seq_id), f"not cut apart: {text[-200:]}"
    assert data.startswith("{") and data.endswith("}"), f"data is no object: {text[:200]}"
    return Answer(int(code[1]), message, json.loads(data))


@dataclass(slots=True)
class FieldClient:
    """One client, which keeps its session at the broker.

    Attributes:
        client_id: `{employee_id}_{device}_{random}`, or the bare user name.
        mqtt: What is below.
        prefix: Before every topic.
    """

    client_id: str
    mqtt: MqttClient
    prefix: str = ""
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    async def come(self) -> bool:
        """Connect and subscribe one's responses; False: not let in."""
        if await self.mqtt.connect(ANSWER_S) != 0:
            return False
        assert await self.mqtt.subscribe(f"{self.prefix}mchat/msg/resp/{self.client_id}/+") == [1]
        return True

    async def listens(self, *topics: str) -> bool:
        """Subscribe; False: one is refused."""
        return await self.mqtt.subscribe(*(self.prefix + topic for topic in topics)) == [1] * len(topics)

    async def follows(self, *topics: str) -> None:
        """Subscribe what one may; again where the broker's question was not answered in time."""
        for _ in range(ATTEMPTS):
            if await self.listens(*topics):
                return
        raise AssertionError(f"{self.client_id} may not listen to {topics}")

    async def asks(self, action: str, **params: Any) -> Answer:
        """Ask and wait for the answer."""
        return await self.sends(json.dumps({"action": action, **params}, ensure_ascii=False).encode())

    async def sends(self, payload: bytes, seq_id: str = "") -> Answer:
        """Send bytes as a request, by default under a number of its own, and wait for the answer."""
        seq_id = seq_id or f"seq_{next(self._numbers):010x}_{time.time_ns() // 1_000_000}"
        topic = f"mchat/msg/resp/{self.client_id}/{seq_id}"
        before = len(self.heard(topic))
        await self.mqtt.publish(f"{self.prefix}mchat/msg/req/{self.client_id}/{seq_id}", payload)
        await until(lambda: len(self.heard(topic)) > before, ANSWER_S)
        (answer,) = self.heard(topic)[before:]
        assert (answer.qos, answer.retain) == (1, False)
        return cut_apart(answer.payload.decode())

    def heard(self, topic: str) -> list[Received]:
        """What came on a topic."""
        return [one for one in list(self.mqtt.received) if one.topic == self.prefix + topic]

    def told(self, topic: str) -> list[dict[str, Any]]:
        """The messages that came on a topic."""
        return [json.loads(one.payload) for one in self.heard(topic)]

    async def hears(self, topic: str, **expected: Any) -> dict[str, Any]:
        """Wait for a message on a topic that has these fields."""

        def found() -> list[dict[str, Any]]:
            return [one for one in self.told(topic) if expected.items() <= one.items()]

        await until(found, ANSWER_S)
        return found()[0]


@contextmanager
def field_clients(port: int) -> Iterator["Field"]:
    """Make clients of one broker, and end them all."""
    field_ = Field(port)
    try:
        yield field_
    finally:
        for client in field_.made:
            client.mqtt.stop()


class Field:
    """Makes clients."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.made: list[FieldClient] = []

    def client(self, person: str, secret: str, client_id: str | None = None, **options: Any) -> FieldClient:
        """Make a client of a person, by default with an id like those in the field."""
        name = client_id or f"{person}_node_{next(_NUMBERS):06x}"
        given = {"port": self._port, "username": person, "password": secret, "clean_session": False}
        client = FieldClient(name, MqttClient(name, **{**given, **options}))
        self.made.append(client)
        return client
