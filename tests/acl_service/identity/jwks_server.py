"""A key set's endpoint on a raw socket, which can be slow, endless, wrong or away."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.acl_service.identity.issuer import jwk_set


def answer(body: bytes, status: str = "200 OK", *headers: str, length: bool = True) -> bytes:
    """A whole HTTP answer."""
    lines = [f"HTTP/1.1 {status}", "connection: close", *headers]
    if length:
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@dataclass(slots=True)
class JwksServer:
    """Answers each request with ``page``, once ``gate`` is open.

    Attributes:
        port: where it listens.
        scheme: http or https.
        page: the answer; may be set anew at any time.
        gate: closed, requests wait.
        endless: repeated after the answer without end, when there is any.
        requests: the heads of all requests so far.
    """

    port: int = 0
    scheme: str = "http"
    page: bytes = field(default_factory=lambda: answer(jwk_set()))
    endless: bytes = b""
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    requests: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/jwks.json"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            self.requests.append((await reader.readuntil(b"\r\n\r\n")).decode())
            await self.gate.wait()
            writer.write(self.page)
            await writer.drain()
            while self.endless:
                writer.write(self.endless)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client went away: some tests want just that
        finally:
            writer.close()


@asynccontextmanager
async def jwks_server(tls: ssl.SSLContext | None = None) -> AsyncIterator[JwksServer]:
    """An endpoint on a free port of this machine; its gate is open."""
    served = JwksServer(scheme="https" if tls else "http")
    served.gate.set()
    tasks: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(served.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls)
    served.port = server.sockets[0].getsockname()[1]
    try:
        yield served
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


async def eventually(condition: Callable[[], bool], within_s: float = 20.0) -> None:
    """Wait for a condition, however busy the machine is."""
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.002)
