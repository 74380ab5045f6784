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
        frozen: connections through which nothing comes.
    """

    target: int
    port: int = 0
    _lines: set["_Line"] = field(default_factory=set)
    _cold: bool = False
    _server: asyncio.Server | None = None
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def frozen(self) -> int:
        return sum(not line.open.is_set() for line in self._lines)

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """End every connection and listen no more."""
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def freeze(self, only: bytes = b"") -> None:
        """Let nothing through from now on, as a network does that loses every packet.

        Args:
            only: only on connections whose client has said this before; all others, new ones too, go on.
        """
        self._cold = not only
        for line in self._lines:
            if only in line.said:
                line.open.clear()

    def thaw(self) -> None:
        """Let through what waits, and all that comes."""
        self._cold = False
        for line in self._lines:
            line.open.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        line = _Line()
        self._lines.add(line)
        if not self._cold:
            line.open.set()
        writers = [writer]
        try:
            await line.open.wait()
            there, back = await asyncio.open_connection("127.0.0.1", self.target)
            writers.append(back)
            ways = [
                asyncio.ensure_future(line.carry(reader, back, noted=True)),
                asyncio.ensure_future(line.carry(there, writer)),
            ]
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
            self._lines.discard(line)
            for one in writers:
                one.transport.abort()


@dataclass(slots=True, eq=False)
class _Line:
    """One connection.

    Attributes:
        open: whether anything comes through.
        said: the beginning of what its client has said.
    """

    open: asyncio.Event = field(default_factory=asyncio.Event)
    said: bytes = b""

    async def carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, noted: bool = False
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(_BYTES):
                if noted and len(self.said) < _BYTES:
                    self.said += data
                await self.open.wait()
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
