"""A client of bare bytes, for what paho would never send and for seeing exactly what comes back."""

import asyncio
from typing import Any


def packet(header: int, *fields: bytes) -> bytes:
    body = b"".join(fields)
    length, encoded = len(body), bytearray()
    while length > 0x7F:
        encoded.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes((header, *encoded, length)) + body


def text(value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return number(len(data)) + data


def number(value: int) -> bytes:
    return value.to_bytes(2, "big")


def connect(
    client_id: str | bytes = "c1",
    *,
    clean: bool = True,
    username: str | bytes | None = "e1",
    password: str | bytes | None = "ok",  # noqa: S107 - of a fixture
    keepalive: int = 0,
    will: tuple[str, bytes, int, bool] | None = None,
    protocol: str = "MQTT",
    level: int = 4,
    flags: int = 0,
) -> bytes:
    fields = [text(client_id)]
    flags |= clean << 1
    if will is not None:
        flags |= 0x04 | will[2] << 3 | will[3] << 5
        fields += [text(will[0]), text(will[1])]
    if username is not None:
        flags |= 0x80
        fields.append(text(username))
    if password is not None:
        flags |= 0x40
        fields.append(text(password))
    return packet(0x10, text(protocol), bytes((level, flags)), number(keepalive), *fields)


def publish(topic: str, payload: bytes = b"x", qos: int = 0, packet_id: int = 1, *, flags: int = 0) -> bytes:
    ident = number(packet_id) if qos else b""
    return packet(0x30 | qos << 1 | flags, text(topic), ident, payload)


def subscribe(*filters: str, qos: int = 1, packet_id: int = 1) -> bytes:
    return packet(0x82, number(packet_id), *(text(name) + bytes((qos,)) for name in filters))


def unsubscribe(*filters: str, packet_id: int = 1) -> bytes:
    return packet(0xA2, number(packet_id), *(text(name) for name in filters))


def puback(packet_id: int) -> bytes:
    return packet(0x40, number(packet_id))


PINGREQ = packet(0xC0)
DISCONNECT = packet(0xE0)


class RawClient:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def send(self, *packets: bytes) -> None:
        self._writer.write(b"".join(packets))

    async def receive(self, seconds: float = 10.0) -> bytes:
        """The next whole packet; none = the broker closed the connection."""
        try:
            async with asyncio.timeout(seconds):
                head = await self._reader.readexactly(2)
                length, shift = head[1] & 0x7F, 7
                while head[-1] & 0x80:
                    head += await self._reader.readexactly(1)
                    length |= (head[-1] & 0x7F) << shift
                    shift += 7
                return head + await self._reader.readexactly(length)
        except (asyncio.IncompleteReadError, ConnectionError):
            return b""

    async def ask(self, *packets: bytes) -> bytes:
        """Send, and give the next packet that comes."""
        self.send(*packets)
        return await self.receive()

    async def closed(self) -> bool:
        """Whether the broker has nothing more to say and closes."""
        return await self.receive() == b""

    async def silent(self) -> bool:
        """Whether nothing was sent before now: the answer to a ping comes next."""
        return await self.ask(PINGREQ) == b"\xd0\x00"

    async def close(self) -> None:
        self._writer.close()


def payload_of(packet: bytes) -> bytes:
    """The payload of a short PUBLISH."""
    qos = packet[0] >> 1 & 3
    return packet[4 + packet[3] + (2 if qos else 0) :]


def packet_id_of(packet: bytes) -> int:
    """The packet id of a short PUBLISH of QoS 1 or 2."""
    return int.from_bytes(packet[4 + packet[3] : 6 + packet[3]], "big")


class RawClients:
    """Makes bare clients of one broker and ends them all."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._made: list[RawClient] = []

    async def make(self) -> RawClient:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._made.append(RawClient(reader, writer))
        return self._made[-1]

    async def connected(self, client_id: str = "c1", *, present: bool = False, **options: Any) -> RawClient:
        client = await self.make()
        answer = await client.ask(connect(client_id, **options))
        assert answer == bytes((0x20, 2, present, 0)), answer
        return client

    async def stop(self) -> None:
        for client in self._made:
            await client.close()
