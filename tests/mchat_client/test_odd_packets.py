"""What others may write into a packet must not cost whoever reads it the connection."""

import asyncio
import json

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from mchat_client import Status
from tests.mchat_client.conftest import Place

MOMENT = "2026-01-01T00:00:00.000Z"


@pytest.mark.parametrize("mark", ["\N{ZERO WIDTH NO-BREAK SPACE}", "b"], ids=["odd", "plain"])
async def test_a_status_with_properties_that_paho_does_not_read_is_heard(
    mosquitto: Place, mosquitto_port: int, mark: str
) -> None:
    """U+FEFF is a character like others (MQTT 5, 1.5.4), and people publish their status themselves."""
    odd = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    odd.UserProperty = ("a", mark)
    name = f"odd{ord(mark)}"
    writer = paho.Client(CallbackAPIVersion.VERSION2, name, protocol=MQTTProtocolVersion.MQTTv5)
    body = json.dumps({"status": "online", "updated_at": MOMENT}).encode()

    def write(*_: object) -> None:
        writer.publish(f"mchat/status/{name}", body, 1, properties=odd)

    reader = await mosquitto.connected("reader", version="5")
    async with reader.presence(name) as statuses, asyncio.timeout(10):
        writer.on_connect = write
        writer.connect_async("127.0.0.1", mosquitto_port)
        writer.loop_start()
        try:
            first = await anext(statuses)
        finally:
            writer.disconnect()
            writer.loop_stop()
    assert isinstance(first, Status)
    assert (first.employee_id, first.status) == (name, "online")
