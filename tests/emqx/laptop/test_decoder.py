import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emqx.laptop import packets
from emqx.laptop.decoder import MalformedPacketError, PacketReader, PacketTooLargeError
from tests.emqx import raw

LIMIT = 4096
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


def read(data: bytes) -> list[packets.Packet]:
    return list(PacketReader(LIMIT).feed(data))


def test_connect() -> None:
    will = ("mchat/status/e", b"gone", 1, True)
    data = raw.connect("客户端", clean=False, username="张三", password=b"\xff\x00", keepalive=60, will=will)
    assert read(data) == [
        packets.Connect(
            level=4,
            client_id="客户端".encode(),
            clean_session=False,
            keepalive=60,
            username="张三".encode(),
            password=b"\xff\x00",
            will=packets.WillMessage(*will),
        )
    ]


def test_connect_keeps_names_that_are_not_utf8() -> None:
    assert read(raw.connect(b"\xff")) == [
        packets.Connect(level=4, client_id=b"\xff", username=b"e1", password=b"ok")
    ]


def test_bridge_bit_is_not_part_of_the_level() -> None:
    (packet,) = read(raw.connect(level=0x84))
    assert isinstance(packet, packets.Connect)
    assert (packet.level, packet.is_bridge) == (4, True)


@pytest.mark.parametrize("level", [3, 5, 6])
def test_connect_of_another_version_is_read_as_far_as_its_level(level: int) -> None:
    assert read(raw.packet(0x10, raw.text("MQTT"), bytes((level,)), b"anything")) == [
        packets.Connect(level=level)
    ]


def test_the_other_packets() -> None:
    data = b"".join(
        (
            raw.publish("t", b"0"),
            raw.publish("t", b"1", 1, 7, flags=0x09),
            raw.puback(7),
            raw.packet(0x50, raw.number(8)),
            raw.packet(0x62, raw.number(8)),
            raw.packet(0x70, raw.number(8)),
            raw.subscribe("a", "b/#", qos=2, packet_id=9),
            raw.unsubscribe("a", packet_id=10),
            raw.PINGREQ,
            raw.DISCONNECT,
        )
    )
    assert read(data) == [
        packets.Publish("t", b"0", 0, False, False, 0),
        packets.Publish("t", b"1", 1, True, True, 7),
        packets.Puback(7),
        packets.Pubrec(8),
        packets.Pubrel(8),
        packets.Pubcomp(8),
        packets.Subscribe(9, (("a", 2), ("b/#", 2))),
        packets.Unsubscribe(10, ("a",)),
        packets.Pingreq(),
        packets.Disconnect(),
    ]


@pytest.mark.parametrize(
    "data",
    [
        raw.connect(protocol="mqtt"),
        raw.connect(flags=0x01),
        raw.connect(username=None),  # a password without a user name
        raw.connect(flags=0x08),  # will QoS without a will
        raw.connect(will=("t", b"", 3, False)),
        raw.connect() + raw.packet(0x10, raw.text("MQTT"), b"\x04"),  # cut off
        raw.packet(0x10, raw.connect()[2:], b"more"),
        raw.packet(0x11, raw.connect()[2:]),
        raw.packet(0x36, raw.text("t"), raw.number(1)),  # QoS 3
        raw.packet(0x38, raw.text("t")),  # DUP with QoS 0
        raw.packet(0x32, raw.text("t"), raw.number(0)),
        raw.packet(0x30, raw.text(b"\xff")),
        raw.packet(0x30, raw.text(b"\xed\xa0\x80")),  # a surrogate
        raw.packet(0x30, b"\x00\x05ab"),
        raw.packet(0x82, raw.number(1)),
        raw.packet(0x82, raw.number(1), raw.text("t"), b"\x03"),
        raw.packet(0x80, raw.number(1), raw.text("t"), b"\x01"),
        raw.packet(0xA2, raw.number(1)),
        raw.packet(0x20, b"\x00\x00"),  # CONNACK
        raw.packet(0xD0),
        raw.packet(0x00),
        raw.packet(0xF0),
        raw.packet(0xC0, b"x"),
        b"\xc0\xff\xff\xff\xff\x01",
    ],
)
def test_malformed(data: bytes) -> None:
    with pytest.raises(MalformedPacketError):
        read(data)


def test_too_large_is_refused_before_it_is_there() -> None:
    with pytest.raises(PacketTooLargeError, match=r"5000 bytes is over the limit of 4096"):
        read(raw.publish("t", bytes(4997))[:10])


@given(st.lists(st.tuples(TEXT, st.binary(max_size=300)), max_size=5), st.data())
def test_packets_survive_any_cut(messages: list[tuple[str, bytes]], data: st.DataObject) -> None:
    stream = b"".join(raw.publish(topic, payload, 1, 5) for topic, payload in messages)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    reader = PacketReader(LIMIT)
    parts = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    got = [packet for part in parts for packet in reader.feed(part)]
    assert got == [packets.Publish(topic, payload, 1, False, False, 5) for topic, payload in messages]


@given(st.binary(max_size=200))
def test_any_bytes_are_packets_or_malformed(data: bytes) -> None:
    with contextlib.suppress(MalformedPacketError, PacketTooLargeError):
        read(data)


@given(TEXT, st.binary(max_size=20_000), st.integers(0, 2), st.booleans(), st.booleans())
def test_what_is_written_can_be_read(topic: str, payload: bytes, qos: int, retain: bool, dup: bool) -> None:
    dup = dup and qos > 0
    data = packets.publish(topic, payload, qos, retain=retain, dup=dup, packet_id=9 if qos else 0)
    (packet,) = PacketReader(40_000).feed(data)
    assert packet == packets.Publish(topic, payload, qos, retain, dup, 9 if qos else 0)
