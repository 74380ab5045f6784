"""An HTTP server made of bytes: it answers as told, also as no HTTP library would."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Seen:
    """A request that arrived."""

    connection: int
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Exchange:
    """One request, and the way back."""

    request: Seen
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    def close(self) -> None:
        self.writer.close()


Behaviour = Callable[[Exchange], Awaitable[None]]


def answers(status: int = 200, value: object = None, *, close: bool = False, **headers: str) -> Behaviour:
    """A whole answer; JSON unless `content_type` or a text says otherwise."""

    async def behave(exchange: Exchange) -> None:
        body = b"" if value is None else value if isinstance(value, bytes) else json.dumps(value).encode()
        named = {"content-type": "application/json", "content-length": str(len(body))}
        named |= {name.replace("_", "-"): text for name, text in headers.items()}
        head = "".join(f"{name}: {text}\r\n" for name, text in named.items())
        await exchange.send(f"HTTP/1.1 {status} X\r\n{head}\r\n".encode() + body)
        if close:
            exchange.close()

    return behave


async def closes(exchange: Exchange) -> None:
    """Ends the connection instead of answering."""
    exchange.close()


async def breaks_off(exchange: Exchange) -> None:
    """Ends the connection within the answer."""
    await exchange.send(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n[")
    exchange.close()


async def hangs(_: Exchange) -> None:
    """Says nothing."""
    await asyncio.Event().wait()


async def trickles(exchange: Exchange) -> None:
    """Says a byte now and then, never all."""
    await exchange.send(
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100000\r\n\r\n"
    )
    while True:
        await exchange.send(b" ")
        await asyncio.sleep(0.02)


@dataclass
class RawServer:
    """Behaves as told, one behaviour a request; the last one stays."""

    behaviours: list[Behaviour]
    url: str = ""
    port: int = 0
    seen: list[Seen] = field(default_factory=list)
    connections: int = 0
    at_once: int = 0
    most_at_once: int = 0
    refusals: int = 0

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, tls: ssl.SSLContext | None
    ) -> None:
        self.connections += 1
        number = self.connections
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            if number <= self.refusals:
                writer.close()
            elif tls is not None:
                await writer.start_tls(tls)
            while not writer.is_closing():
                request = await self._request(number, reader)
                self.seen.append(request)
                position = min(len(self.seen), len(self.behaviours)) - 1
                self.at_once += 1
                self.most_at_once = max(self.most_at_once, self.at_once)
                try:
                    await self.behaviours[position](Exchange(request, writer))
                finally:
                    self.at_once -= 1
        writer.close()

    @staticmethod
    async def _request(connection: int, reader: asyncio.StreamReader) -> Seen:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        first, *rest = head.rstrip().split("\r\n")
        method, path, _ = first.split(" ")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in rest)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        return Seen(connection, method, path, headers, body)


@asynccontextmanager
async def serving(
    *behaviours: Behaviour, tls: ssl.SSLContext | None = None, refusals: int = 0
) -> AsyncIterator[RawServer]:
    """A server on a free port; the first `refusals` connections end before a byte, before TLS too."""
    server = RawServer(list(behaviours), refusals=refusals)
    connected: set[asyncio.Task[None]] = set()

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        connected.add(task)
        try:
            await server.serve(reader, writer, tls)
        finally:
            connected.discard(task)

    listening = await asyncio.start_server(connect, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    server.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.port}"
    try:
        yield server
    finally:
        listening.close()
        for task in connected:
            task.cancel()
        await asyncio.gather(*connected, return_exceptions=True)
