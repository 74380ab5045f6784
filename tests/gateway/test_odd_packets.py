"""Packets that brokers let through and MQTT clients stumble over: they must cost nobody the gateway."""

from typing import Any

import paho.mqtt.client as paho
import pytest
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
