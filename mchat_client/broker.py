"""Where the broker is, and how it is spoken to."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Self
from urllib.parse import urlsplit

from mchat_client.errors import WrongValue

Version = Literal["3.1.1", "5"]

_SCHEMES: Final = {
    # scheme: (WebSocket, TLS, port)
    "mqtt": (False, False, 1883),
    "mqtts": (False, True, 8883),
    "ws": (True, False, 8083),
    "wss": (True, True, 8084),
}


@dataclass(frozen=True, slots=True)
class Broker:
    """A broker's listener.

    Attributes:
        host: name or address.
        port: of the listener.
        websocket: MQTT over WebSocket instead of TCP.
        path: of the WebSocket.
        tls: how the broker's certificate is checked, and which one the client shows; None: no TLS, so that the
            credential travels in clear.
        version: of MQTT; 5 tells at once when a request was refused or nobody serves it.
        keepalive_s: seconds of silence after which the client asks whether the broker is still there; without an
            answer for as long again the connection is lost.
        connect_timeout_s: seconds until the broker has to have let the client in.
    """

    host: str = "127.0.0.1"
    port: int = 1883
    websocket: bool = False
    path: str = "/mqtt"
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    version: Version = "3.1.1"
    keepalive_s: int = 30
    connect_timeout_s: float = 10.0

    def __post_init__(self) -> None:
        if not self.host or not 0 < self.port < 65_536:
            raise WrongValue(f"broker {self.host!r}, port {self.port}: a host, and a port from 1 to 65535")
        if self.version not in ("3.1.1", "5"):
            raise WrongValue(f"MQTT version {self.version!r}: '3.1.1' or '5'")
        if not 1 <= self.keepalive_s <= 65_535 or not 0 < self.connect_timeout_s <= 300:
            raise WrongValue(
                f"keepalive_s {self.keepalive_s}, connect_timeout_s {self.connect_timeout_s}: 1 to 65535, up to 300"
            )

    @classmethod
    def from_url(cls, url: str, *, tls: ssl.SSLContext | None = None, version: Version = "3.1.1") -> Self:
        """A broker by its URL: `mqtt://host:1883`, `mqtts://`, `ws://host:8083/mqtt` or `wss://`.

        Args:
            url: without a user name or password.
            tls: for `mqtts` and `wss`; None: the authorities of the system vouch for the broker.
            version: of MQTT.

        Raises:
            WrongValue: it is none of these, or has more in it. The message does not show the URL, which may
                hold a secret.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise WrongValue("the broker's URL cannot be read: write it like mqtts://host:8883") from None
        if parts.scheme not in _SCHEMES or not parts.hostname:
            raise WrongValue("the broker's URL: write it as mqtt://, mqtts://, ws:// or wss:// and a host")
        if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
            raise WrongValue(
                "the broker's URL holds more than host, port and path: give the secret apart from it"
            )
        websocket, secure, usual = _SCHEMES[parts.scheme]
        if parts.path not in ("", "/") and not websocket:
            raise WrongValue(f"the broker's URL has a path, which {parts.scheme} has none: leave it out")
        if tls is not None and not secure:
            raise WrongValue(
                f"TLS was asked for, but the broker's URL says {parts.scheme}: write {parts.scheme}s"
            )
        return cls(
            host=parts.hostname,
            port=usual if port is None else port,
            websocket=websocket,
            path=parts.path if websocket and parts.path else "/mqtt",
            tls=(tls or ssl.create_default_context()) if secure else None,
            version=version,
        )

    @classmethod
    def from_connection(
        cls, connection: Mapping[str, Any], *, tls: ssl.SSLContext | None = None, version: Version = "3.1.1"
    ) -> Self:
        """The broker of an `mqtt_connection`, as `employee.create` and `employee.reset_credential` give it.

        Args:
            connection: that field.
            tls: where it says `use_tls`; None: the authorities of the system vouch for the broker.
            version: of MQTT.

        Raises:
            WrongValue: a field is missing or of another type. The message shows no value.
        """
        host, port, secure = (connection.get(name) for name in ("broker_host", "broker_port", "use_tls"))
        if not isinstance(host, str) or type(port) is not int or not isinstance(secure, bool):
            raise WrongValue("mqtt_connection: broker_host, broker_port and use_tls are needed")
        context = (tls or ssl.create_default_context()) if secure else None
        return cls(host=host, port=port, tls=context, version=version)
