"""The socket of a paho client on the event loop: paho reads and writes, the loop tells when.

paho connects with blocking calls (TCP, TLS, the WebSocket's upgrade), so that part runs in a thread of its own and
nothing is registered with the loop before it is done.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.exception import MalformedPacket, MQTTException
from paho.mqtt.properties import VariableByteIntegers

from mchat_client.broker import Broker

_QOS: Final = 0x06
"""The bits of a PUBLISH packet's first byte that say its QoS."""


class Caller(paho.Client):
    """A paho client that makes its socket as we want it: without delay, and closed if it comes to nothing.

    It overrides what paho 2 does inside: `_create_socket`, for there is no other way to the socket before it is used,
    and `_handle_publish`, which refuses what brokers let through.

    Args:
        broker: where it connects.
        given: arguments of paho's client.
    """

    def __init__(self, broker: Broker, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._broker = broker

    def _create_socket(self) -> Any:
        broker = self._broker
        timeout = broker.connect_timeout_s
        sock = socket.create_connection((broker.host, broker.port), timeout)
        try:
            # Each answer would wait 40 ms for the acknowledgement of the one before (Nagle's algorithm).
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if broker.tls is not None:
                sock = broker.tls.wrap_socket(
                    sock, server_hostname=broker.host, do_handshake_on_connect=False
                )
                sock.do_handshake()
            if not broker.websocket:
                return sock
            return _Frames(sock, broker.host, broker.port, broker.tls is not None, broker.path, None)
        except BaseException:
            sock.close()
            raise

    def _handle_publish(self) -> MQTTErrorCode:
        try:
            return super()._handle_publish()
        except MQTTException:
            if self._protocol != MQTTProtocolVersion.MQTTv5:
                raise
            # Properties are their sender's, with texts that paho reads more strictly than brokers do, and than MQTT
            # says (U+FEFF). Nothing here needs them; the connection would end over them, whenever they come.
            self._in_packet["packet"] = _without_properties(
                self._in_packet["packet"], identified=bool(self._in_packet["command"] & _QOS)
            )
            return super()._handle_publish()


def _without_properties(packet: bytearray, *, identified: bool) -> bytearray:
    """A PUBLISH packet of MQTT 5, from its topic on, without its properties; `identified`: it has a packet id."""
    begin = 2 + int.from_bytes(packet[:2]) + 2 * identified
    if begin >= len(packet):
        raise MalformedPacket("a PUBLISH packet without properties")
    length, size = VariableByteIntegers.decode(packet[begin:])  # type: ignore[no-untyped-call]
    return packet[:begin] + b"\0" + packet[begin + size + length :]


class _Frames(paho._WebsocketWrapper):
    """A WebSocket that asks to be called again when the network took only a part of a frame.

    paho 2 takes the 0 that its own returns then for done: it drops the packet, and counts the rest of its frame
    as a part of the next one, which is lost too.
    """

    def send(self, data: bytes | bytearray) -> int:
        sent = super().send(data)
        if data and not sent:
            raise BlockingIOError
        return sent


class Pump:
    """Reads and writes for one paho client, which has connected once and is thrown away afterwards.

    Args:
        client: set up but not connected; its socket callbacks become the pump's.
        loop: that waits for the socket.
        broken: is told when paho cannot make sense of what came; the socket is closed by then.
    """

    def __init__(
        self, client: paho.Client, loop: asyncio.AbstractEventLoop, broken: Callable[[Exception], None]
    ) -> None:
        self._client = client
        self._loop = loop
        self._broken = broken
        self._attached: int | None = None
        self._tick: asyncio.TimerHandle | None = None
        client.on_socket_close = lambda *_: self._detach()
        client.on_socket_register_write = lambda *_: self._wait_to_write()
        client.on_socket_unregister_write = lambda *_: self._stop_writing()

    async def connect(self) -> None:
        """Connect in a thread, then read and write on the loop.

        Raises:
            OSError: nobody listens there, the name is unknown, TLS fails.
            paho.mqtt.client.WebsocketConnectionError: the WebSocket is refused. A `ValueError`.
        """
        connecting = asyncio.ensure_future(asyncio.to_thread(self._client.reconnect))
        try:
            await asyncio.shield(connecting)
        except asyncio.CancelledError:
            # The thread goes on: whatever it connects is closed when it is done.
            connecting.add_done_callback(self._too_late)
            raise
        self._attach()

    def drop(self) -> None:
        """Close the socket without a word."""
        sock = self._client.socket()
        self._detach()
        if sock is not None:
            with suppress(OSError):
                sock.close()

    def _too_late(self, connecting: asyncio.Future[Any]) -> None:
        if not connecting.cancelled() and connecting.exception() is None:
            self.drop()

    def _attach(self) -> None:
        sock = self._client.socket()
        if sock is None:
            return
        number = sock.fileno()
        self._attached = number
        self._loop.add_reader(number, self._read)
        if self._client.want_write():
            self._wait_to_write()
        self._tick = self._loop.call_later(1.0, self._every_second)

    def _detach(self) -> None:
        number, self._attached = self._attached, None
        if number is not None:
            self._loop.remove_reader(number)
            self._loop.remove_writer(number)
        if self._tick is not None:
            self._tick.cancel()
            self._tick = None

    def _read(self) -> None:
        self._guarded(self._client.loop_read)
        # TLS takes more off the socket than paho asked for, and the loop does not see what waits there.
        while self._attached is not None and _pending(self._client.socket()):
            self._guarded(self._client.loop_read)

    def _wait_to_write(self) -> None:
        if self._attached is not None:
            self._loop.add_writer(self._attached, self._write)

    def _stop_writing(self) -> None:
        if self._attached is not None:
            self._loop.remove_writer(self._attached)

    def _write(self) -> None:
        self._guarded(self._client.loop_write)

    def _every_second(self) -> None:
        self._tick = self._loop.call_later(1.0, self._every_second)
        self._guarded(self._client.loop_misc)

    def _guarded(self, step: Callable[[], Any]) -> None:
        try:
            step()
        except Exception as error:  # whatever paho trips over: this connection is of no use any more
            self.drop()
            self._broken(error)


def _pending(sock: Any) -> int:
    """Bytes that TLS holds already."""
    pending = getattr(sock, "pending", None)
    return 0 if pending is None else int(pending())
