"""A small blocking MQTT client that says what the broker did: for ``mchat up --check`` and the tests."""

from __future__ import annotations

import queue
import threading
import time
from types import TracebackType
from typing import Any, Self, TypeVar

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

PATIENCE_S = 5.0


class NoAnswer(Exception):
    """The broker did not answer in time."""


class Ended(NoAnswer):
    """The broker ended the connection instead of answering."""


class Probe:
    """One MQTT 3.1.1 client; every call waits for the broker's answer.

    Args:
        port: of the broker.
        client_id: as it is sent.
        username: as it is sent; None sends none.
        secret: the password field.
        host: of the broker.
    """

    def __init__(
        self, port: int, client_id: str, username: str | None, secret: str | None, host: str = "127.0.0.1"
    ) -> None:
        self._host, self._port = host, port
        # Whoever waited for the connection may be gone, and close it, while the thread that makes it goes on.
        self._beginning = threading.Lock()
        self._closed = False
        # None stands behind the last of each: the connection has ended.
        self._connack: queue.Queue[int | None] = queue.Queue()
        self._suback: queue.Queue[tuple[int, int] | None] = queue.Queue()
        self._puback: queue.Queue[int | None] = queue.Queue()
        self._payloads: queue.Queue[str | None] = queue.Queue()
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=True,
            protocol=mqtt.MQTTv311,
            reconnect_on_failure=False,
        )
        if username is not None:
            self._client.username_pw_set(username, secret)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_publish = self._on_publish
        self._client.on_message = self._on_message
        self._client.on_disconnect = self._on_disconnect

    def connect(self) -> int:
        """The return code of the CONNACK: 0 in, 4 or 5 refused.

        Raises:
            Ended: it was closed meanwhile.
            NoAnswer: none came.
        """
        self._client.connect(self._host, self._port, keepalive=30)
        with self._beginning:
            if self._closed:
                self._client.disconnect()
                raise Ended("closed before it was connected")
            self._client.loop_start()
        return _within(self._connack)

    def subscribe(self, topic: str) -> int:
        """The granted QoS of the SUBACK, or 128 refused.

        Raises:
            NoAnswer: none came.
        """
        _, mid = self._client.subscribe(topic, 1)
        while True:
            answered, code = _within(self._suback)
            if answered == mid:
                return code

    def publish(self, topic: str, payload: str, *, retain: bool = False) -> None:
        """Publish with QoS 1 and wait for the PUBACK, which MQTT 3.1.1 sends for refused messages too.

        Raises:
            NoAnswer: none came.
        """
        mid = self._client.publish(topic, payload, 1, retain).mid
        while _within(self._puback) != mid:
            pass

    def heard(self, until: str, patience_s: float = PATIENCE_S) -> list[str]:
        """The payloads that arrived, up to and with the payload ``until``; all there were if it does not come."""
        heard: list[str] = []
        ends = time.monotonic() + patience_s
        while (left := ends - time.monotonic()) > 0:
            try:
                heard.append(_within(self._payloads, left))
            except NoAnswer:
                break
            if heard[-1] == until:
                break
        return heard

    def close(self) -> None:
        """Disconnect; a connection that another thread is making ends before it is used."""
        with self._beginning:
            self._closed = True
            self._client.disconnect()
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
        self._suback.put((mid, codes[0].value))

    def _on_publish(self, _: Any, __: Any, mid: int, *___: Any) -> None:
        self._puback.put(mid)

    def _on_message(self, _: Any, __: Any, message: mqtt.MQTTMessage) -> None:
        self._payloads.put(message.payload.decode(errors="replace"))

    def _on_disconnect(self, *_: Any) -> None:
        for answers in (self._connack, self._suback, self._puback, self._payloads):
            answers.put(None)


def receive_maximum(port: int, client_id: str, username: str, secret: str, host: str = "127.0.0.1") -> int:
    """How many unacknowledged messages a broker of MQTT 5 takes from a client at once, as its CONNACK says.

    Raises:
        NoAnswer: it speaks no MQTT 5, refused the client, or did not answer.
    """
    answers: queue.Queue[tuple[int, str] | None] = queue.Queue()
    client = mqtt.Client(
        CallbackAPIVersion.VERSION2,
        client_id=client_id,
        protocol=mqtt.MQTTv5,
        reconnect_on_failure=False,
    )
    client.username_pw_set(username, secret)

    def connected(_: Any, __: Any, ___: Any, code: ReasonCode, told: Properties | None) -> None:
        # 65,535 where it is not said (MQTT 5.0 section 3.2.2.3.3).
        answers.put((getattr(told, "ReceiveMaximum", 65_535), str(code) if code.is_failure else ""))

    client.on_connect = connected
    client.on_disconnect = lambda *_: answers.put(None)
    client.connect(host, port, keepalive=30)
    client.loop_start()
    try:
        told, refusal = _within(answers)
    finally:
        client.disconnect()
        client.loop_stop()
    if refusal:
        raise NoAnswer(f"the broker refused MQTT 5: {refusal}")
    return told


Answer = TypeVar("Answer")


def _within(answers: queue.Queue[Answer | None], patience_s: float = PATIENCE_S) -> Answer:
    try:
        answer = answers.get(timeout=patience_s)
    except queue.Empty:
        raise NoAnswer(f"the broker gave no answer within {patience_s:g} s") from None
    if answer is None:
        answers.put(None)
        raise Ended("the broker ended the connection")
    return answer
