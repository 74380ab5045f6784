"""Where clients connect: the broker's MQTT listeners, opened and closed while it runs."""

import asyncio
import http
from collections.abc import Iterator
from dataclasses import dataclass, field

import structlog
from websockets.asyncio.server import Server as WebSocketServer
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as serve_websocket
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from emqx.laptop.broker import SHUTTING_DOWN, Broker
from emqx.laptop.connection import Connection
from emqx.laptop.links import Link, TcpLink, WebSocketLink
from emqx.listeners import ListenerSettings, split_bind

_log = structlog.get_logger(__name__)

_WEBSOCKET_PATH = "/mqtt"
_BACKLOG = 1024
MOST = 64
"""Listeners at once."""


@dataclass(slots=True)
class Listener:
    """One open listener.

    Attributes:
        settings: where and for whom.
        server: its socket.
        connections: that came in by it.
    """

    settings: ListenerSettings
    server: asyncio.Server | WebSocketServer
    connections: dict[Connection, asyncio.Task[None]] = field(default_factory=dict)

    @property
    def port(self) -> int:
        """The bound port."""
        port: int = next(iter(self.server.sockets)).getsockname()[1]
        return port


class Listeners:
    """The open listeners of a broker, by id.

    Args:
        broker: what clients connect to.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._listeners: dict[str, Listener] = {}

    def __iter__(self) -> Iterator[Listener]:
        return iter(self._listeners.values())

    def get(self, identifier: str) -> Listener | None:
        """One, by ``type:name``."""
        return self._listeners.get(identifier)

    async def open(self, settings: ListenerSettings) -> Listener:
        """Open a listener.

        Raises:
            OSError: its address is taken or not of this machine.
        """
        connections: dict[Connection, asyncio.Task[None]] = {}
        listen = self._listen_websocket if settings.ws else self._listen_tcp
        listener = Listener(settings, await listen(settings, connections), connections)
        self._listeners[settings.id] = listener
        return listener

    async def close(self, identifier: str) -> None:
        """Close a listener and cut who came in by it; their sessions end or stay as CONNECT said."""
        await self._close(self._listeners.pop(identifier))

    async def close_all(self) -> None:
        """Close every listener, and end every connection."""
        closing = tuple(self._listeners.values())
        self._listeners = {}
        for listener in closing:
            listener.server.close()
        await asyncio.gather(*(self._close(listener) for listener in closing))

    @staticmethod
    async def _close(listener: Listener) -> None:
        listener.server.close()
        for connection in listener.connections:
            connection.stop(SHUTTING_DOWN)
        if listener.connections:
            await asyncio.wait(listener.connections.values())
        if isinstance(listener.server, WebSocketServer):
            await listener.server.wait_closed()

    async def _listen_tcp(
        self, settings: ListenerSettings, connections: dict[Connection, asyncio.Task[None]]
    ) -> asyncio.Server:
        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._serve(TcpLink(reader, writer), settings, connections)

        return await asyncio.start_server(accept, *split_bind(settings.bind), backlog=_BACKLOG)

    async def _listen_websocket(
        self, settings: ListenerSettings, connections: dict[Connection, asyncio.Task[None]]
    ) -> WebSocketServer:
        async def accept(websocket: ServerConnection) -> None:
            await self._serve(WebSocketLink(websocket), settings, connections)

        return await serve_websocket(
            accept,
            *split_bind(settings.bind),
            subprotocols=[Subprotocol("mqtt")],
            process_request=_only_mqtt,
            compression=None,
            ping_interval=None,
            close_timeout=1.0,
            open_timeout=self._broker.settings.connect_timeout,
            max_size=self._broker.settings.max_packet_size + 5,
            backlog=_BACKLOG,
        )

    async def _serve(
        self, link: Link, settings: ListenerSettings, connections: dict[Connection, asyncio.Task[None]]
    ) -> None:
        most = self._broker.settings.max_connections
        if sum(len(listener.connections) for listener in self) >= most:
            _log.warning("connections_exhausted", limit=most)
            await link.close()
            return
        connection = Connection(self._broker, link, settings)
        task = asyncio.create_task(connection.run(), name="mqtt-connection")
        connections[connection] = task
        try:
            # Shielded: an end of the listener's own task must not cut short the will and the last event.
            await asyncio.shield(task)
        finally:
            del connections[connection]


def _only_mqtt(websocket: ServerConnection, request: Request) -> Response | None:
    if request.path.partition("?")[0] == _WEBSOCKET_PATH:
        return None
    return websocket.respond(http.HTTPStatus.NOT_FOUND, f"MQTT is served at {_WEBSOCKET_PATH}\n")
