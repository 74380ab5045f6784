"""The bare echo of the gateway's bars: paho alone, one delivery and one constant response for each request.

`python -m tests.benchmarks.mqtt_echo PORT`. It reads nothing of a request but where its answer goes.
"""

import socket
import sys
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.properties import Properties

RESPONSE = b'{"code":0,"message":"ok","data":{"msg_id":"msg_00000000000000000000000000"},"seq_id":"constant"}'


def main() -> None:
    """Echo until it is killed."""
    client = mqtt.Client(
        CallbackAPIVersion.VERSION2, client_id="echo", protocol=MQTTProtocolVersion.MQTTv5, manual_ack=True
    )
    client.max_inflight_messages_set(0)

    def connected(*_: Any) -> None:
        link = client.socket()
        assert isinstance(link, socket.socket)
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.subscribe("$share/gateway/echo/mchat/msg/req/+/+", qos=1)

    def arrived(it: mqtt.Client, _: Any, message: mqtt.MQTTMessage) -> None:
        name, __, seq = message.topic.removeprefix("echo/mchat/msg/req/").partition("/")
        it.publish(f"echo/mchat/inbox/{name}", message.payload, qos=1)
        it.publish(f"echo/mchat/msg/resp/{name}/{seq}", RESPONSE, qos=1)
        it.ack(message.mid, message.qos)

    client.on_connect = connected
    client.on_message = arrived
    client.on_subscribe = lambda *_: print("up", flush=True)
    told = Properties(1)  # type: ignore[no-untyped-call]
    told.ReceiveMaximum = 65_535
    client.connect("127.0.0.1", int(sys.argv[1]), properties=told)
    client.loop_forever()


if __name__ == "__main__":
    main()
