"""HTTP listeners of one process: bound before anything starts, stopped together."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import uvicorn
from starlette.types import ASGIApp

from mchat.errors import CommandError
from mchat.http_protocol import BoundedHttpProtocol

KEEP_ALIVE_S = 120
"""EMQX keeps idle connections; a close at the wrong moment costs it a retry (contract section 8: 75 s or more)."""

STOP_S = 5
BACKLOG = 2048


@runtime_checkable
class Endless(Protocol):
    """An application with answers that do not end by themselves."""

    def end(self) -> None:
        """End them: the process stops."""


@dataclass(frozen=True, slots=True)
class Listener:
    """One application on one bound socket."""

    app: ASGIApp
    socket: socket.socket


class _Server(uvicorn.Server):
    """uvicorn without its own signal handlers: the process has one for all its listeners."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def bind(address: str, setting: str) -> socket.socket:
    """A listening socket on ``host:port``; port 0 takes a free one.

    Raises:
        CommandError: the address has another form, is taken or is not of this machine.
    """
    host, colon, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isdecimal() or int(port) > 65_535:
        raise CommandError(f"{setting}={address} is no address: write HOST:PORT, such as 127.0.0.1:8085")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named, because asyncio sets TCP_NODELAY only on sockets that say TCP: without it an answer takes 44 ms.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, int(port)))
        bound.listen(BACKLOG)
    except OSError as error:
        bound.close()
        raise CommandError(
            f"{setting}={address}: {error.strerror}; stop what uses it, or set {setting} to another address"
        ) from error
    return bound


async def serve(listeners: list[Listener], stop: asyncio.Event) -> None:
    """Serve every listener until ``stop``; requests in hand are finished, for five seconds at most.

    Answers that do not end by themselves are ended first: nobody is waited for who listens for ever.
    """
    servers = [
        _Server(
            uvicorn.Config(
                listener.app,
                http=BoundedHttpProtocol,
                ws="none",
                # Who calls is who the socket says: nobody may name another address in a header.
                proxy_headers=False,
                lifespan="off",
                access_log=False,
                log_config=None,
                server_header=False,
                date_header=False,
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=STOP_S,
                backlog=BACKLOG,
            )
        )
        for listener in listeners
    ]
    async with asyncio.TaskGroup() as running:
        for server, listener in zip(servers, listeners, strict=True):
            running.create_task(server.serve(sockets=[listener.socket]))
        await stop.wait()
        for listener in listeners:
            if isinstance(listener.app, Endless):
                listener.app.end()
        for server in servers:
            server.should_exit = True
