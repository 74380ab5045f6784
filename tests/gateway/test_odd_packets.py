"""Packets that brokers let through and MQTT clients stumble over: they must cost nobody the gateway."""

from typing import Any, Literal

import paho.mqtt.client as paho
import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.exception import MalformedPacket
from paho.mqtt.packettypes import PacketTypes

from gateway.paho_client import new_client, properties_of
from tests.emqx.waiting import until
from tests.gateway.brokers import Place, UntouchedSettings
from tests.gateway.echo import Echo

MARK = "\N{ZERO WIDTH NO-BREAK SPACE}"
"""U+FEFF: a character like others in MQTT 5 (1.5.4), which paho does not read."""


def properties(**values: Any) -> Any:
    return properties_of(PacketTypes.PUBLISH, **values)


async def asking(place: Place, name: str, extra: Any) -> list[Any]:
    """Ask by a client of MQTT 5, with properties; returns what comes back, a message or none."""
    got: list[Any] = []
    client = paho.Client(
        CallbackAPIVersion.VERSION2, f"{place.prefix}{name}", protocol=MQTTProtocolVersion.MQTTv5
    )

    def subscribe(*_: Any) -> None:
        client.subscribe(f"{place.prefix}mchat/msg/resp/{name}/+", 1)

    def ask(*_: Any) -> None:
        client.publish(place.request(name, "s0"), b"x", 1, properties=extra)

    client.on_message = lambda client, data, message: got.append(message)
    client.on_connect, client.on_subscribe = subscribe, ask
    client.connect_async("127.0.0.1", place.port)
    client.loop_start()
    try:
        await until(lambda: got)
    finally:
        client.disconnect()
        client.loop_stop()
    return got


@pytest.mark.parametrize(
    "extra",
    [
        properties(UserProperty=("a", MARK)),
        properties(ResponseTopic=f"else/{MARK}"),
        properties(ContentType=MARK, CorrelationData=b"\0\1"),
    ],
    ids=["user-property", "response-topic", "content-type"],
)
async def test_properties_that_cannot_be_read_cost_nobody_the_connection(five: Place, extra: Any) -> None:
    link = await five.linked(Echo())
    odd = await asking(five, "odd", extra)
    assert [one.topic for one in odd] == [f"{five.prefix}mchat/msg/resp/odd/s0"]
    plain = await asking(five, "plain", properties(UserProperty=("a", "b"), CorrelationData=b"\0\1"))
    assert plain[0].properties.CorrelationData == b"\0\1", "who writes what can be read gets it back"
    assert (link.figures.lost, link.figures.connections) == (0, 1)


def test_a_packet_that_is_none_still_ends_the_connection() -> None:
    client: Any = new_client(UntouchedSettings(protocol="5"), "secret", clean=True)
    client._in_packet["command"], client._in_packet["packet"] = 0x32, bytearray(b"\0\1t\0\1")
    with pytest.raises(MalformedPacket):
        client._handle_publish()


def acknowledged(client: Any, packet: bytes) -> tuple[list[tuple[int, int]], Any]:
    """Let a client read a PUBACK while packets 1 and 2 are on their way; what it tells, and how that ended."""
    told: list[tuple[int, int]] = []
    client.on_publish = lambda client, data, mid, code, properties: told.append((mid, code.value))
    for mid in (1, 2):
        message = paho.MQTTMessage(mid=mid)
        message.qos = 1
        client._out_messages[mid] = message
    client._inflight_messages = 2
    client._in_packet["command"], client._in_packet["packet"] = 0x40, bytearray(packet)
    try:
        ended: Any = client._handle_pubackcomp("PUBACK")
    except MalformedPacket as error:
        ended = str(error)
    return told, (ended, sorted(client._out_messages), client._inflight_messages)


PUBACKS = st.one_of(
    st.binary(max_size=8),
    st.builds(
        lambda mid, code, rest: bytes((0, mid, code)) + rest,
        st.integers(0, 3),
        st.sampled_from([0x00, 0x10, 0x11, 0x80, 0x87, 0x97, 0xFF]) | st.integers(0, 255),
        st.sampled_from([b"", b"\0", b"\0\0", b"\x04\x1f\0\x01x", b"\x01"]),
    ),
    st.builds(lambda mid: bytes((0, mid)), st.integers(0, 3)),
)


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
@given(packet=PUBACKS)
def test_an_acknowledgement_is_read_as_paho_reads_it(protocol: Literal["5", "3.1.1"], packet: bytes) -> None:
    """Ours is only faster for those without properties."""
    ours = new_client(UntouchedSettings(protocol=protocol), "secret", clean=True)
    version = MQTTProtocolVersion.MQTTv5 if protocol == "5" else MQTTProtocolVersion.MQTTv311
    theirs = paho.Client(CallbackAPIVersion.VERSION2, protocol=version)
    theirs.max_inflight_messages = 0
    assert acknowledged(ours, packet) == acknowledged(theirs, packet)


def test_most_acknowledgements_take_the_short_way(monkeypatch: pytest.MonkeyPatch) -> None:
    long: list[bytes] = []
    monkeypatch.setattr(
        paho.Client, "_handle_pubackcomp", lambda client, cmd: long.append(client._in_packet["packet"])
    )
    for packet in (b"\0\1", b"\0\1\0\0", b"\0\1\x10\0", b"\0\1\x87\0"):
        acknowledged(new_client(UntouchedSettings(protocol="5"), "secret", clean=True), packet)
    assert long == [b"\0\1\x87\0"], "mosquitto's, EMQX's, EMQX's where nobody listens; a refusal"


def arrived(client: Any, command: int, packet: bytes) -> tuple[list[Any], Any]:
    """Let a client read a PUBLISH; what it tells of it, and how that ended."""
    told: list[Any] = []

    def on_message(client: Any, data: Any, message: paho.MQTTMessage) -> None:
        found = message.properties
        topic, properties = message._topic, None if found is None else found.json()  # type: ignore[no-untyped-call]
        told.append(
            (topic, message.mid, message.qos, message.retain, message.dup, bytes(message.payload), properties)
        )

    client.on_message = on_message
    client._in_packet["command"], client._in_packet["packet"] = command, bytearray(packet)
    try:
        ended: Any = client._handle_publish()
    except MalformedPacket as error:
        ended = str(error)
    return told, ended


PUBLISHES = st.one_of(
    st.binary(max_size=12),
    st.builds(
        lambda topic, middle, payload: len(topic).to_bytes(2, "big") + topic + middle + payload,
        st.binary(max_size=4),
        st.sampled_from([b"\0\1\0", b"\0\2\x05\x09\0\x02ab", b"\0\3\x02\x01\x01", b"\0", b"\0\1\x01"]),
        st.binary(max_size=4),
    ),
)


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
@given(command=st.sampled_from([0x30, 0x31, 0x32, 0x33, 0x3A, 0x3B]), packet=PUBLISHES)
def test_a_message_is_read_as_paho_reads_it(
    protocol: Literal["5", "3.1.1"], command: int, packet: bytes
) -> None:
    """Ours is only faster for those without properties; what paho cannot read at all is another test's."""
    ours = new_client(UntouchedSettings(protocol=protocol), "secret", clean=True)
    version = MQTTProtocolVersion.MQTTv5 if protocol == "5" else MQTTProtocolVersion.MQTTv311
    theirs = paho.Client(CallbackAPIVersion.VERSION2, protocol=version, manual_ack=True)
    expected = arrived(theirs, command, packet)
    if not isinstance(expected[1], str):
        assert arrived(ours, command, packet) == expected


def test_most_messages_take_the_short_way(monkeypatch: pytest.MonkeyPatch) -> None:
    long: list[bytes] = []
    monkeypatch.setattr(
        paho.Client, "_handle_publish", lambda client: long.append(bytes(client._in_packet["packet"]))
    )
    for packet in (b"\0\1t\0\1\0payload", b"\0\1t\0\1\x05\x09\0\x02abpayload"):
        arrived(new_client(UntouchedSettings(protocol="5"), "secret", clean=True), 0x32, packet)
    assert long == [b"\0\1t\0\1\x05\x09\0\x02abpayload"]
