"""One connection to the broker: made once, used until it ends, never made again."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, Final, Self

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from mchat_client.broker import Broker
from mchat_client.errors import ClientError, ConnectRefused, LinkLost, TakenOver, Unreachable
from mchat_client.sockets import Caller, Pump

log = logging.getLogger(__name__)

UNACKNOWLEDGED: Final = 20
"""Publishes on the way at once, fewer if the broker's Receive Maximum says so."""

CLOSE_S: Final = 2.0
_TAKEN_OVER: Final = 0x8E  # MQTT 5.0, section 3.14.2.1
_AT_ONCE: Final = 100  # filters in one SUBSCRIBE

Heard = Callable[[str, bytes], None]
"""What is done with a message: its topic and payload."""


class Link:
    """A connection, once `open` has made it.

    Attributes:
        session_present: whether the broker kept the session of an earlier connection.
        max_packet: bytes of a packet that the broker takes; None if it did not say (MQTT 5 only).
        over: becomes why it ended, once it has; to be looked at with `asyncio.wait`, never cancelled.
    """

    def __init__(self, client: paho.Client, broker: Broker, heard: Heard) -> None:
        loop = asyncio.get_running_loop()
        self._client = client
        self._broker = broker
        self._heard = heard
        self._pump = Pump(client, loop, self._broken)
        self._let_in: asyncio.Future[None] = loop.create_future()
        self._waiting: dict[int, asyncio.Future[list[int]]] = {}
        self._published: dict[int, asyncio.Future[int | None]] = {}
        self._room = asyncio.Semaphore(UNACKNOWLEDGED)
        self._on_end: Callable[[Link], None] = lambda _: None
        self.over: asyncio.Future[ClientError] = loop.create_future()
        self.session_present = False
        self.max_packet: int | None = None
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        client.on_publish = lambda _, __, mid, code, ___: self._taken(mid, code.value)
        client.on_subscribe = lambda _, __, mid, codes, ___: self._answered(
            mid, [code.value for code in codes]
        )
        client.on_unsubscribe = lambda _, __, mid, *___: self._answered(mid, [])

    @classmethod
    async def open(
        cls, broker: Broker, client_id: str, username: str, secret: str, expiry_s: int, heard: Heard
    ) -> Self:
        """Connect.

        Args:
            broker: where.
            client_id: the client's.
            username: of the person.
            secret: token, password or JWT.
            expiry_s: seconds that the broker shall keep the session beyond the connection; 0: not at all. MQTT 3.1.1
                can only say whether, and the broker for how long.
            heard: is given each message, and must not raise.

        Raises:
            ConnectRefused: the broker does not let this client in.
            Unreachable: it cannot be reached, or did not answer in time.
        """
        link = cls(_client(broker, client_id, username, secret, expiry_s), broker, heard)
        try:
            async with asyncio.timeout(broker.connect_timeout_s):
                await link._pump.connect()
                await link._let_in
        except TimeoutError as error:
            link._pump.drop()
            within = f"within {broker.connect_timeout_s:g} s"
            raise Unreachable(f"{link._place} gave no answer {within}") from error
        except (OSError, paho.WebsocketConnectionError) as error:
            link._pump.drop()
            raise Unreachable(f"{link._place} cannot be reached: {error}") from error
        except BaseException:
            link._pump.drop()
            raise
        return link

    def when_over(self, told: Callable[[Link], None]) -> None:
        """Have somebody told, at the very moment, that it ended; at once if it has."""
        self._on_end = told
        if self.over.done():
            told(self)

    async def publish(self, topic: str, payload: bytes) -> asyncio.Future[int | None]:
        """Publish with QoS 1, not retained, once there is room for one more on the way.

        What is returned becomes the reason code of the PUBACK, which in MQTT 3.1.1 is always 0, or None if the
        connection ends before.

        Raises:
            LinkLost: the connection has ended.
        """
        await self._room.acquire()
        try:
            self._check()
            info = self._client.publish(topic, payload, qos=1)
            if info.rc is not MQTTErrorCode.MQTT_ERR_SUCCESS:
                raise LinkLost(f"{self._place} is not connected: {info.rc.name}")
        except BaseException:
            self._room.release()
            raise
        taken: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        taken.add_done_callback(lambda _: self._room.release())
        self._published[info.mid] = taken
        return taken

    async def subscribe(self, filters: Sequence[str]) -> list[int]:
        """Subscribe with QoS 1; the reason codes of the SUBACK, from 0x80 on refused.

        Raises:
            LinkLost: the connection ended before the broker had answered.
        """
        codes: list[int] = []
        for start in range(0, len(filters), _AT_ONCE):
            self._check()
            result, mid = self._client.subscribe([(each, 1) for each in filters[start : start + _AT_ONCE]])
            codes += await self._answer(self._sent(result, mid))
        return codes

    async def unsubscribe(self, filters: Sequence[str]) -> None:
        """Unsubscribe.

        Raises:
            LinkLost: the connection ended before the broker had answered.
        """
        self._check()
        await self._answer(self._sent(*self._client.unsubscribe(list(filters))))

    async def close(self) -> None:
        """Say goodbye, and close the socket, whether the broker takes it or not."""
        if not self.over.done():
            self._client.disconnect()
            await asyncio.wait((self.over,), timeout=CLOSE_S)
        self._pump.drop()
        self._end(LinkLost(f"the connection to {self._place} was closed"))

    @property
    def _place(self) -> str:
        return f"the broker at {self._broker.host}:{self._broker.port}"

    def _check(self) -> None:
        if self.over.done():
            raise _lost(self.over.result())

    def _sent(self, result: MQTTErrorCode, mid: int | None) -> int:
        if result is not MQTTErrorCode.MQTT_ERR_SUCCESS or mid is None:
            raise LinkLost(f"{self._place} is not connected: {result.name}")
        return mid

    async def _answer(self, mid: int) -> list[int]:
        waiting: asyncio.Future[list[int]] = asyncio.get_running_loop().create_future()
        self._waiting[mid] = waiting
        try:
            return await waiting
        finally:
            del self._waiting[mid]

    def _answered(self, mid: int, codes: list[int]) -> None:
        waiting = self._waiting.get(mid)
        if waiting is not None and not waiting.done():
            waiting.set_result(codes)

    def _taken(self, mid: int, code: int | None) -> None:
        taken = self._published.pop(mid, None)
        if taken is not None and not taken.done():
            taken.set_result(code)

    def _on_connect(
        self, _: Any, __: Any, flags: paho.ConnectFlags, code: ReasonCode, told: Properties | None
    ) -> None:
        if self._let_in.done():
            return
        if code.is_failure:
            refusal = ConnectRefused(f"{self._place} refused the connection: {code}", code.value)
            self._let_in.set_exception(refusal)
            return
        self.session_present = flags.session_present
        self.max_packet = getattr(told, "MaximumPacketSize", None)
        self._room = asyncio.Semaphore(min(UNACKNOWLEDGED, getattr(told, "ReceiveMaximum", UNACKNOWLEDGED)))
        self._let_in.set_result(None)

    def _on_disconnect(
        self, _: Any, __: Any, flags: paho.DisconnectFlags, code: ReasonCode, ___: Any
    ) -> None:
        if flags.is_disconnect_packet_from_server and code.value == _TAKEN_OVER:
            self._end(TakenOver(f"somebody else connected to {self._place} with this client id"))
            return
        self._end(LinkLost(f"{self._place} ended the connection: {code}"))

    def _on_message(self, _: Any, __: Any, message: paho.MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            log.warning("%s sent a message on a topic that is not UTF-8: dropped", self._place)
            return
        self._heard(topic, bytes(message.payload))

    def _broken(self, error: Exception) -> None:
        log.error("the connection to %s broke down", self._place, exc_info=error)
        self._end(LinkLost(f"the connection to {self._place} broke down: {error!r}"))

    def _end(self, why: ClientError) -> None:
        if self.over.done():
            return
        if not self._let_in.done():
            hint = "" if self._broker.version == "3.1.1" else "; does it speak MQTT 5?"
            self._let_in.set_exception(Unreachable(f"{why}, before it let the client in{hint}"))
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(_lost(why))
        for mid in list(self._published):
            self._taken(mid, None)
        self.over.set_result(why)
        self._on_end(self)


def _lost(why: ClientError) -> LinkLost:
    """What somebody is told who waits for the broker: each an error of its own, for one raised twice has two traces."""
    return LinkLost(str(why))


def _client(broker: Broker, client_id: str, username: str, secret: str, expiry_s: int) -> paho.Client:
    five = broker.version == "5"
    client = Caller(
        broker,
        CallbackAPIVersion.VERSION2,
        client_id,
        clean_session=None if five else expiry_s == 0,
        protocol=MQTTProtocolVersion.MQTTv5 if five else MQTTProtocolVersion.MQTTv311,
        reconnect_on_failure=False,
    )
    client.username_pw_set(username, secret)
    if five:
        kept = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        kept.SessionExpiryInterval = expiry_s
        client.connect_async(
            broker.host, broker.port, broker.keepalive_s, clean_start=expiry_s == 0, properties=kept
        )
    else:
        client.connect_async(broker.host, broker.port, broker.keepalive_s)
    return client
