"""HTTP listeners of one process: bound before anything starts, stopped together."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import uvicorn
from starlette.types import ASGIApp

from mchat.errors import CommandError

KEEP_ALIVE_S = 120
"""EMQX keeps idle connections; a close at the wrong moment costs it a retry (contract section 8: 75 s or more)."""

STOP_S = 5
BACKLOG = 2048


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
    """Serve every listener until ``stop``; requests in hand are finished, for five seconds at most."""
    servers = [
        _Server(
            uvicorn.Config(
                listener.app,
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
        for server in servers:
            server.should_exit = True


@contextlib.asynccontextmanager
async def stop_signals(*, with_parent: bool = False) -> AsyncIterator[asyncio.Event]:
    """An event that SIGTERM and Ctrl-C set, and, ``with_parent``, the end of the process that started this one.

    The parent holds the other end of standard input: however it ends, this process sees it close.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if with_parent:
        loop.add_reader(sys.stdin.fileno(), _orphaned, loop, stop)
    try:
        yield stop
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
        if with_parent:
            loop.remove_reader(sys.stdin.fileno())


def _orphaned(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    if not os.read(sys.stdin.fileno(), 1):
        loop.remove_reader(sys.stdin.fileno())
        stop.set()
