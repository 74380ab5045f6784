"""The laptop broker as a server: its listeners, and how long it lives."""

import asyncio
import http
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

import structlog
from websockets.asyncio.server import Server as WebSocketServer
from websockets.asyncio.server import ServerConnection
from websockets.asyncio.server import serve as serve_websocket
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from emqx.errors import BindError
from emqx.laptop.broker import SHUTTING_DOWN, Broker
from emqx.laptop.connection import Connection
from emqx.laptop.links import Link, TcpLink, WebSocketLink
from emqx.settings import LaptopSettings, ListenerSettings, split_bind

_log = structlog.get_logger(__name__)

_WEBSOCKET_PATH = "/mqtt"
_BACKLOG = 1024
_OWN_SETTINGS = ("tcp_bind", "ws_bind")


class LaptopBroker:
    """The broker on its listeners; an asynchronous context manager.

    Args:
        settings: see LaptopSettings.
        clock: Unix seconds, for events and ``expire_at``.
    """

    def __init__(self, settings: LaptopSettings, clock: Callable[[], float] = time.time) -> None:
        self.broker = Broker(settings, clock)
        self._settings = settings
        self._connections: dict[Connection, asyncio.Task[None]] = {}
        self._servers: list[asyncio.Server | WebSocketServer] = []

    @property
    def tcp_port(self) -> int:
        """The bound port of MQTT over TCP; 0 before the start."""
        return self.ports[0] if self._servers else 0

    @property
    def ws_port(self) -> int:
        """The bound port of MQTT over WebSocket; 0 before the start."""
        return self.ports[1] if self._servers else 0

    @property
    def ports(self) -> tuple[int, ...]:
        """The bound port of each listener, in the order of ``LaptopSettings.every_listener``; none before the start."""
        return tuple(next(iter(server.sockets)).getsockname()[1] for server in self._servers)

    async def start(self) -> None:
        """Open all listeners.

        Raises:
            BindError: one of them cannot be; then none stays open.
        """
        try:
            for number, listener in enumerate(self._settings.every_listener):
                self._servers.append(await self._listen(number, listener))
        except BindError:
            await self.stop()
            raise
        self.broker.start()
        _log.info("laptop_broker_started", tcp_port=self.tcp_port, ws_port=self.ws_port, ports=self.ports[2:])

    async def stop(self) -> None:
        """Close the listeners, end every connection, send the last events."""
        for server in self._servers:
            server.close()
        for connection in self._connections:
            connection.stop(SHUTTING_DOWN)
        if self._connections:
            await asyncio.wait(self._connections.values())
        for server in self._servers:
            if isinstance(server, WebSocketServer):
                await server.wait_closed()
        await self.broker.close()
        self._servers = []

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _listen(self, number: int, listener: ListenerSettings) -> asyncio.Server | WebSocketServer:
        try:
            return await (self._listen_websocket(listener) if listener.ws else self._listen_tcp(listener))
        except OSError as error:
            setting = (*_OWN_SETTINGS, "listeners")[min(number, len(_OWN_SETTINGS))]
            raise _bind_error(setting, listener.bind, error) from error

    async def _listen_tcp(self, listener: ListenerSettings) -> asyncio.Server:
        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._serve(TcpLink(reader, writer), listener)

        return await asyncio.start_server(accept, *split_bind(listener.bind), backlog=_BACKLOG)

    async def _listen_websocket(self, listener: ListenerSettings) -> WebSocketServer:
        async def accept(websocket: ServerConnection) -> None:
            await self._serve(WebSocketLink(websocket), listener)

        return await serve_websocket(
            accept,
            *split_bind(listener.bind),
            subprotocols=[Subprotocol("mqtt")],
            process_request=_only_mqtt,
            compression=None,
            ping_interval=None,
            close_timeout=1.0,
            open_timeout=self._settings.connect_timeout,
            max_size=self._settings.max_packet_size + 5,
            backlog=_BACKLOG,
        )

    async def _serve(self, link: Link, listener: ListenerSettings) -> None:
        if len(self._connections) >= self._settings.max_connections:
            _log.warning("connections_exhausted", limit=self._settings.max_connections)
            await link.close()
            return
        connection = Connection(self.broker, link, listener)
        task = asyncio.create_task(connection.run(), name="mqtt-connection")
        self._connections[connection] = task
        try:
            # Shielded: an end of the listener's own task must not cut short the will and the last event.
            await asyncio.shield(task)
        finally:
            del self._connections[connection]


def _only_mqtt(websocket: ServerConnection, request: Request) -> Response | None:
    if request.path.partition("?")[0] == _WEBSOCKET_PATH:
        return None
    return websocket.respond(http.HTTPStatus.NOT_FOUND, f"MQTT is served at {_WEBSOCKET_PATH}\n")


def _bind_error(setting: str, bind: str, error: OSError) -> BindError:
    variable = f"MCHAT_LAPTOP_{setting.upper()}"
    return BindError(f"{bind}: {error.strerror}; free the port or set {variable} to another one")
