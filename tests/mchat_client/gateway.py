"""A small gateway: it answers over a real broker as docs/actions.md says, and fails where a test tells it to."""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import paho.mqtt.client as paho

from tests.emqx.mqtt import MqttClient

Data = dict[str, Any]
MOMENT = "2026-01-02T03:04:05.678Z"


class Refuse(Exception):
    """What a handler raises for another code than 0."""

    def __init__(self, code: int, message: str = "no", **data: Any) -> None:
        self.answer = (code, message, data)


@dataclass(frozen=True)
class Request:
    client_id: str
    seq_id: str
    payload: bytes

    @property
    def params(self) -> Data:
        return dict(json.loads(self.payload))


@dataclass
class FakeGateway:
    """Answers requests; with each (client id, sequence id) an action has one effect, and one answer."""

    port: int
    service: str = ""
    requests: list[Request] = field(default_factory=list)
    effects: list[tuple[str, Data]] = field(default_factory=list)
    handlers: dict[str, Callable[[Request, Data], Data]] = field(default_factory=dict)
    swallow: int = 0
    mute: int = 0
    refuse: list[Refuse] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._root = f"{self.service}/mchat" if self.service else "mchat"
        self._answers: dict[tuple[str, str], bytes] = {}
        self._lock = threading.Lock()
        self._client = MqttClient("mchat_gateway", port=self.port, username="mchat_gateway", password="ok")
        self._client.paho.on_message = self._on_message
        self._messages = 0
        usual = {
            "msg.send_private": self._send_private,
            "msg.send_group": self._send_group,
            "msg.read_ack": self._read_ack,
            "group.create": lambda request, params: {"group_id": "g1", "name": params["name"]},
        }
        self.handlers = {**usual, **self.handlers}

    async def start(self) -> "FakeGateway":
        assert await self._client.connect() == 0
        assert await self._client.subscribe(f"{self._root}/msg/req/+/+") == [1]
        return self

    def stop(self) -> None:
        self._client.stop()

    def publish(self, topic: str, body: object, *, retain: bool = False) -> None:
        payload = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
        self._client.paho.publish(f"{self._root}/{topic}", payload, 1, retain)

    async def published(self, topic: str, body: object, *, retain: bool = False) -> None:
        """Publish, and wait until the broker has it."""
        payload = body if isinstance(body, bytes) else json.dumps(body).encode()
        await self._client.publish(f"{self._root}/{topic}", payload, 1, retain=retain)

    def _on_message(self, _: paho.Client, __: Any, message: paho.MQTTMessage) -> None:
        client_id, seq_id = message.topic.split("/")[-2:]
        request = Request(client_id, seq_id, bytes(message.payload))
        with self._lock:
            self.requests.append(request)
            if self.swallow:
                self.swallow -= 1
                return
            answer = self._answer(request)
            if self.mute:
                self.mute -= 1
                return
        self.publish(f"msg/resp/{client_id}/{seq_id}", answer)

    def _answer(self, request: Request) -> bytes:
        if self.raw:
            return self.raw.pop(0)
        if self.refuse:
            return _written(*self.refuse.pop(0).answer, request.seq_id)
        key = (request.client_id, request.seq_id)
        if key not in self._answers:
            params = request.params
            action = params.pop("action")
            handler = self.handlers.get(action, _echo)
            try:
                data = handler(request, params)
            except Refuse as refused:
                return _written(*refused.answer, request.seq_id)
            self.effects.append((action, params))
            self._answers[key] = _written(0, "ok", data, request.seq_id)
        return self._answers[key]

    def _send_private(self, request: Request, params: Data) -> Data:
        sent = self._sent()
        body = {**sent, "type": "private", "from_employee_id": _employee(request), **params}
        self.publish(f"inbox/{params['to_employee_id']}", body)
        return {**sent, "to_employee_id": params["to_employee_id"]}

    def _send_group(self, request: Request, params: Data) -> Data:
        sent = self._sent()
        body = {
            **sent,
            "type": "group",
            "from_employee_id": _employee(request),
            "is_ai_agent": False,
            **params,
        }
        self.publish(f"group/{params['group_id']}", body)
        return {**sent, "group_id": params["group_id"]}

    def _read_ack(self, request: Request, params: Data) -> Data:
        to = params.get("peer_employee_id") or params["author_employee_id"]
        body = {"type": "read_ack", **params, "reader_employee_id": _employee(request), "read_at": MOMENT}
        self.publish(f"inbox/{to}", body)
        return {}

    def _sent(self) -> Data:
        self._messages += 1
        return {"msg_id": f"msg_{self._messages:016}", "sent_at": MOMENT}


def _echo(_: Request, params: Data) -> Data:
    return params


def _employee(request: Request) -> str:
    return request.client_id.partition("_")[0]


def _written(code: int, message: str, data: Data, seq_id: str) -> bytes:
    return json.dumps({"code": code, "message": message, "data": data, "seq_id": seq_id}).encode()
