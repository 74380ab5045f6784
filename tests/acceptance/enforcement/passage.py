"""A way for bytes between a process and its database that can freeze: connections stand, nothing comes through."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from sqlalchemy.engine import make_url

_BYTES = 65_536


@dataclass(slots=True)
class Passage:
    """A TCP forwarder of this machine.

    Attributes:
        target: port that it leads to.
        port: where it listens.
    """

    target: int
    port: int = 0
    _open: asyncio.Event = field(default_factory=asyncio.Event)
    _server: asyncio.Server | None = None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def start(self) -> None:
        """Listen."""
        self._open.set()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """End every connection and listen no more."""
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def freeze(self) -> None:
        """Let nothing through from now on, as a network does that loses every packet."""
        self._open.clear()

    def thaw(self) -> None:
        """Let through what waits, and all that comes."""
        self._open.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        writers = [writer]
        try:
            await self._open.wait()
            there, back = await asyncio.open_connection("127.0.0.1", self.target)
            writers.append(back)
            ways = [asyncio.ensure_future(self._carry(*way)) for way in ((reader, back), (there, writer))]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
        except (OSError, asyncio.CancelledError):
            return
        finally:
            self._tasks.discard(task)
            for one in writers:
                one.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(_BYTES):
                await self._open.wait()
                writer.write(data)
                await writer.drain()


@asynccontextmanager
async def passage(target: int) -> AsyncIterator[Passage]:
    """An open passage to a port of this machine."""
    opened = Passage(target)
    await opened.start()
    try:
        yield opened
    finally:
        await opened.stop()


def port_of(url: str) -> int:
    """The port of a PostgreSQL URL."""
    port = make_url(url).port
    assert port is not None
    return port


def through(way: Passage, url: str) -> str:
    """The URL of the same database, through a passage."""
    return make_url(url).set(host="127.0.0.1", port=way.port).render_as_string(hide_password=False)
