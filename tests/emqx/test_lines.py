"""Connections for httpx, each by itself: shared in turn, used at once, closed when nobody needs them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx
import pytest

from emqx.lines import Lines
from tests.emqx.waiting import until

pytestmark = pytest.mark.asyncio


@dataclass
class Server:
    """Answers each request with the number of its connection, once it is let."""

    port: int = 0
    opened: int = 0
    open: set[int] = field(default_factory=set)
    asked: int = 0
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.opened += 1
        number = self.opened
        self.open.add(number)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.asked += 1
                await self.may_answer.wait()
                if b"/broken" in head:
                    return
                body = str(number).encode()
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.open.discard(number)
            writer.close()


@asynccontextmanager
async def serving() -> AsyncIterator[Server]:
    """A server that answers."""
    server = Server()
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    server.may_answer.set()
    async with listening:
        yield server


async def test_requests_after_each_other_share_a_connection() -> None:
    async with serving() as server, httpx.AsyncClient(transport=Lines(5)) as http:
        for _ in range(3):
            assert (await http.get(f"http://127.0.0.1:{server.port}/")).text == "1"


async def test_requests_at_once_have_a_connection_each_and_leave_them_to_later_ones() -> None:
    async with serving() as server, httpx.AsyncClient(transport=Lines(5)) as http:
        server.may_answer.clear()
        url = f"http://127.0.0.1:{server.port}/"
        asking = [asyncio.create_task(http.get(url)) for _ in range(3)]
        await until(lambda: server.asked == 3)
        server.may_answer.set()
        assert sorted([(await one).text for one in asking]) == ["1", "2", "3"]
        await http.get(url)
        assert server.opened == 3


async def test_a_connection_that_nobody_needs_is_closed() -> None:
    now = 0.0
    async with serving() as server, httpx.AsyncClient(transport=Lines(5, clock=lambda: now)) as http:
        server.may_answer.clear()
        url = f"http://127.0.0.1:{server.port}/"
        asking = [asyncio.create_task(http.get(url)) for _ in range(3)]
        await until(lambda: server.asked == 3)
        server.may_answer.set()
        await asyncio.gather(*asking)
        now = 4.0
        await http.get(url)
        assert len(server.open) == 3
        now = 6.0
        await http.get(url)
        await until(lambda: len(server.open) == 1)


async def test_while_one_is_being_closed_the_last_may_be_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    async with serving() as server, httpx.AsyncClient(transport=Lines(5, clock=lambda: now)) as http:
        url = f"http://127.0.0.1:{server.port}/"
        server.may_answer.clear()
        asking = [asyncio.create_task(http.get(url)) for _ in range(2)]
        await until(lambda: server.asked == 2)
        server.may_answer.set()
        await asyncio.gather(*asking)
        other: list[asyncio.Task[httpx.Response]] = []
        close = httpx.AsyncHTTPTransport.aclose

        async def slow_close(transport: httpx.AsyncHTTPTransport) -> None:
            if not other:
                server.may_answer.clear()
                other.append(asyncio.create_task(http.get(url)))
                await until(lambda: server.asked == 4)
            await close(transport)

        monkeypatch.setattr(httpx.AsyncHTTPTransport, "aclose", slow_close)
        now = 6.0
        assert (await http.get(url)).status_code == 200
        server.may_answer.set()
        assert (await other[0]).status_code == 200


async def test_a_connection_that_broke_is_made_anew() -> None:
    async with serving() as server, httpx.AsyncClient(transport=Lines(5)) as http:
        url = f"http://127.0.0.1:{server.port}"
        with pytest.raises(httpx.RemoteProtocolError):
            await http.get(f"{url}/broken")
        assert (await http.get(f"{url}/")).text == "2"


async def test_a_request_that_is_given_up_leaves_no_connection_behind() -> None:
    async with serving() as server, httpx.AsyncClient(transport=Lines(5)) as http:
        server.may_answer.clear()
        url = f"http://127.0.0.1:{server.port}/"
        asking = asyncio.create_task(http.get(url))
        await until(lambda: server.asked == 1)
        asking.cancel()
        await asyncio.wait([asking])
        server.may_answer.set()
        assert (await http.get(url)).text == "2"
        await until(lambda: server.open == {2})


async def test_all_are_closed_with_the_client() -> None:
    async with serving() as server:
        async with httpx.AsyncClient(transport=Lines(5)) as http:
            await http.get(f"http://127.0.0.1:{server.port}/")
        await until(lambda: not server.open)
