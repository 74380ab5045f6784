"""The REST API on its loopback listener, in the broker's own process."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn

from emqx.laptop.broker import Broker
from emqx.laptop.listeners import Listeners
from emqx.laptop.rest.dispatch import Dispatch
from emqx.laptop.rest.resources import every_route
from emqx.listeners import split_bind

_BACKLOG = 128
_HEAD_BYTES = 16_384
_KEEP_ALIVE_S = 75
_STOP_S = 1


class ApiServer:
    """Serves the REST API of one broker.

    Args:
        broker: what it tells of and changes.
        listeners: of the broker.
        credentials: the API key and its secret.
    """

    def __init__(self, broker: Broker, listeners: Listeners, credentials: tuple[str, str]) -> None:
        self._settings = broker.settings
        self._app = Dispatch(
            every_route(broker, listeners),
            credentials,
            max_body=broker.settings.api_max_body,
            timeout=broker.settings.api_timeout,
        )
        self._server: _Server | None = None
        self._task: asyncio.Task[None] | None = None
        self.port = 0

    async def start(self) -> None:
        """Open the listener.

        Raises:
            OSError: its address is taken or not of this machine.
        """
        bound = _bound(*split_bind(self._settings.api_bind))
        self.port = bound.getsockname()[1]
        self._server = _Server(
            uvicorn.Config(
                self._app,
                # h11 bounds what may come before a request is one; httptools keeps all of it.
                http="h11",
                h11_max_incomplete_event_size=_HEAD_BYTES,
                ws="none",
                lifespan="off",
                proxy_headers=False,
                access_log=False,
                log_config=None,
                server_header=False,
                date_header=False,
                timeout_keep_alive=_KEEP_ALIVE_S,
                timeout_graceful_shutdown=_STOP_S,
                limit_concurrency=self._settings.api_connections,
                backlog=_BACKLOG,
            )
        )
        self._task = asyncio.create_task(self._server.serve(sockets=[bound]), name="rest-api")

    async def stop(self) -> None:
        """Finish what is in hand, for a second at most, and close the listener."""
        if self._server is not None and self._task is not None:
            self._server.should_exit = True
            await self._task
        self._server, self._task, self.port = None, None, 0


class _Server(uvicorn.Server):
    """uvicorn without its own signal handlers: the process has its own."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named, because asyncio sets TCP_NODELAY only on sockets that say TCP: without it an answer takes 44 ms.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        bound.listen(_BACKLOG)
    except OSError:
        bound.close()
        raise
    return bound
