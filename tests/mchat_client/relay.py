"""A way to the broker that a test can cut, with TLS before it if wanted."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class Relay:
    """Passes bytes on, both ways, until it is told not to."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self.accepted = 0
        self.refusing = False
        self.passing = asyncio.Event()
        self.passing.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._serving: set[asyncio.Task[None]] = set()

    def cut(self) -> None:
        """Tear every connection."""
        for writer in self._writers:
            writer.transport.abort()

    def stall(self) -> None:
        """Take everything and pass nothing on, as a network does that is gone without a word."""
        self.passing.clear()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        if self.refusing:
            writer.transport.abort()
            return
        serving = asyncio.ensure_future(self._serve(reader, writer))
        self._serving.add(serving)
        serving.add_done_callback(self._serving.discard)
        await serving

    async def close(self) -> None:
        """Tear every connection, those too that are being made, and wait for their end."""
        self.refusing = True
        self.passing.set()
        while self._serving:
            self.cut()
            await asyncio.wait(self._serving, timeout=0.05)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        both = {writer}
        self._writers |= both
        try:
            with suppress(OSError):
                inner, outer = await asyncio.open_connection("127.0.0.1", self.target)
                both.add(outer)
                self._writers.add(outer)
                await asyncio.gather(self._pass(reader, outer), self._pass(inner, writer))
        finally:
            self._writers -= both
            for each in both:
                each.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                await self.passing.wait()
                writer.write(data)
                await writer.drain()
        writer.close()


@asynccontextmanager
async def relay_to(port: int, tls: ssl.SSLContext | None = None) -> AsyncIterator[Relay]:
    relay = Relay(port)
    server = await asyncio.start_server(relay.accept, "127.0.0.1", 0, ssl=tls)
    relay.port = server.sockets[0].getsockname()[1]
    try:
        yield relay
    finally:
        server.close()
        await relay.close()
        await server.wait_closed()
