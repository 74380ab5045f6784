"""One network connection: bytes in and out, its time limits, its beginning and its end."""

import asyncio
from typing import TYPE_CHECKING, Literal

import structlog

from emqx.laptop import packets
from emqx.laptop.authenticators import Refusal
from emqx.laptop.channel import Channel, DeniedError, ProtocolError
from emqx.laptop.client import Client
from emqx.laptop.decisions import DecisionCache
from emqx.laptop.decoder import PROTOCOL_LEVEL, MalformedPacketError, PacketReader, PacketTooLargeError
from emqx.laptop.links import Link
from emqx.laptop.session import Session
from emqx.laptop.topics import TopicError, check_name
from emqx.listeners import ListenerSettings

if TYPE_CHECKING:
    from emqx.laptop.broker import Broker

_log = structlog.get_logger(__name__)

_HIGH_WATER = 262_144
_FLUSH_PATIENCE = 1.0
_KEEPALIVE_FACTOR = 1.5
_MQTT_5 = 5
# A timer that is farther away is looked at again after this many seconds: event loops bound their delays.
_LONGEST_TIMER = 3_600.0


class Connection:
    """Serves one link from its first byte to its end.

    Args:
        broker: what the client connects to.
        link: the bytes.
        listener: that the link came in by.
    """

    def __init__(self, broker: "Broker", link: Link, listener: ListenerSettings) -> None:
        self.client: Client | None = None
        self.session: Session | None = None
        self.will: packets.WillMessage | None = None
        self.decisions = DecisionCache(broker.now)
        self._broker = broker
        self._link = link
        self._listener = listener
        self._channel: Channel | None = None
        self._reason: str | None = None
        self._ended = asyncio.Event()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._active_at = 0.0
        self._busy = False
        self._outgoing = bytearray()
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._reader: asyncio.Task[str] | None = None

    @property
    def congested(self) -> bool:
        """Whether the client reads more slowly than it is sent to."""
        return not self._room.is_set()

    def send(self, data: bytes) -> None:
        """Send a packet; never waits."""
        self._outgoing += data
        self._wake.set()
        if len(self._outgoing) > _HIGH_WATER:
            self._room.clear()

    def stop(self, reason: str) -> None:
        """Begin to end the connection; the first reason counts."""
        if self._reason is None:
            self._reason = reason
            if self._reader is not None:
                self._reader.cancel()

    async def end(self, reason: str) -> None:
        """End the connection and wait until its will is published and its event is queued."""
        self.stop(reason)
        await self._ended.wait()

    async def run(self) -> None:
        """Serve the link until either side ends it."""
        self._reader = asyncio.create_task(self._read(), name="mqtt-read")
        writer = asyncio.create_task(self._write(), name="mqtt-write")
        self._timers["connect"] = asyncio.get_running_loop().call_later(
            self._broker.settings.connect_timeout, self.stop, "connect_timeout"
        )
        try:
            if self._reason is not None:
                self._reader.cancel()
            await asyncio.wait({self._reader, writer}, return_when=asyncio.FIRST_COMPLETED)
            self.stop(_outcome(self._reader) or _outcome(writer) or "internal_error")
            await asyncio.wait({self._reader})
        finally:
            self._reader.cancel()
            for timer in self._timers.values():
                timer.cancel()
            try:
                await self._broker.close_session(self, self._reason or "internal_error")
            finally:
                self._ended.set()
                self._wake.set()
            await asyncio.wait({writer}, timeout=_FLUSH_PATIENCE)
            writer.cancel()
            await asyncio.wait({writer})
            await self._link.close()

    async def _read(self) -> str:
        incoming = PacketReader(self._broker.settings.max_packet_size)
        try:
            while data := await self._link.receive():
                self._busy = True
                for packet in incoming.feed(data):
                    if self._channel is None:
                        if not await self._connect(packet):
                            return "refused"
                    elif isinstance(packet, packets.Disconnect):
                        return "normal"
                    else:
                        await self._channel.handle(packet)
                    await self._room.wait()
                self._busy = False
                self._active_at = asyncio.get_running_loop().time()
        except (MalformedPacketError, PacketTooLargeError, ProtocolError, TopicError) as error:
            _log.info("connection_refused_packet", peer=self._link.peer[0], error=str(error))
            return {MalformedPacketError: "malformed_packet", PacketTooLargeError: "packet_too_large"}.get(
                type(error), "protocol_error"
            )
        except DeniedError as error:
            _log.info("connection_ended_by_denial", peer=self._link.peer[0], error=str(error))
            return "not_authorized"
        return "tcp_closed"

    async def _write(self) -> str:
        while not self._ended.is_set() or self._outgoing:
            await self._wake.wait()
            self._wake.clear()
            while self._outgoing:
                data = bytes(self._outgoing)
                self._outgoing.clear()
                try:
                    async with asyncio.timeout(self._broker.settings.send_timeout):
                        await self._link.send(data)
                except OSError as error:
                    return "send_timeout" if isinstance(error, TimeoutError) else "tcp_closed"
                self._room.set()
                if self.session is not None and not self._ended.is_set():
                    self.session.pump()
        return "tcp_closed"

    async def _connect(self, packet: packets.Packet) -> bool:
        if not isinstance(packet, packets.Connect):
            raise ProtocolError(f"the first packet is a {type(packet).__name__.upper()}, not a CONNECT")
        if packet.level != PROTOCOL_LEVEL:
            refused = packets.connack(packets.UNACCEPTABLE_PROTOCOL)
            self.send(packets.CONNACK_UNSUPPORTED_V5 if packet.level == _MQTT_5 else refused)
            return False
        if packet.will is not None:
            check_name(packet.will.topic)
        self._timers.pop("connect").cancel()
        admitted = await self._broker.admission.admit(
            packet, self._link.peer, self._link.socket, self._listener
        )
        if isinstance(admitted, Refusal):
            return self._refuse(admitted)
        opened = await self._broker.open_session(self, admitted, packet.will)
        if isinstance(opened, Refusal):
            return self._refuse(opened)
        client, session = opened
        self._channel = Channel(self._broker, client, session, self, self.decisions)
        if client.keepalive:
            self._watch_keepalive(client.keepalive * _KEEPALIVE_FACTOR)
        if client.expires_at is not None:
            self._watch_expiry(client.expires_at)
        return True

    def _refuse(self, refusal: Refusal) -> Literal[False]:
        self.send(packets.connack(refusal.code))
        return False

    def _watch_keepalive(self, patience: float) -> None:
        loop = asyncio.get_running_loop()
        silent = 0.0 if self._busy else loop.time() - self._active_at
        if silent >= patience:
            self.stop("keepalive_timeout")
        else:
            self._timers["keepalive"] = loop.call_later(patience - silent, self._watch_keepalive, patience)

    def _watch_expiry(self, expires_at: int) -> None:
        left = expires_at - self._broker.now() / 1000
        if left <= 0:
            self.stop("not_authorized")
        else:
            self._timers["expiry"] = asyncio.get_running_loop().call_later(
                min(left, _LONGEST_TIMER), self._watch_expiry, expires_at
            )


def _outcome(task: asyncio.Task[str]) -> str | None:
    if not task.done() or task.cancelled():
        return None
    if (error := task.exception()) is not None:
        _log.error("connection_failed", exc_info=error)
        return None
    return task.result()
