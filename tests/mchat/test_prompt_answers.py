"""Requests that are answered as they are read, and those that are not."""

import asyncio
import itertools
from collections.abc import AsyncIterator

import pytest
from starlette.types import Receive, Scope, Send

from mchat import http_protocol, listeners
from mchat.listeners import Listener, bind, serve

HEAD = b"POST %b HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n%b\r\n"


class Prompt:
    """Answers `/now` at once, unless a header says otherwise, and everything else as an application."""

    def __init__(self) -> None:
        self.offered: list[bytes] = []
        self.served: list[tuple[str, list[bytes]]] = []

    def at_once(self, target: bytes, headers: list[tuple[bytes, bytes]], body: bytes) -> bytes | None:
        self.offered.append(body)
        names = [name for name, _ in headers]
        return b'{"now":%d}' % len(body) if target == b"/now" and b"x-later" not in names else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        size, more = 0, True
        while more:
            message = await receive()
            size, more = size + len(message["body"]), message["more_body"]
        self.served.append((scope["path"], [name for name, _ in scope["headers"]]))
        await asyncio.sleep(0.001)
        content = b'{"later":%d}' % size
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [(b"content-length", b"%d" % len(content))],
            }
        )
        await send({"type": "http.response.body", "body": content})


@pytest.fixture
def prompt() -> Prompt:
    return Prompt()


@pytest.fixture
async def server(prompt: Prompt) -> AsyncIterator[tuple[int, asyncio.Event]]:
    stop = asyncio.Event()
    with bind("127.0.0.1:0", "TEST") as bound:
        task = asyncio.create_task(serve([Listener(prompt, bound)], stop))
        yield bound.getsockname()[1], stop
        stop.set()
        await task


def post(target: bytes, body: bytes = b"", lines: bytes = b"") -> bytes:
    return HEAD % (target, len(body), lines) + body


async def told(port: int, sent: bytes, answers: int = 1) -> list[bytes]:
    """The bodies of the answers to what is sent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(10):
            writer.write(sent)
            return [await body(reader) for _ in range(answers)]
    finally:
        writer.transport.abort()


async def body(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    return await reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0]))


async def test_a_whole_post_is_answered_at_once(prompt: Prompt, server: tuple[int, asyncio.Event]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server[0])
    for part in (post(b"/now", b"abc")[at : at + 1] for at in range(len(post(b"/now", b"abc")))):
        writer.write(part)
        await writer.drain()
    assert await reader.readuntil(b"}") == (
        b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{"now":3}'
    )
    writer.write(post(b"/now", b"abcd"))
    assert await body(reader) == b'{"now":4}'
    writer.transport.abort()
    assert (prompt.offered, prompt.served) == ([b"abc", b"abcd"], [])


async def test_pipelined_requests_are_answered_in_their_order(server: tuple[int, asyncio.Event]) -> None:
    for kinds in itertools.product((b"/now", b"/later"), repeat=4):
        sent = b"".join(post(kind, b"x" * size) for size, kind in enumerate(kinds))
        answers = await told(server[0], sent, len(kinds))
        assert [int(answer.rstrip(b"}").partition(b":")[2]) for answer in answers] == [0, 1, 2, 3]
        # What comes behind one that has to wait waits with it.
        prompt_ones = list(itertools.takewhile(lambda kind: kind == b"/now", kinds))
        assert [answer.startswith(b'{"now"') for answer in answers] == [
            at < len(prompt_ones) for at in range(len(kinds))
        ]


@pytest.mark.parametrize(
    ("sent", "offered"),
    [
        (post(b"/now", b"abc", b"x-later: 1\r\n"), True),
        (post(b"/now", b"abc", b"connection: close\r\n"), False),
        (post(b"/now", b"abc").replace(b"HTTP/1.1", b"HTTP/1.0"), False),
        (post(b"/now", b"abc").replace(b"POST", b"PUT"), False),
        (post(b"/now?a=b", b"abc"), True),
    ],
    ids=["not at once", "close", "1.0", "put", "query"],
)
async def test_what_is_not_answered_at_once_is_served_whole(
    prompt: Prompt, server: tuple[int, asyncio.Event], sent: bytes, *, offered: bool
) -> None:
    assert await told(server[0], sent) == [b'{"later":3}']
    assert prompt.offered == ([b"abc"] if offered else [])
    assert [path for path, _ in prompt.served] == ["/now"]
    assert b"content-length" in prompt.served[0][1]


async def test_an_upgrade_is_left_to_uvicorn(prompt: Prompt, server: tuple[int, asyncio.Event]) -> None:
    sent = post(b"/now", b"", b"connection: upgrade\r\nupgrade: h2c\r\n")
    assert await told(server[0], sent) == [b'{"later":0}']
    assert prompt.offered == []


async def test_a_long_body_is_served_as_it_comes(prompt: Prompt, server: tuple[int, asyncio.Event]) -> None:
    size = http_protocol.HELD_BYTES
    assert await told(server[0], post(b"/now", b"x" * size)) == [b'{"now":%d}' % size]
    assert await told(server[0], post(b"/now", b"x" * (size + 1))) == [b'{"later":%d}' % (size + 1)]


async def test_a_body_in_chunks_is_one_body_and_its_trailers_are_nothing(
    prompt: Prompt, server: tuple[int, asyncio.Event]
) -> None:
    chunks = b"3\r\nabc\r\n2\r\nde\r\n0\r\nx-later: 1\r\n\r\n"
    head = b"POST %b HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    assert await told(server[0], head % b"/now" + chunks) == [b'{"now":5}']
    assert await told(server[0], head % b"/later" + chunks) == [b'{"later":5}']
    assert prompt.served == [("/later", [b"host", b"transfer-encoding"])]


async def test_who_waits_to_be_told_to_go_on_is_told(server: tuple[int, asyncio.Event]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server[0])
    writer.write(post(b"/now", b"", b"expect: 100-continue\r\n").replace(b"length: 0", b"length: 3"))
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(b"abc")
    assert await body(reader) == b'{"later":3}'
    writer.transport.abort()


async def test_a_request_that_does_not_end_is_cut(
    server: tuple[int, asyncio.Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_protocol, "REQUEST_S", 0.2)
    reader, writer = await asyncio.open_connection("127.0.0.1", server[0])
    writer.write(post(b"/now", b"abc")[:-1])
    async with asyncio.timeout(5):
        assert await reader.read() == b""
    writer.close()


async def test_a_request_that_has_begun_is_finished_before_the_end(
    prompt: Prompt, server: tuple[int, asyncio.Event]
) -> None:
    port, stop = server
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    whole = post(b"/now", b"a" * 100)
    writer.write(post(b"/now") + whole[:-1])
    assert await body(reader) == b'{"now":0}'
    stop.set()
    # The listener closes first; then what is in hand is waited for.
    async with asyncio.timeout(5):
        while not await refused(port):
            await asyncio.sleep(0.01)
    writer.write(whole[-1:])
    assert await body(reader) == b'{"later":100}'
    writer.transport.abort()


async def refused(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except (ConnectionRefusedError, ConnectionResetError):
        # Reset: it came while the listener closed, and was never taken.
        return True
    writer.transport.abort()
    return False


async def test_an_idle_connection_is_closed_after_a_prompt_answer_too(
    prompt: Prompt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listeners, "KEEP_ALIVE_S", 1)
    stop = asyncio.Event()
    with bind("127.0.0.1:0", "TEST") as bound:
        task = asyncio.create_task(serve([Listener(prompt, bound)], stop))
        reader, writer = await asyncio.open_connection("127.0.0.1", bound.getsockname()[1])
        writer.write(post(b"/now"))
        assert await body(reader) == b'{"now":0}'
        async with asyncio.timeout(10):
            assert await reader.read() == b""
        writer.close()
        stop.set()
        await task
