"""One connection to the broker: paho-mqtt on the event loop, through its socket callbacks.

A connection is used once. paho sends what a lost connection had not delivered again by itself, and for ever; a
client made anew for each connection has nothing to send again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, Final

import paho.mqtt.client as paho
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from gateway.buffered_socket import BufferedSocket
from gateway.exchange import NotConnected
from gateway.packets import Events, Greeting, Incoming
from gateway.paho_client import connect, new_client, properties_of
from gateway.pulse import Pulse
from gateway.questions import Questions
from gateway.settings import GatewaySettings

_UNLIMITED: Final = 65_535

_NOBODYS_FAULT: Final = frozenset({0x8B, 0x8D, 0x8E, 0x98, 0x9C, 0x9D})
"""Why a broker ends a connection whatever was sent (MQTT 5, 3.14.2.1): it stops, heard nothing for too long, has given
the session to another, an operator wants it, another server is to be used."""

_MOST_TAKEN: Final = 16
"""Messages of one turn of the event loop: far fewer than one client may have in hand."""


class Wire:
    """A connection, from CONNECT to its end.

    Args:
        settings: where the broker is, and as whom to connect.
        secret: the credential.
        events: told what happens.
        clock: seconds that only grow.

    Attributes:
        pulse: whether the process ran all the time; if not, for longer than a session is kept, the connection ends.
        questions: what the broker is asked; from `open` on.
    """

    questions: Questions

    def __init__(
        self, settings: GatewaySettings, secret: str, events: Events, clock: Callable[[], float]
    ) -> None:
        self._settings = settings
        self._secret = secret
        self._events = events
        self.pulse = Pulse(clock, settings.session_expiry)
        self._loop = asyncio.get_running_loop()
        self._five = settings.protocol == "5"
        self._greeting: asyncio.Future[Greeting] = self._loop.create_future()
        self._closed = self._loop.create_future()
        self._running = self._reading = self._taking = self._flushing = False
        self._taken = 0
        self._written = asyncio.Event()
        self._written.set()
        self._timer: asyncio.TimerHandle | None = None
        self._client: paho.Client

    async def open(self, *, clean: bool) -> Greeting:
        """Connect and wait for CONNACK.

        Args:
            clean: throw away the session that the broker may have.

        Raises:
            NotConnected: the broker cannot be reached, did not answer in time, or let us not in.
        """
        where = f"{self._settings.host}:{self._settings.port}"
        try:
            self._client = client = self._made(clean)
            self.questions = Questions(client, five=self._five, patience=self._settings.connect_timeout)
            # In a thread, since paho waits for the connection, for TLS, and for names to be resolved.
            code = await asyncio.to_thread(connect, client, self._settings, clean=clean)
        except (OSError, ValueError) as error:
            raise NotConnected(f"no connection to {where}: {error}") from error
        sock = client.socket()
        if code != MQTTErrorCode.MQTT_ERR_SUCCESS or not isinstance(sock, BufferedSocket):
            raise NotConnected(f"no connection to {where}: {paho.error_string(code)}")
        self._running = self._reading = True
        self._loop.add_reader(sock.fileno(), self._readable, sock)
        # Before CONNECT is written: it makes the broker send again what may be old by now.
        self._misc()
        self._flush()
        try:
            async with asyncio.timeout(self._settings.connect_timeout):
                return await self._greeting
        except TimeoutError as error:
            self.abort()
            raise NotConnected(
                f"{where} did not answer CONNECT within {self._settings.connect_timeout:g} s"
            ) from error
        except BaseException:
            self.abort()
            raise

    def send(
        self, topic: str, payload: bytes, qos: int, *, retain: bool, correlation: bytes | None
    ) -> int | None:
        """Send a message; returns its packet id, or None if it cannot be sent now.

        The topic is a name and the packet as large as the broker takes: who calls has looked.
        """
        properties = None
        if correlation is not None and self._five:
            properties = properties_of(PacketTypes.PUBLISH, CorrelationData=correlation)
        info = self._client.publish(topic, payload, qos, retain, properties)
        return info.mid if info.rc == MQTTErrorCode.MQTT_ERR_SUCCESS else None

    def flush(self) -> None:
        """Write what was sent, before the end of this turn of the event loop."""
        if self._flushing:
            self._flush()

    def acknowledge(self, packet_id: int) -> None:
        """Acknowledge a message that came."""
        if self._running:
            self._client.ack(packet_id, 1)

    async def close(self, *, forget: bool) -> None:
        """Send what waits and DISCONNECT, and return when the connection is over.

        Args:
            forget: end the session too (MQTT 5).
        """
        if self._running:
            properties = None
            if forget and self._five:
                properties = properties_of(PacketTypes.DISCONNECT, SessionExpiryInterval=0)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._settings.connect_timeout):
                    await self._written.wait()
                    self._client.disconnect(properties=properties)
                    await asyncio.shield(self._closed)
        self.abort()

    def abort(self) -> None:
        """End the connection without a word."""
        client = self._client
        client.on_message = None
        # paho closes what it has read to its end.
        while isinstance(sock := client.socket(), BufferedSocket):
            sock.end()
            client.loop_read()
        self._over("ended by the gateway", suspicious=False)

    def _made(self, clean: bool) -> paho.Client:
        client = new_client(self._settings, self._secret, clean=clean)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        client.on_subscribe = self._on_answer
        client.on_unsubscribe = self._on_answer
        client.on_socket_close = self._on_socket_close
        client.on_socket_register_write = self._on_write_wanted
        return client

    # Called by the event loop.

    def _readable(self, sock: BufferedSocket) -> None:
        sock.fill()
        if not self._taking:
            self._take(sock)

    def _take(self, sock: BufferedSocket) -> None:
        """Take in what was read, up to so many messages: those are begun before the next are taken in hand."""
        self._taken, sock.paused = 0, False
        self._client.loop_read()
        self._taking = sock.pending and self._client.socket() is sock
        if self._taking:
            self._loop.call_soon(self._take, sock)
        else:
            self.flush()

    def _flush(self) -> None:
        self._flushing = False
        self._client.loop_write()
        sock = self._client.socket()
        if isinstance(sock, BufferedSocket) and self._written.is_set() and not sock.flush():
            self._written.clear()
            self._loop.add_writer(sock.fileno(), self._write, sock)

    def _write(self, sock: BufferedSocket) -> None:
        if sock.flush():
            self._loop.remove_writer(sock.fileno())
            self._written.set()

    def _misc(self) -> None:
        if not self.pulse.felt():
            # Whoever begins requests feels it too, perhaps before this is called.
            longest = self._settings.session_expiry
            why = f"the gateway stood still for more than {longest} s (MCHAT_GATEWAY_SESSION_EXPIRY)"
            self._over(why, suspicious=False)
            self.abort()
        self._client.loop_misc()
        if self._running:
            self._timer = self._loop.call_later(self.pulse.pause, self._misc)

    def _over(self, why: str, *, suspicious: bool) -> None:
        if not self._closed.done():
            self._closed.set_result(None)
        if not self._running:
            return
        self._running = False
        if self._timer is not None:
            self._timer.cancel()
        lost = f"the connection was lost: {why}"
        if not self._greeting.done():
            self._greeting.set_exception(NotConnected(lost))
            self._greeting.exception()  # Perhaps nobody waits.
        self.questions.over(lost)
        self._events.lost(why, suspicious=suspicious)

    # Called by paho.

    def _on_connect(
        self,
        client: paho.Client,
        data: Any,
        flags: paho.ConnectFlags,
        code: ReasonCode,
        found: Properties | None,
    ) -> None:
        if self._greeting.done():
            return
        if code.is_failure:
            why = f"the broker refuses {self._settings.client_id} as {self._settings.username}: {code}"
            self._greeting.set_exception(NotConnected(why))
            return
        told = getattr(found, "ReceiveMaximum", _UNLIMITED) if self._five else None
        shared = bool(getattr(found, "SharedSubscriptionAvailable", 1))
        size = getattr(found, "MaximumPacketSize", None)
        greeting = Greeting(flags.session_present, told, size, shared)
        self._greeting.set_result(greeting)
        self._events.connected(greeting)

    def _on_disconnect(
        self, client: paho.Client, data: Any, flags: Any, code: ReasonCode, found: Properties | None
    ) -> None:
        told = flags.is_disconnect_packet_from_server
        why = f"{code} (0x{code.value:02x})" if told else "the connection was closed"
        self._over(why, suspicious=not told or code.value not in _NOBODYS_FAULT)

    def _on_message(self, client: paho.Client, data: Any, message: paho.MQTTMessage) -> None:
        packet_id = message.mid if message.qos else 0
        found = message.properties
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = ""  # No broker lets it through; whoever looks at topics drops it.
        response = correlation = None
        if found is not None:
            response = getattr(found, "ResponseTopic", None)
            correlation = getattr(found, "CorrelationData", None)
        payload = bytes(message.payload)
        self._taken += 1
        if self._taken >= _MOST_TAKEN and isinstance(sock := client.socket(), BufferedSocket):
            sock.paused = True
        self._events.arrived(Incoming(packet_id, topic, payload, message.retain, response, correlation))

    def _on_publish(self, client: paho.Client, data: Any, mid: int, code: ReasonCode, found: Any) -> None:
        self._events.published(mid, code.value)

    def _on_answer(
        self, client: paho.Client, data: Any, mid: int, codes: list[ReasonCode], found: Any
    ) -> None:
        self.questions.answered(mid, [code.value for code in codes])

    def _on_socket_close(self, client: paho.Client, data: Any, sock: Any) -> None:
        if self._reading:
            self._reading = False
            self._loop.remove_reader(sock.fileno())
        if not self._written.is_set():
            self._loop.remove_writer(sock.fileno())
            self._written.set()

    def _on_write_wanted(self, client: paho.Client, data: Any, sock: Any) -> None:
        # Everything that one turn of the loop has to say goes out together. While connecting, in a thread, it waits.
        if self._running and not self._flushing:
            self._flushing = True
            self._loop.call_soon(self.flush)
