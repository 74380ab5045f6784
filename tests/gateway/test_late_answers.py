"""Answers that come after their request was acknowledged: as whole as any other."""

import asyncio
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes

from gateway.paho_client import properties_of
from tests.emqx.waiting import until
from tests.gateway.brokers import Place
from tests.gateway.echo import Echo


async def test_a_late_answer_has_its_correlation_data_and_holds_nobody_up(five: Place) -> None:
    echo, go = Echo(), asyncio.Event()

    async def late() -> bytes:
        await go.wait()
        return b"late"

    echo.response = lambda arrival: None if arrival.payload == b"late" else arrival.payload
    echo.after = lambda arrival: late if arrival.payload == b"late" else None
    await five.linked(echo)
    got: list[Any] = []
    client = paho.Client(CallbackAPIVersion.VERSION2, f"{five.prefix}v5", protocol=MQTTProtocolVersion.MQTTv5)

    def subscribe(*_: Any) -> None:
        client.subscribe(f"{five.prefix}mchat/msg/resp/v5/+", 1)

    def ask(*_: Any) -> None:
        for payload in (b"late", b"soon"):
            extra = properties_of(PacketTypes.PUBLISH, CorrelationData=b"of " + payload)
            client.publish(five.request("v5", payload.decode()), payload, 1, properties=extra)

    client.on_message = lambda client, data, message: got.append(message)
    client.on_connect, client.on_subscribe = subscribe, ask
    client.connect_async("127.0.0.1", five.port)
    client.loop_start()
    try:
        await until(lambda: got)
        assert [one.payload for one in got] == [b"soon"]
        go.set()
        await until(lambda: len(got) == 2)
    finally:
        client.disconnect()
        client.loop_stop()
    assert [(one.payload, one.properties.CorrelationData) for one in got] == [
        (b"soon", b"of soon"),
        (b"late", b"of late"),
    ]
