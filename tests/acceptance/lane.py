"""One keep-alive connection that asks a hooks listener, cheap enough that the asker is not what is measured."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from tests.acl_service.serving import BEARER


class Lane:
    """Asks one question at a time over one socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, port: int) -> "Lane":
        """Connect to a hooks listener of this machine."""
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def post(self, path: str, body: dict[str, Any]) -> tuple[int, bytes]:
        """Send one body; returns the status and the body of the answer.

        Raises:
            OSError, EOFError: the connection ended before the whole answer came.
        """
        content = json.dumps(body).encode()
        head = (
            f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
            f"authorization: {BEARER['authorization']}\r\ncontent-length: {len(content)}\r\n\r\n"
        )
        self._writer.write(head.encode() + content)
        answer = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        status = int(answer.split(b" ", 2)[1])
        _, found, length = answer.partition(b"content-length: ")
        size = int(length.split(b"\r\n")[0]) if found else 0
        return status, await self._reader.readexactly(size)

    async def allows(self, client_id: str, action: str, topic: str) -> bool:
        """Ask `/emqx/authz`; every answer must be 200 with a result."""
        question = {"clientid": client_id, "action": action, "topic": topic, "qos": "1", "retain": "false"}
        status, answer = await self.post("/emqx/authz", question)
        assert status == 200, answer
        result = json.loads(answer)["result"]
        assert result in ("allow", "deny")
        return bool(result == "allow")

    async def close(self) -> None:
        """Let the connection go, which the other side may have ended already."""
        self._writer.close()
        await asyncio.gather(self._writer.wait_closed(), return_exceptions=True)


@asynccontextmanager
async def lanes(port: int, count: int) -> AsyncIterator[list[Lane]]:
    """Hold so many connections to one listener."""
    async with AsyncExitStack() as stack:
        opened = []
        for _ in range(count):
            lane = await Lane.open(port)
            stack.push_async_callback(lane.close)
            opened.append(lane)
        yield opened
