"""Attempts on the hooks' and the admin API's listeners, in bytes: what no HTTP library would send."""

import asyncio
import json
from dataclasses import dataclass
from typing import Final

from tests.acceptance.bypass.company import token_of
from tests.acceptance.bypass.row import ALLOWED, CLOSED, DENIED, Attempt
from tests.acceptance.bypass.stage import Stage
from tests.acl_service.serving import HOOK_SECRET

SECRET_LINE: Final = f"authorization: Bearer {HOOK_SECRET}"
_SECONDS: Final = 10.0


def authz(**changes: object) -> bytes:
    """The body of an allowed question, with changes."""
    question = {"clientid": "amy_pc", "topic": "mchat/inbox/amy", "action": "subscribe"}
    return json.dumps({**question, "qos": "1", "retain": "false", **changes}).encode()


def chunked(body: bytes, *trailers: str) -> bytes:
    """A body in one chunk."""
    ends = "".join(f"{line}\r\n" for line in trailers)
    return b"%x\r\n%s\r\n0\r\n%s\r\n" % (len(body), body, ends.encode())


@dataclass(frozen=True, slots=True)
class Call(Attempt):
    """One HTTP request, in bytes, judged by the status and body of its answer.

    Attributes:
        target: path and query, as they are written.
        secret: the header line with the hook secret; several may be several.
        lines: of the head, besides.
        framing: the lines that tell where the body ends; None: its length.
        body: as it is sent, chunk sizes included.
        before: a request that is sent on the same connection first, and must be allowed.
    """

    body: bytes = authz()
    target: str = "/emqx/authz"
    method: str = "POST"
    version: str = "HTTP/1.1"
    secret: tuple[str, ...] = (SECRET_LINE,)
    lines: tuple[str, ...] = ("content-type: application/json",)
    framing: tuple[str, ...] | None = None
    before: "Call | None" = None

    def written(self) -> bytes:
        """What is sent."""
        framing = (f"content-length: {len(self.body)}",) if self.framing is None else self.framing
        first = f"{self.method} {self.target} {self.version}"
        head = "\r\n".join((first, "host: x", *self.secret, *self.lines, *framing, "", ""))
        return head.encode("latin-1") + self.body

    async def made(self, stage: Stage) -> str:
        """See Attempt."""
        reader, writer = await asyncio.open_connection("127.0.0.1", stage.plain.hooks.base_url.port)
        try:
            async with asyncio.timeout(_SECONDS):
                if self.before is not None:
                    writer.write(self.before.written())
                writer.write(self.written())
                if self.before is not None:
                    assert await _judged(reader) == ALLOWED
                return await _judged(reader)
        finally:
            writer.transport.abort()


async def _judged(reader: asyncio.StreamReader) -> str:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        status = head.split(b" ", 2)[1].decode()
        _, found, length = head.partition(b"\r\ncontent-length: ")
        body = await reader.readexactly(int(length.split(b"\r\n")[0])) if found else await reader.read()
    except (asyncio.IncompleteReadError, ConnectionError):
        return CLOSED
    if status == "200" and b"application/json" in head:
        result = json.loads(body)["result"]
        assert (result == "allow") != (body == b'{"result":"deny"}')
        return ALLOWED if result == "allow" else DENIED
    return ALLOWED if status == "200" else status


@dataclass(frozen=True, slots=True)
class AdminCall(Attempt):
    """A call of a guarded route of the admin API.

    Attributes:
        bearer: the token; empty: the one that logging in gave.
    """

    bearer: str = ""

    async def made(self, stage: Stage) -> str:
        """See Attempt."""
        token = self.bearer
        if not token:
            person = {"username": "amy", "password": token_of("amy")}
            token = (await stage.plain.admin.post("/admin/login", json=person)).json()["access_token"]
        answer = await stage.plain.admin.get("/admin/me", headers={"authorization": f"Bearer {token}"})
        assert answer.status_code in (200, 401)
        return ALLOWED if answer.status_code == 200 else DENIED
