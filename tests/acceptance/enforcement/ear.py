"""MQTT clients that are light enough for hundreds of them to hear thousands of messages a second in one process."""

import asyncio
import time
from collections import deque
from dataclasses import dataclass, field
from typing import cast

from tests.emqx import raw

REFUSED = 0x80


@dataclass(slots=True, eq=False)
class Ear(asyncio.Protocol):
    """One client: it connects, subscribes, publishes, and notes when it heard something last.

    Attributes:
        client_id, token: as it connects; the token is its password.
        topic: messages on it are counted.
        heard: how many there were.
        last_s: when the last one came, by `time.perf_counter`; 0: none.
        first_s: when the first one came since `listen_anew`; 0: none.
        connected: whether the connection stands and the broker let it in.
        closed: how often the connection ended.
        refused: how often the broker did not let it in.
    """

    client_id: str
    username: str
    token: str
    topic: bytes
    clean: bool = True
    heard: int = 0
    last_s: float = 0.0
    first_s: float = 0.0
    connected: bool = False
    closed: int = 0
    refused: int = 0
    _transport: asyncio.Transport | None = None
    _buffer: bytearray = field(default_factory=bytearray)
    _answers: deque[asyncio.Future[bytes]] = field(default_factory=deque)
    _packet_id: int = 0
    _message: bytes = b""

    async def connect(self, port: int, seconds: float = 10.0) -> bool:
        """Connect, again if it was connected; False: refused, or cut before an answer."""
        loop = asyncio.get_running_loop()
        self._buffer.clear()
        await loop.create_connection(lambda: self, "127.0.0.1", port)
        packet = raw.connect(
            self.client_id, clean=self.clean, username=self.username, password=self.token, keepalive=0
        )
        answer = await self._ask(packet, seconds)
        self.connected = answer[:1] == b"\x20" and answer[3] == 0
        self.refused += not self.connected
        return self.connected

    async def subscribe(self, topic: str, qos: int = 0, seconds: float = 10.0) -> bool:
        """Subscribe; False: refused, or cut before an answer."""
        answer = await self._ask(raw.subscribe(topic, qos=qos, packet_id=self._next_id()), seconds)
        return answer[:1] == b"\x90" and answer[-1] != REFUSED

    async def publish(self, topic: str, payload: bytes, seconds: float = 10.0) -> bool:
        """Publish with QoS 1; True: acknowledged, whether it was let through or not."""
        answer = await self._ask(raw.publish(topic, payload, 1, self._next_id()), seconds)
        return answer[:1] == b"\x40"

    async def ping(self, seconds: float = 10.0) -> bool:
        """Whether the broker still answers; whatever it sent before has been heard then."""
        return await self._ask(raw.PINGREQ, seconds) == b"\xd0\x00"

    def listen_anew(self) -> None:
        """Forget when messages came."""
        self.first_s = self.last_s = 0.0
        self.heard = 0

    def cut(self) -> None:
        """End the connection without a word."""
        if self._transport is not None:
            self._transport.abort()

    def _next_id(self) -> int:
        self._packet_id = self._packet_id % 60_000 + 1
        return self._packet_id

    async def _ask(self, packet: bytes, seconds: float) -> bytes:
        """Send and give the answer, the next packet that is no message; empty if the connection ends."""
        if self._transport is None:
            return b""
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._answers.append(answer)
        self._transport.write(packet)
        async with asyncio.timeout(seconds):
            return await answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by its class

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self.connected = False
        self.closed += 1
        while self._answers:
            self._answer(b"")

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        buffer = self._buffer
        if not buffer and data[0] == 0x30 and self._again(data):
            # The same message over and over, as it comes hundreds of times a second to each of hundreds.
            self.heard += len(data) // len(self._message)
            self.last_s = now
            return
        buffer += data
        at, size = 0, len(buffer)
        while size - at >= 2:
            length, begin = buffer[at + 1], at + 2
            if length & 0x80:
                if size - at < 3:
                    break
                length, begin = (length & 0x7F) | buffer[at + 2] << 7, at + 3
                assert length < 16_384, "no test sends so much"
            end = begin + length
            if end > size:
                break
            if buffer[at] & 0xF0 == 0x30:
                self._hear(buffer, at, begin, end, now)
            else:
                self._answer(bytes(buffer[at:end]))
            at = end
        del buffer[:at]

    def _again(self, data: bytes) -> bool:
        count, rest = divmod(len(data), len(self._message) or 1)
        return not rest and bool(self.first_s) and data == self._message * count

    def _hear(self, buffer: bytearray, at: int, begin: int, end: int, now: float) -> None:
        behind = begin + 2 + (buffer[begin] << 8 | buffer[begin + 1])
        if buffer[at] & 0x06 and self._transport is not None:
            self._transport.write(b"\x40\x02" + buffer[behind : behind + 2])
        if buffer[begin + 2 : behind] == self.topic:
            self.heard += 1
            self.last_s = now
            self.first_s = self.first_s or now
            self._message = bytes(buffer[at:end])

    def _answer(self, packet: bytes) -> None:
        if self._answers:
            answer = self._answers.popleft()
            if not answer.done():
                answer.set_result(packet)
