"""From bytes to packets: what a client may send under MQTT 3.1.1, and nothing else (chapters 2 and 3)."""

from collections.abc import Callable, Iterator

from emqx.errors import EmqxError
from emqx.laptop.packets import (
    Connect,
    Disconnect,
    Packet,
    Pingreq,
    Puback,
    Pubcomp,
    Publish,
    Pubrec,
    Pubrel,
    Subscribe,
    Unsubscribe,
    WillMessage,
)

PROTOCOL_LEVEL = 4
BRIDGE_BIT = 0x80


class MalformedPacketError(EmqxError):
    """The bytes are not a packet of MQTT 3.1.1; the connection has to end."""


class PacketTooLargeError(EmqxError):
    """The announced packet is over the limit; the connection has to end before it is read."""


class _Body:
    """A cursor over the bytes behind the fixed header."""

    __slots__ = ("_data", "_position")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    @property
    def exhausted(self) -> bool:
        return self._position == len(self._data)

    def take(self, count: int) -> bytes:
        taken = self._data[self._position : self._position + count]
        if len(taken) < count:
            raise MalformedPacketError(f"a field of {count} bytes is cut off after {len(taken)}")
        self._position += count
        return taken

    def rest(self) -> bytes:
        taken = self._data[self._position :]
        self._position = len(self._data)
        return taken

    def byte(self) -> int:
        return self.take(1)[0]

    def number(self) -> int:
        return int.from_bytes(self.take(2), "big")

    def binary(self) -> bytes:
        return self.take(self.number())

    def text(self) -> str:
        try:
            return self.binary().decode()
        except UnicodeDecodeError:
            raise MalformedPacketError("a topic is not UTF-8") from None

    def packet_id(self) -> int:
        number = self.number()
        if number == 0:
            raise MalformedPacketError("packet identifier 0 is reserved (MQTT 3.1.1 section 2.3.1)")
        return number

    def qos(self) -> int:
        level = self.byte()
        if level > 2:
            raise MalformedPacketError(f"QoS {level} does not exist")
        return level


def _connect(flags: int, body: _Body) -> Connect:
    if (name := body.binary()) not in (b"MQTT", b"MQIsdp"):
        raise MalformedPacketError(f"protocol name {name!r} is not MQTT")
    version = body.byte()
    level = version & ~BRIDGE_BIT
    if level != PROTOCOL_LEVEL:
        body.rest()
        return Connect(level=level)
    bits, keepalive = body.byte(), body.number()
    if bits & 0x01:
        raise MalformedPacketError("the reserved CONNECT flag is set (MQTT 3.1.1 section 3.1.2.3)")
    if bits & 0x40 and not bits & 0x80:
        raise MalformedPacketError("a password without a user name (MQTT 3.1.1 section 3.1.2.9)")
    client_id = body.binary()
    will = None
    if bits & 0x04:
        will = WillMessage(body.text(), body.binary(), bits >> 3 & 0x03, bool(bits & 0x20))
    if (will is None and bits & 0x38) or (will is not None and will.qos > 2):
        raise MalformedPacketError(f"will flags 0x{bits & 0x3C:02x} contradict each other (section 3.1.2.6)")
    return Connect(
        level=level,
        client_id=client_id,
        clean_session=bool(bits & 0x02),
        keepalive=keepalive,
        username=body.binary() if bits & 0x80 else None,
        password=body.binary() if bits & 0x40 else None,
        will=will,
        is_bridge=bool(version & BRIDGE_BIT),
    )


def _publish(flags: int, body: _Body) -> Publish:
    qos = flags >> 1 & 0x03
    if qos > 2 or (qos == 0 and flags & 0x08):
        raise MalformedPacketError(f"PUBLISH flags 0x{flags:x} are none (MQTT 3.1.1 section 3.3.1)")
    topic = body.text()
    packet_id = body.packet_id() if qos else 0
    return Publish(topic, body.rest(), qos, bool(flags & 0x01), bool(flags & 0x08), packet_id)


def _subscribe(flags: int, body: _Body) -> Subscribe:
    packet_id = body.packet_id()
    filters = []
    while not body.exhausted:
        filters.append((body.text(), body.qos()))
    if not filters:
        raise MalformedPacketError("a SUBSCRIBE without a filter (MQTT 3.1.1 section 3.8.3)")
    return Subscribe(packet_id, tuple(filters))


def _unsubscribe(flags: int, body: _Body) -> Unsubscribe:
    packet_id = body.packet_id()
    filters = []
    while not body.exhausted:
        filters.append(body.text())
    if not filters:
        raise MalformedPacketError("an UNSUBSCRIBE without a filter (MQTT 3.1.1 section 3.10.3)")
    return Unsubscribe(packet_id, tuple(filters))


# By packet type: the flags that it must carry (None: its own business) and its reader.
_READERS: dict[int, tuple[int | None, Callable[[int, _Body], Packet]]] = {
    1: (0, _connect),
    3: (None, _publish),
    4: (0, lambda flags, body: Puback(body.packet_id())),
    5: (0, lambda flags, body: Pubrec(body.packet_id())),
    6: (2, lambda flags, body: Pubrel(body.packet_id())),
    7: (0, lambda flags, body: Pubcomp(body.packet_id())),
    8: (2, _subscribe),
    10: (2, _unsubscribe),
    12: (0, lambda flags, body: Pingreq()),
    14: (0, lambda flags, body: Disconnect()),
}


def decode(header: int, data: bytes) -> Packet:
    """The packet with this first byte and these bytes behind its length.

    Raises:
        MalformedPacketError: it is none that a client may send.
    """
    expected, reader = _READERS.get(header >> 4, (None, None))
    if reader is None or (expected is not None and header & 0x0F != expected):
        raise MalformedPacketError(f"no client may send a packet that begins with 0x{header:02x}")
    body = _Body(data)
    packet = reader(header & 0x0F, body)
    if not body.exhausted:
        raise MalformedPacketError(f"bytes follow the end of a {type(packet).__name__.upper()}")
    return packet


class PacketReader:
    """Cuts a stream of bytes into packets; keeps what is not complete yet.

    Args:
        max_size: bytes that a packet may announce behind its fixed header.
    """

    def __init__(self, max_size: int) -> None:
        self._max_size = max_size
        self._pending = b""

    def feed(self, data: bytes) -> Iterator[Packet]:
        """The packets that are complete with these bytes.

        Raises:
            MalformedPacketError: what came is not MQTT 3.1.1.
            PacketTooLargeError: a packet announces more than ``max_size`` bytes.
        """
        stream = self._pending + data
        start = 0
        try:
            while (frame := self._frame(stream, start)) is not None:
                header, (body, start) = start, frame
                yield decode(stream[header], stream[body:start])
        finally:
            self._pending = stream[start:]

    def _frame(self, stream: bytes, start: int) -> tuple[int, int] | None:
        length = 0
        for position, byte in enumerate(stream[start + 1 : start + 5]):
            length |= (byte & 0x7F) << 7 * position
            if not byte & 0x80:
                if length > self._max_size:
                    raise PacketTooLargeError(
                        f"a packet of {length} bytes is over the limit of {self._max_size}"
                    )
                body = start + 2 + position
                return (body, body + length) if len(stream) >= body + length else None
        if len(stream) >= start + 5:
            raise MalformedPacketError(
                "a remaining length of more than four bytes (MQTT 3.1.1 section 2.2.3)"
            )
        return None
