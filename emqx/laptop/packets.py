"""The control packets of MQTT 3.1.1: a client's as values, the broker's as bytes (chapter 3)."""

from typing import NamedTuple

ACCEPTED = 0
UNACCEPTABLE_PROTOCOL = 1
IDENTIFIER_REJECTED = 2
SERVER_UNAVAILABLE = 3
BAD_USER_NAME_OR_PASSWORD = 4
NOT_AUTHORIZED = 5

SUBSCRIPTION_REFUSED = 0x80

PINGRESP = b"\xd0\x00"
# MQTT 5.0 section 3.2, reason 0x84: the one answer that a client of version 5 understands.
CONNACK_UNSUPPORTED_V5 = b"\x20\x03\x00\x84\x00"


class WillMessage(NamedTuple):
    """The message that a client leaves behind (MQTT 3.1.1 section 3.1.2.5)."""

    topic: str
    payload: bytes
    qos: int
    retain: bool


class Connect(NamedTuple):
    """CONNECT. Names stay bytes: whether they are UTF-8 is for admission to judge, not for the codec."""

    level: int
    client_id: bytes = b""
    clean_session: bool = True
    keepalive: int = 0
    username: bytes | None = None
    password: bytes | None = None
    will: WillMessage | None = None
    is_bridge: bool = False


class Publish(NamedTuple):
    """PUBLISH; ``packet_id`` is 0 for QoS 0."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    dup: bool
    packet_id: int


class Puback(NamedTuple):
    """PUBACK: the end of a QoS 1 message."""

    packet_id: int


class Pubrec(NamedTuple):
    """PUBREC: a QoS 2 message has arrived."""

    packet_id: int


class Pubrel(NamedTuple):
    """PUBREL: the sender forgets a QoS 2 message."""

    packet_id: int


class Pubcomp(NamedTuple):
    """PUBCOMP: the end of a QoS 2 message."""

    packet_id: int


class Subscribe(NamedTuple):
    """SUBSCRIBE with its (filter, requested QoS) pairs."""

    packet_id: int
    filters: tuple[tuple[str, int], ...]


class Unsubscribe(NamedTuple):
    """UNSUBSCRIBE with its filters."""

    packet_id: int
    filters: tuple[str, ...]


class Pingreq(NamedTuple):
    """PINGREQ."""


class Disconnect(NamedTuple):
    """DISCONNECT: the client goes on purpose."""


Packet = (
    Connect | Publish | Puback | Pubrec | Pubrel | Pubcomp | Subscribe | Unsubscribe | Pingreq | Disconnect
)


def connack(code: int, *, session_present: bool = False) -> bytes:
    """CONNACK with a return code of MQTT 3.1.1 section 3.2.2.3."""
    return bytes((0x20, 2, session_present, code))


def publish(
    topic: str, payload: bytes, qos: int, *, retain: bool = False, dup: bool = False, packet_id: int = 0
) -> bytes:
    """PUBLISH as the broker sends it; ``packet_id`` counts for QoS 1 and 2 only."""
    name = topic.encode()
    length = 2 + len(name) + (2 if qos else 0) + len(payload)
    return b"".join(
        (
            bytes((0x30 | dup << 3 | qos << 1 | retain,)),
            _remaining_length(length),
            len(name).to_bytes(2, "big"),
            name,
            packet_id.to_bytes(2, "big") if qos else b"",
            payload,
        )
    )


def puback(packet_id: int) -> bytes:
    """PUBACK."""
    return b"\x40\x02" + packet_id.to_bytes(2, "big")


def pubrec(packet_id: int) -> bytes:
    """PUBREC."""
    return b"\x50\x02" + packet_id.to_bytes(2, "big")


def pubrel(packet_id: int) -> bytes:
    """PUBREL."""
    return b"\x62\x02" + packet_id.to_bytes(2, "big")


def pubcomp(packet_id: int) -> bytes:
    """PUBCOMP."""
    return b"\x70\x02" + packet_id.to_bytes(2, "big")


def suback(packet_id: int, codes: list[int]) -> bytes:
    """SUBACK: a granted QoS or SUBSCRIPTION_REFUSED for each filter."""
    return b"\x90" + _remaining_length(2 + len(codes)) + packet_id.to_bytes(2, "big") + bytes(codes)


def unsuback(packet_id: int) -> bytes:
    """UNSUBACK."""
    return b"\xb0\x02" + packet_id.to_bytes(2, "big")


def _remaining_length(length: int) -> bytes:
    encoded = bytearray()
    while length > 0x7F:
        encoded.append(length & 0x7F | 0x80)
        length >>= 7
    encoded.append(length)
    return bytes(encoded)
