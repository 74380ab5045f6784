"""What tests of the link at real brokers share."""

from gateway.buffered_socket import BufferedSocket
from gateway.link import Link
from tests.emqx.mqtt import MqttClient


def seqs(count: int) -> list[str]:
    return [f"s{number}" for number in range(count)]


def has_all(client: MqttClient, wanted: list[str]) -> bool:
    return {one.payload.decode() for one in client.received} == set(wanted)


def socket_of(link: Link) -> BufferedSocket:
    assert link._connection is not None
    sock = link._connection.wire._client.socket()
    assert isinstance(sock, BufferedSocket)
    return sock
