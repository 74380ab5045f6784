"""What strangers may do to a listener before they have sent a request."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from mchat import http_protocol, listeners
from mchat.listeners import Listener, bind, serve


async def peer(request: Request) -> Response:
    body = await request.body()
    names = [name.decode() for name, _ in request.headers.raw]
    return JSONResponse(
        {"peer": request.client.host if request.client else None, "bytes": len(body), "headers": names}
    )


LARGE = 16_000_000  # more than the buffers of two sockets hold


async def large(request: Request) -> Response:
    return Response(bytes(LARGE))


async def early(request: Request) -> Response:
    return JSONResponse({})


class Total:
    """Tells the size of the body so far at each piece of it."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        size, more = 0, True
        while more:
            message = await receive()
            size, more = size + len(message["body"]), message["more_body"]
            await send({"type": "http.response.body", "body": b"%d." % size, "more_body": more})


@pytest.fixture
async def port() -> AsyncIterator[int]:
    app = Starlette(
        routes=[Route("/", peer, methods=["GET", "POST"]), Route("/total", Total()), Route("/large", large)]
    )
    stop = asyncio.Event()
    with bind("127.0.0.1:0", "TEST") as bound:
        task = asyncio.create_task(serve([Listener(app, bound)], stop))
        yield bound.getsockname()[1]
        stop.set()
        await task


async def request(port: int, head: str, body: bytes = b"") -> dict[str, object]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head.encode() + body)
    await reader.readuntil(b"\r\n\r\n")
    answer: dict[str, object] = json.loads(await reader.readuntil(b"}"))
    writer.close()
    await writer.wait_closed()
    return answer


async def closed(port: int, *parts: bytes) -> bool:
    """Whether the server ends the connection without an answer, within five seconds."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(5):
            for part in parts:
                writer.write(part)
                await writer.drain()
            return await reader.read() == b""
    except ConnectionError:
        return True
    except TimeoutError:
        return False
    finally:
        writer.transport.abort()


async def test_a_head_without_an_end_is_cut(port: int) -> None:
    lines = [b"GET / HTTP/1.1\r\nhost: x\r\n", *(f"x-{n}: {'y' * 1_000}\r\n".encode() for n in range(2_000))]
    assert await closed(port, *lines)
    assert await closed(port, b"GET / HTTP/1.1\r\nx: ", *(b"y" * 10_000 for _ in range(200)))
    assert (await request(port, f"GET / HTTP/1.1\r\nhost: x\r\nx: {'y' * 8_000}\r\n\r\n"))["bytes"] == 0


CHUNKED = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n"


async def test_trailers_without_an_end_are_cut(port: int) -> None:
    assert await closed(port, CHUNKED, b"0\r\n", *(b"x: " + b"y" * 1_000 + b"\r\n" for _ in range(2_000)))
    assert await closed(port, CHUNKED, b"0\r\nx: ", *(b"y" * 10_000 for _ in range(200)))


async def test_a_trailer_is_no_header(port: int) -> None:
    answer = await request(port, CHUNKED.decode() + "0\r\nauthorization: Bearer x\r\n\r\n")
    assert answer["bytes"] == 3
    assert answer["headers"] == ["host", "transfer-encoding"]


async def test_a_large_body_in_chunks_is_no_trailer(port: int) -> None:
    chunks = b"".join(b"%x\r\n%s\r\n" % (size, b"y" * size) for size in (1, 1_000_000, 20_000, 1) * 3)
    answer = await request(port, CHUNKED.decode(), chunks + b"0\r\n\r\n")
    assert answer["bytes"] == 3 + 3 * 1_020_002


async def test_a_read_that_ends_behind_a_chunks_size_is_no_trailer(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(CHUNKED.replace(b"/", b"/total", 1) + b"4e20\r\n" + b"y" * 20_000 + b"\r\n5\r\n")
    assert await reader.readuntil(b"20003.")  # so the next read begins with a chunk's body
    writer.write(b"abcde\r\n0\r\n\r\n")
    assert await reader.readuntil(b"20008.")
    writer.close()
    await writer.wait_closed()


async def test_a_request_that_does_not_end_is_cut(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_protocol, "REQUEST_S", 0.2)
    assert await closed(port, b"GET / HTTP/1.1\r\nhost:")
    assert await closed(port, b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nabc")
    assert (await request(port, "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\n", b"abc"))[
        "bytes"
    ] == 3


async def test_a_large_body_is_no_head(port: int) -> None:
    size = 1_000_000
    answer = await request(port, f"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: {size}\r\n\r\n", b"x" * size)
    assert answer["bytes"] == size


async def test_an_address_that_a_caller_makes_up_is_not_believed(port: int) -> None:
    answer = await request(port, "GET / HTTP/1.1\r\nhost: x\r\nx-forwarded-for: 10.6.6.6\r\n\r\n")
    assert answer["peer"] == "127.0.0.1"


@pytest.mark.parametrize(
    ("sent", "behind"),
    [
        (b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", b"\r\n"),
        (b"POST /early HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\n", b"abcde"),
    ],
    ids=["an empty line", "a body that comes too late"],
)
async def test_bytes_behind_an_answer_do_not_keep_a_connection(
    monkeypatch: pytest.MonkeyPatch, sent: bytes, behind: bytes
) -> None:
    monkeypatch.setattr(listeners, "KEEP_ALIVE_S", 1)
    app = Starlette(routes=[Route("/", peer), Route("/early", early, methods=["POST"])])
    stop = asyncio.Event()
    with bind("127.0.0.1:0", "TEST") as bound:
        task = asyncio.create_task(serve([Listener(app, bound)], stop))
        reader, writer = await asyncio.open_connection("127.0.0.1", bound.getsockname()[1])
        writer.write(sent)
        assert await reader.readuntil(b"}")
        writer.write(behind)
        async with asyncio.timeout(10):
            assert await reader.read() == b""
        writer.close()
        stop.set()
        await task


async def test_a_caller_who_reads_nothing_is_cut_and_one_who_reads_late_is_not(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_protocol, "UNREAD_S", 0.5)
    ask = b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1_000)
    writer.write(ask)
    assert await reader.readexactly(16)
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        async with asyncio.timeout(10):
            while True:  # nothing of the answer is read meanwhile
                writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
                await writer.drain()
                await asyncio.sleep(0.05)
    writer.transport.abort()
    monkeypatch.setattr(http_protocol, "UNREAD_S", 60.0)
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1_000)
    writer.write(ask + ask)
    for _ in range(2):
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        assert len(await reader.readexactly(LARGE)) == LARGE
    writer.close()
    await writer.wait_closed()


async def test_many_requests_of_one_connection_are_answered(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(50):
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        assert (await reader.readuntil(b"}")).endswith(b"}")
    writer.close()
    await writer.wait_closed()
