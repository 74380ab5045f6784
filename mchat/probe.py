"""A small blocking MQTT client that says what the broker did: for ``mchat up --check`` and the acceptance tests."""

from __future__ import annotations

import queue
import socket
import threading
import time
from types import TracebackType
from typing import Any, Self, TypeVar

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

PATIENCE_S = 5.0


class NoAnswer(Exception):
    """The broker did not answer in time."""


class Probe:
    """One MQTT 3.1.1 client; every call waits for the broker's answer.

    Args:
        port: of the broker on 127.0.0.1.
        client_id: as it is sent.
        username: as it is sent; None sends none.
        secret: the password field.
        clean: clean session.
        will: topic and payload of a will.
    """

    def __init__(
        self,
        port: int,
        client_id: str,
        username: str | None,
        secret: str | None,
        *,
        clean: bool = True,
        will: tuple[str, str] | None = None,
    ) -> None:
        self._port = port
        self._connack: queue.Queue[int] = queue.Queue()
        self._suback: queue.Queue[tuple[int, list[int]]] = queue.Queue()
        self._ended = threading.Event()
        self.messages: queue.Queue[tuple[str, str, bool]] = queue.Queue()
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=clean,
            protocol=mqtt.MQTTv311,
            reconnect_on_failure=False,
        )
        if username is not None:
            self._client.username_pw_set(username, secret)
        if will is not None:
            self._client.will_set(will[0], will[1], qos=1)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message
        self._client.on_disconnect = self._on_disconnect

    def connect(self) -> int:
        """The return code of the CONNACK: 0 in, 4 or 5 refused.

        Raises:
            NoAnswer: none came.
        """
        self._client.connect("127.0.0.1", self._port, keepalive=30)
        self._client.loop_start()
        return _within(self._connack)

    def subscribe(self, topic: str, qos: int = 1) -> int:
        """The granted QoS of the SUBACK, or 128 refused.

        Raises:
            NoAnswer: none came.
        """
        _, mid = self._client.subscribe(topic, qos)
        while True:
            answered, codes = _within(self._suback)
            if answered == mid:
                return codes[0]

    def publish(self, topic: str, payload: str, qos: int = 1, *, retain: bool = False) -> None:
        """Publish and wait for the acknowledgement, which MQTT 3.1.1 sends for refused messages too.

        Raises:
            NoAnswer: none came.
        """
        sent = self._client.publish(topic, payload, qos, retain)
        sent.wait_for_publish(PATIENCE_S)
        if not sent.is_published():
            raise NoAnswer(f"no acknowledgement within {PATIENCE_S:g} s")

    def heard(self, until: str, patience_s: float = PATIENCE_S) -> list[str]:
        """The payloads that arrived, up to and with the payload ``until``; all there were if it does not come."""
        heard: list[str] = []
        ends = time.monotonic() + patience_s
        while (left := ends - time.monotonic()) > 0:
            try:
                heard.append(self.messages.get(timeout=left)[1])
            except queue.Empty:
                break
            if heard[-1] == until:
                break
        return heard

    def ended(self, patience_s: float = PATIENCE_S) -> bool:
        """Whether the broker ended the connection within that time."""
        return self._ended.wait(patience_s)

    def close(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()

    def drop(self) -> None:
        """Cut the connection without a DISCONNECT, so that the will is published."""
        wire = self._client.socket()
        if isinstance(wire, socket.socket):
            wire.shutdown(socket.SHUT_RDWR)
        self._client.loop_stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _on_connect(self, _: Any, __: Any, ___: Any, code: ReasonCode, ____: Any) -> None:
        # paho tells MQTT 3.1.1's return codes in MQTT 5's words; 0x86 and 0x87 are 4 and 5 again.
        self._connack.put({0: 0, 0x86: 4, 0x87: 5}.get(code.value, code.value))

    def _on_subscribe(self, _: Any, __: Any, mid: int, codes: list[ReasonCode], ___: Any) -> None:
        self._suback.put((mid, [code.value for code in codes]))

    def _on_message(self, _: Any, __: Any, message: mqtt.MQTTMessage) -> None:
        self.messages.put((message.topic, message.payload.decode(), message.retain))

    def _on_disconnect(self, *_: Any) -> None:
        self._ended.set()


Answer = TypeVar("Answer")


def _within(answers: queue.Queue[Answer]) -> Answer:
    try:
        return answers.get(timeout=PATIENCE_S)
    except queue.Empty:
        raise NoAnswer(f"the broker gave no answer within {PATIENCE_S:g} s") from None
