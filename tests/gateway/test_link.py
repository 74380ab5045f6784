"""The gateway's session at a real broker."""

from tests.gateway.brokers import Place
from tests.gateway.echo import Echo


async def test_a_request_is_answered(place: Place) -> None:
    echo = Echo()
    await place.linked(echo)
    client = await place.client("a")
    await client.publish(place.request("a", "s1"), b"hello")
    got = await client.gets(1)
    assert [(one.topic, one.payload, one.retain) for one in got] == [
        (f"{place.prefix}mchat/msg/resp/a/s1", b"hello", False)
    ]
