"""paho-mqtt's client as the gateway uses it: one session for each instance, acknowledged by hand, nothing by itself."""

from __future__ import annotations

import socket
import ssl
from typing import Any, Final, Literal

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.exception import MalformedPacket, MQTTException
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties, VariableByteIntegers
from paho.mqtt.reasoncodes import ReasonCode

from gateway.buffered_socket import BufferedSocket
from gateway.settings import GatewaySettings

_QOS: Final = 0x06
"""The bits of a PUBLISH packet's first byte that say its QoS."""

_TAKEN: Final = {code: ReasonCode(PacketTypes.PUBACK, identifier=code) for code in (0x00, 0x10)}
"""What a broker says that has a publish; 0x10: and nobody who would get it."""

_NONE: Final = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]


def new_client(settings: GatewaySettings, secret: str, *, clean: bool) -> paho.Client:
    """Make a client that is not connected yet.

    Args:
        settings: where the broker is, and as whom to connect.
        secret: the credential.
        clean: throw away the session that the broker may have.

    Raises:
        OSError: the file of the authorities cannot be read.
    """
    five = settings.protocol == "5"
    client = _Client(
        CallbackAPIVersion.VERSION2,
        settings.client_id,
        None if five else clean,
        protocol=MQTTProtocolVersion.MQTTv5 if five else MQTTProtocolVersion.MQTTv311,
        reconnect_on_failure=False,
        manual_ack=True,
    )
    client.username_pw_set(settings.username, secret)
    client.connect_timeout = settings.connect_timeout
    client.max_inflight_messages = 0  # Whoever publishes counts.
    if settings.tls:
        context = ssl.create_default_context(cafile=settings.tls_ca)
        context.sslsocket_class = _TlsSocket
        client.tls_set_context(context)
    return client


def connect(client: paho.Client, settings: GatewaySettings, *, clean: bool) -> MQTTErrorCode:
    """Open the connection and have CONNECT ready to be sent; waits for the network, so not on the event loop.

    Raises:
        OSError: the broker cannot be reached, or its certificate is not good.
    """
    if settings.protocol != "5":
        return client.connect(settings.host, settings.port, settings.keepalive)
    wishes = properties_of(
        PacketTypes.CONNECT,
        SessionExpiryInterval=0 if clean else settings.session_expiry,
        ReceiveMaximum=settings.receive_maximum,
    )
    return client.connect(
        settings.host, settings.port, settings.keepalive, clean_start=clean, properties=wishes
    )


def properties_of(kind: int, **values: Any) -> Properties:
    """Make the MQTT 5 properties of a packet of this kind."""
    properties = Properties(kind)  # type: ignore[no-untyped-call]
    for name, value in values.items():
        setattr(properties, name, value)
    return properties


class _Client(paho.Client):
    """Reads and writes through a buffer, and reads what brokers let through.

    What has no properties, as most packets, is read without paho's objects of properties, which are a fifth of what a
    relayed message costs. paho has no public places to say all this; tests tell when these are gone.
    """

    def _create_socket(self) -> BufferedSocket:
        sock: Any = super()._create_socket()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # Without it an answer takes 44 ms.
        return BufferedSocket(sock)

    def _handle_pubackcomp(self, cmd: Literal["PUBACK", "PUBCOMP"]) -> MQTTErrorCode:
        packet = self._in_packet["packet"]
        plain = cmd == "PUBACK" and (
            len(packet) == 2
            or (len(packet) == 4 and not packet[3] and self._protocol == MQTTProtocolVersion.MQTTv5)
        )
        reason = _TAKEN.get(packet[2] if len(packet) > 2 else 0) if plain else None
        if reason is None:
            return super()._handle_pubackcomp(cmd)
        packet_id = int.from_bytes(packet[:2])
        with self._out_message_mutex:
            if packet_id in self._out_messages:
                return self._do_on_publish(packet_id, reason, _NONE)
        return MQTTErrorCode.MQTT_ERR_SUCCESS

    def _plain_publish(self) -> paho.MQTTMessage | None:
        """Read a PUBLISH of MQTT 5 and QoS 1 without properties, as most are; None: it is another."""
        packet, command = self._in_packet["packet"], self._in_packet["command"]
        begin = 2 + int.from_bytes(packet[:2])
        if (
            self._protocol != MQTTProtocolVersion.MQTTv5
            or command & _QOS != 2
            or packet[begin + 2 : begin + 3] != b"\0"
        ):
            return None
        message = paho.MQTTMessage(int.from_bytes(packet[begin : begin + 2]), bytes(packet[2:begin]))
        message.qos, message.dup, message.retain = 1, bool(command & 8), bool(command & 1)
        message.properties = _NONE
        message.payload = bytes(packet[begin + 3 :])
        return message

    def _handle_publish(self) -> MQTTErrorCode:
        message = self._plain_publish()
        if message is not None:
            self._handle_on_message(message)
            return MQTTErrorCode.MQTT_ERR_SUCCESS
        try:
            return super()._handle_publish()
        except MQTTException:
            if self._protocol != MQTTProtocolVersion.MQTTv5:
                raise
            # Its properties are the sender's, with texts that paho reads more strictly than brokers do, and than MQTT
            # says (U+FEFF). The connection would end over it, and the next: the broker sends it again, to each gateway.
            self._in_packet["packet"] = _without_properties(
                self._in_packet["packet"], identified=bool(self._in_packet["command"] & _QOS)
            )
            return super()._handle_publish()


def _without_properties(packet: bytearray, *, identified: bool) -> bytearray:
    """Take the properties out of a PUBLISH packet of MQTT 5, from its topic on.

    Args:
        packet: Without its fixed header.
        identified: Whether it has a packet id.

    Raises:
        paho.mqtt.exception.MalformedPacket: it ends before its properties.
    """
    begin = 2 + int.from_bytes(packet[:2]) + 2 * identified
    if begin >= len(packet):
        raise MalformedPacket("a PUBLISH packet without properties")
    length, size = VariableByteIntegers.decode(packet[begin:])  # type: ignore[no-untyped-call]
    return packet[:begin] + b"\0" + packet[begin + size + length :]


class _TlsSocket(ssl.SSLSocket):
    """Closed when the other side is not who it should be: paho forgets it open."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except BaseException:
            self.close()
            raise
