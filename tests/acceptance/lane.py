"""One keep-alive connection that asks `/emqx/authz`, cheap enough that the asker is not what is measured."""

import asyncio
import json

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

    async def allows(self, client_id: str, action: str, topic: str) -> bool:
        """Ask; every answer must be 200 with a result."""
        question = {"clientid": client_id, "action": action, "topic": topic, "qos": "1", "retain": "false"}
        body = json.dumps(question).encode()
        head = (
            "POST /emqx/authz HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
            f"authorization: {BEARER['authorization']}\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        self._writer.write(head.encode() + body)
        answer = await self._reader.readuntil(b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200 "), answer
        length = int(answer.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        result = json.loads(await self._reader.readexactly(length))["result"]
        assert result in ("allow", "deny")
        return bool(result == "allow")

    async def close(self) -> None:
        self._writer.close()
        await self._writer.wait_closed()
