"""What stands between two processes that talk HTTP: each request goes to one of several, and may be meddled with."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

_HEAD_BYTES = 65_536
_LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came: its first line taken apart, all of its bytes beside it."""

    method: str
    path: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """What goes back, and whether the connection ends with it."""

    data: bytes
    close: bool = False

    @classmethod
    def of(cls, status: int, body: bytes = b"", *, close: bool = True) -> "Reply":
        """An answer of our own; EMQX closes the connection after a 500."""
        head = f"HTTP/1.1 {status} x\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        return cls(head.encode() + body, close)


Forward = Callable[[], Awaitable[Reply]]
Meddler = Callable[[Request, Forward], Awaitable[Reply]]


async def pass_on(request: Request, forward: Forward) -> Reply:
    """Meddle with nothing."""
    return await forward()


@dataclass(slots=True)
class Exchange:
    """A listener whose requests are answered by others, one of them for each request, in turn unless steered.

    Attributes:
        targets: ports of this machine.
        steered: the number of the target that gets everything; `None`: each in turn.
        meddler: has every request, and the way on, in its hands.
        port: of the listener; it stays the same from one opening to the next.
        passed: requests answered by the targets.
    """

    targets: Sequence[int]
    steered: int | None = None
    meddler: Meddler = pass_on
    port: int = 0
    passed: int = 0
    _server: asyncio.Server | None = None
    _served: set[asyncio.Task[None]] = field(default_factory=set)
    _turn: int = 0

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def listening(self) -> bool:
        """Whether it takes connections."""
        return self._server is not None

    async def open(self) -> None:
        """Listen (again)."""
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", self.port, limit=_HEAD_BYTES, reuse_address=True
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def shut(self) -> None:
        """Refuse connections, and end those that there are in the middle of whatever they do."""
        if self._server is not None:
            self._server.close()
        for task in self._served:
            task.cancel()
        await asyncio.gather(*self._served, return_exceptions=True)
        self._server = None

    def _next(self) -> int:
        if self.steered is not None:
            return self.steered
        self._turn = (self._turn + 1) % len(self.targets)
        return self._turn

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._served.add(task)
        onward: dict[int, tuple[asyncio.StreamReader, asyncio.StreamWriter]] = {}
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                request = _request(head, await reader.readexactly(_length(head)))

                async def forward(request: Request = request) -> Reply:
                    return await self._forward(request, onward)

                reply = await self.meddler(request, forward)
                writer.write(reply.data)
                await writer.drain()
                if reply.close:
                    return
        except (OSError, EOFError, asyncio.CancelledError):
            return
        finally:
            self._served.discard(task)
            for one in (writer, *(other for _, other in onward.values())):
                one.transport.abort()

    async def _forward(
        self, request: Request, onward: dict[int, tuple[asyncio.StreamReader, asyncio.StreamWriter]]
    ) -> Reply:
        """Have a target answer; a connection that it has closed meanwhile is opened again, once.

        Raises:
            OSError, EOFError: it does not answer.
        """
        target = self._next()
        kept = onward.pop(target, None)
        if kept is not None:
            with suppress(OSError, EOFError):
                return await self._ask(request, target, kept, onward)
        fresh = await asyncio.open_connection("127.0.0.1", self.targets[target], limit=_HEAD_BYTES)
        return await self._ask(request, target, fresh, onward)

    async def _ask(
        self,
        request: Request,
        target: int,
        streams: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        onward: dict[int, tuple[asyncio.StreamReader, asyncio.StreamWriter]],
    ) -> Reply:
        reader, writer = streams
        try:
            writer.write(request.data)
            head = await reader.readuntil(b"\r\n\r\n")
            data = head + await reader.readexactly(_length(head))
        except BaseException:
            writer.transport.abort()
            raise
        close = b"\r\nconnection: close" in head.lower()
        if close:
            writer.transport.abort()
        else:
            onward[target] = streams
        self.passed += 1
        return Reply(data, close)


@asynccontextmanager
async def exchange(*targets: int) -> AsyncIterator[Exchange]:
    """An open exchange before these ports."""
    opened = Exchange(targets)
    await opened.open()
    try:
        yield opened
    finally:
        await opened.shut()


def _length(head: bytes) -> int:
    assert b"transfer-encoding" not in head.lower(), "nobody here sends chunks"
    found = _LENGTH.search(head)
    return 0 if found is None else int(found[1])


def _request(head: bytes, body: bytes) -> Request:
    method, path, _ = head.split(b" ", 2)
    return Request(method.decode(), path.decode(), head + body)
