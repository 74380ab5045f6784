import asyncio
from contextlib import suppress

from emqx.laptop.links import TcpLink


async def test_closing_does_not_wait_for_a_client_that_reads_nothing() -> None:
    links: asyncio.Queue[TcpLink] = asyncio.Queue()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await links.put(TcpLink(reader, writer))

    async with await asyncio.start_server(accept, "127.0.0.1", 0) as server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        link = await links.get()
        assert link.peer == writer.get_extra_info("sockname")
        assert link.socket == writer.get_extra_info("peername")
        size = 64 * 1024 * 1024
        sending = asyncio.create_task(link.send(bytes(size)))
        await asyncio.sleep(0)
        async with asyncio.timeout(10):
            await link.close()
        with suppress(ConnectionError):
            await sending
        received = 0
        with suppress(ConnectionError):
            while data := await reader.read(1_000_000):
                received += len(data)
        assert received < size
        writer.close()


async def test_client_that_resets_is_gone() -> None:
    links: asyncio.Queue[TcpLink] = asyncio.Queue()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await links.put(TcpLink(reader, writer))

    async with await asyncio.start_server(accept, "127.0.0.1", 0) as server:
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        link = await links.get()
        await link.send(b"unread")
        writer.transport.abort()
        assert await link.receive() == b""
        await link.close()
