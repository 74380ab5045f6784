"""Byte streams to clients: a TCP connection, or the binary messages of a WebSocket."""

import asyncio
from contextlib import suppress
from typing import Any, Protocol

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

_CHUNK = 65_536
_CLOSE_PATIENCE = 1.0


class Link(Protocol):
    """What a connection needs of its transport."""

    @property
    def peer(self) -> tuple[str, int]:
        """Host and port of the client."""

    @property
    def socket(self) -> tuple[str, int]:
        """Host and port that the client connected to."""

    async def receive(self) -> bytes:
        """The next bytes; none = the client is gone."""

    async def send(self, data: bytes) -> None:
        """Send bytes and wait until the transport takes more.

        Raises:
            ConnectionError: the client is gone.
        """

    async def close(self) -> None:
        """Close the transport, whatever its state."""


class TcpLink:
    """MQTT over TCP."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.peer = _address(writer.get_extra_info("peername"))
        self.socket = _address(writer.get_extra_info("sockname"))

    async def receive(self) -> bytes:
        """See Link."""
        try:
            return await self._reader.read(_CHUNK)
        except OSError:
            return b""

    async def send(self, data: bytes) -> None:
        """See Link."""
        self._writer.write(data)
        await self._writer.drain()

    async def close(self) -> None:
        """See Link."""
        self._writer.close()
        try:
            async with asyncio.timeout(_CLOSE_PATIENCE):
                await self._writer.wait_closed()
        except TimeoutError:
            # What it was sent is unread: closing waits for that for ever.
            self._writer.transport.abort()
        except OSError:
            pass


class WebSocketLink:
    """MQTT over WebSocket; MQTT packets need not keep to message borders (MQTT 3.1.1 section 6)."""

    def __init__(self, websocket: ServerConnection) -> None:
        self._websocket = websocket
        self.peer = _address(websocket.remote_address)
        self.socket = _address(websocket.local_address)

    async def receive(self) -> bytes:
        """See Link; a text message ends the stream, as section 6 demands."""
        with suppress(ConnectionClosed):
            while isinstance(message := await self._websocket.recv(), bytes):
                if message:
                    return message
        return b""

    async def send(self, data: bytes) -> None:
        """See Link."""
        try:
            await self._websocket.send(data)
        except ConnectionClosed as error:
            raise ConnectionError("the WebSocket is closed") from error

    async def close(self) -> None:
        """See Link."""
        await self._websocket.close()


def _address(address: Any) -> tuple[str, int]:
    # A client that is gone again already has no address.
    host, port, *_ = address or ("", 0)
    return str(host), int(port)
