"""A broker's list of clients: ``python -m tests.benchmarks.broker_list PORT CLIENTS``.

Answers ``/nodes`` and ``/clients_v2`` as EMQX 5.8.9 was recorded to, with all of a row's fields, by cursor. A client
follows from its number, so that nothing has to be kept. The server is the one of `mchat serve`.
"""

import asyncio
import json
import sys
import time
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

from acl_service.hooks.wire import Receive, Scope, Send
from mchat.listeners import Listener, bind, serve
from mchat.roots import run
from tests.contract.recordings import lines

NODE = "emqx@127.0.0.1"
CONNECTED_MS = 1_795_250_591_000
"""When all of them came, milliseconds since the epoch."""


def client_id(number: int) -> str:
    """The client id of that number."""
    return f"emp_{number}_pc"


def employee_id(number: int) -> str:
    """Whose it is."""
    return f"emp_{number}"


_ATTRIBUTES = {"role": "employee", "grants_version": "1", "credential_id": "cred_1", "zone": "default"}
_ROW = {
    "clientid": "PERSON_pc",
    "username": "PERSON",
    "client_attrs": {"employee_id": "PERSON", **_ATTRIBUTES},
    "node": NODE,
    "connected": True,
    "connected_at": datetime.fromtimestamp(CONNECTED_MS // 1_000, UTC).isoformat(),
}


def recorded(name: str, path: str) -> Any:
    """The body of the first good answer of a recording to a call of that path."""
    for line in lines(name):
        if line["request"]["path"] == path and line["response"]["status"] == 200:
            return line["response"]["body"]
    raise AssertionError(f"{name} has no answer to {path}")


class List:
    """The list.

    Args:
        clients: how many it shows, all of them connected.
    """

    def __init__(self, clients: int) -> None:
        self._clients = clients
        self._began = time.monotonic()
        row = {**recorded("rest2.jsonl", "/api/v5/clients_v2")["data"][0], **_ROW}
        self._row = json.dumps(row)
        (self._node,) = recorded("rest2.jsonl", "/api/v5/nodes")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one call."""
        path, query = scope["path"], parse_qs(scope["query_string"].decode())
        if path == "/api/v5/nodes":
            uptime = int((time.monotonic() - self._began) * 1_000)
            node = {**self._node, "node": NODE, "live_connections": self._clients, "uptime": uptime}
            body = json.dumps([node])
        elif path == "/api/v5/clients_v2":
            body = self._page(int(query.get("cursor", ["0"])[0]), int(query.get("limit", ["100"])[0]))
        else:
            await _answer(send, 404, '{"code": "NOT_FOUND", "message": "not found"}')
            return
        await _answer(send, 200, body)

    def _page(self, first: int, limit: int) -> str:
        last = min(first + limit, self._clients)
        rows = ",".join(self._row.replace("PERSON", employee_id(number)) for number in range(first, last))
        meta = {"count": last - first, **({"cursor": str(last)} if last < self._clients else {})}
        return f'{{"data":[{rows}],"meta":{json.dumps(meta)}}}'


async def _answer(send: Send, status: int, body: str) -> None:
    content = body.encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(content))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})


async def main(port: str, clients: str) -> None:
    """Serve until the process is ended."""
    with bind(f"127.0.0.1:{port}", "PORT") as bound:
        await serve([Listener(List(int(clients)), bound)], asyncio.Event())


if __name__ == "__main__":
    run(main(*sys.argv[1:]))
