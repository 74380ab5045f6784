"""The laptop broker as a server: its two listeners, and how long it lives."""

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
from emqx.settings import LaptopSettings, split_bind

_log = structlog.get_logger(__name__)

_WEBSOCKET_PATH = "/mqtt"
_BACKLOG = 1024


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
        self._tcp: asyncio.Server | None = None
        self._websocket: WebSocketServer | None = None

    @property
    def tcp_port(self) -> int:
        """The bound port of MQTT over TCP; 0 before the start."""
        return _port(self._tcp)

    @property
    def ws_port(self) -> int:
        """The bound port of MQTT over WebSocket; 0 before the start."""
        return _port(self._websocket)

    async def start(self) -> None:
        """Open both listeners.

        Raises:
            BindError: one of them cannot be; then none stays open.
        """
        try:
            self._tcp = await self._listen_tcp()
            self._websocket = await self._listen_websocket()
        except BindError:
            await self.stop()
            raise
        self.broker.start()
        _log.info("laptop_broker_started", tcp_port=self.tcp_port, ws_port=self.ws_port)

    async def stop(self) -> None:
        """Close the listeners, end every connection, send the last events."""
        for listener in (self._tcp, self._websocket):
            if listener is not None:
                listener.close()
        for connection in self._connections:
            connection.stop(SHUTTING_DOWN)
        if self._connections:
            await asyncio.wait(self._connections.values())
        if self._websocket is not None:
            await self._websocket.wait_closed()
        await self.broker.close()
        self._tcp = self._websocket = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _listen_tcp(self) -> asyncio.Server:
        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._serve(TcpLink(reader, writer))

        host, port = split_bind(self._settings.tcp_bind)
        try:
            return await asyncio.start_server(accept, host, port, backlog=_BACKLOG)
        except OSError as error:
            raise _bind_error("tcp_bind", self._settings.tcp_bind, error) from error

    async def _listen_websocket(self) -> WebSocketServer:
        async def accept(websocket: ServerConnection) -> None:
            await self._serve(WebSocketLink(websocket))

        host, port = split_bind(self._settings.ws_bind)
        try:
            return await serve_websocket(
                accept,
                host,
                port,
                subprotocols=[Subprotocol("mqtt")],
                process_request=_only_mqtt,
                compression=None,
                ping_interval=None,
                close_timeout=1.0,
                open_timeout=self._settings.connect_timeout,
                max_size=self._settings.max_packet_size + 5,
                backlog=_BACKLOG,
            )
        except OSError as error:
            raise _bind_error("ws_bind", self._settings.ws_bind, error) from error

    async def _serve(self, link: Link) -> None:
        if len(self._connections) >= self._settings.max_connections:
            _log.warning("connections_exhausted", limit=self._settings.max_connections)
            await link.close()
            return
        connection = Connection(self.broker, link)
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


def _port(listener: asyncio.Server | WebSocketServer | None) -> int:
    if listener is None:
        return 0
    port: int = next(iter(listener.sockets)).getsockname()[1]
    return port
