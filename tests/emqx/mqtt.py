"""paho-mqtt clients for asynchronous tests: each runs its own network thread against a real socket."""

import itertools
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Literal, NamedTuple

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.reasoncodes import ReasonCode

from tests.emqx.waiting import until

# paho tells the return codes of MQTT 3.1.1 as reason codes of MQTT 5; back to what was on the wire.
_RETURN_CODES = {0x00: 0, 0x84: 1, 0x85: 2, 0x88: 3, 0x86: 4, 0x87: 5}


class Received(NamedTuple):
    topic: str
    payload: bytes
    qos: int
    retain: bool
    dup: bool


class MqttClient:
    def __init__(
        self,
        client_id: str = "c1",
        *,
        port: int,
        clean_session: bool = True,
        username: str | None = "e1",
        password: str | None = "ok",  # noqa: S107 - of a fixture
        keepalive: int = 60,
        transport: Literal["tcp", "websockets"] = "tcp",
        will: tuple[str, bytes, int, bool] | None = None,
        manual_ack: bool = False,
    ) -> None:
        self.received: list[Received] = []
        self.codes: list[int] = []
        self.session_present: list[bool] = []
        self.closed = 0
        self.granted: dict[int, list[int]] = {}
        self.unsubscribed: set[int] = set()
        self.published: set[int] = set()
        self._port = port
        self._keepalive = keepalive
        self.paho = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id,
            clean_session,
            protocol=MQTTProtocolVersion.MQTTv311,
            transport=transport,
            reconnect_on_failure=False,
            manual_ack=manual_ack,
        )
        if username is not None:
            self.paho.username_pw_set(username, password)
        if will is not None:
            self.paho.will_set(*will)
        self.paho.on_connect = self._on_connect
        self.paho.on_disconnect = self._on_disconnect
        self.paho.on_message = self._on_message
        self.paho.on_subscribe = self._on_subscribe
        self.paho.on_unsubscribe = self._on_unsubscribe
        self.paho.on_publish = self._on_publish

    def _on_connect(
        self, client: Any, data: Any, flags: paho.ConnectFlags, code: ReasonCode, properties: Any
    ) -> None:
        self.session_present.append(flags.session_present)
        self.codes.append(_RETURN_CODES[code.value])

    def _on_disconnect(self, *_: Any) -> None:
        self.closed += 1

    def _on_message(self, client: Any, data: Any, message: paho.MQTTMessage) -> None:
        self.received.append(
            Received(message.topic, bytes(message.payload), message.qos, message.retain, message.dup)
        )

    def _on_subscribe(self, client: Any, data: Any, packet_id: int, codes: list[ReasonCode], _: Any) -> None:
        self.granted[packet_id] = [code.value for code in codes]

    def _on_unsubscribe(self, client: Any, data: Any, packet_id: int, *_: Any) -> None:
        self.unsubscribed.add(packet_id)

    def _on_publish(self, client: Any, data: Any, packet_id: int, *_: Any) -> None:
        self.published.add(packet_id)

    async def connect(self, seconds: float = 10.0) -> int:
        """Connect (again) and give the return code of CONNACK."""
        answers = len(self.codes)
        self.paho.connect_async("127.0.0.1", self._port, self._keepalive)
        self.paho.loop_start()
        await until(lambda: len(self.codes) > answers, seconds)
        return self.codes[-1]

    async def subscribe(self, *filters: str, qos: int = 1) -> list[int]:
        _, packet_id = self.paho.subscribe([(text, qos) for text in filters])
        assert packet_id is not None
        await until(lambda: packet_id in self.granted)
        return self.granted[packet_id]

    async def unsubscribe(self, *filters: str) -> None:
        _, packet_id = self.paho.unsubscribe(list(filters))
        assert packet_id is not None
        await until(lambda: packet_id in self.unsubscribed)

    async def publish(self, topic: str, payload: bytes = b"x", qos: int = 1, *, retain: bool = False) -> None:
        info = self.paho.publish(topic, payload, qos, retain)
        await until(lambda: info.mid in self.published)

    async def gets(self, count: int, seconds: float = 10.0) -> list[Received]:
        await until(lambda: len(self.received) >= count, seconds)
        return self.received

    async def was_closed(self) -> None:
        await until(lambda: self.closed > 0)

    async def disconnect(self) -> None:
        self.paho.disconnect()
        await until(lambda: self.closed > 0)
        self.stop()

    def cut(self) -> None:
        """Close the socket without a word."""
        self.stop()

    def stop(self) -> None:
        if (sock := self.paho.socket()) is not None:
            # A close alone would wait for paho's thread, which holds the socket in select.
            with suppress(OSError), socket.fromfd(sock.fileno(), socket.AF_INET, socket.SOCK_STREAM) as same:
                same.shutdown(socket.SHUT_RDWR)
        # paho's thread forgets itself as it ends, which it may do between two lines of loop_stop.
        with suppress(AttributeError):
            self.paho.loop_stop()
        if (sock := self.paho.socket()) is not None:
            sock.close()


class Clients:
    """Makes clients of one broker and ends them all."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._made: list[MqttClient] = []
        self._numbers = itertools.count(1)

    def make(self, client_id: str | None = None, **options: Any) -> MqttClient:
        name = f"c{next(self._numbers)}" if client_id is None else client_id
        client = MqttClient(name, **{"port": self.port, **options})
        self._made.append(client)
        return client

    async def connected(self, client_id: str | None = None, **options: Any) -> MqttClient:
        client = self.make(client_id, **options)
        assert await client.connect() == 0
        return client

    def stop(self) -> None:
        for client in self._made:
            client.stop()


@contextmanager
def clients_of(port: int) -> Iterator[Clients]:
    clients = Clients(port)
    try:
        yield clients
    finally:
        clients.stop()
