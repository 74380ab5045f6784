"""The constant: ``python -m tests.benchmarks.constant PORT`` answers every request with an allow.

The same server as `mchat serve` runs, with the same settings and protocol class, and an application that reads
no body and builds nothing: the rate that no hook on this server can pass.
"""

import asyncio
import sys

from acl_service.hooks.wire import ALLOW, Receive, Scope, Send
from mchat.listeners import Listener, bind, serve
from mchat.roots import run

START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(ALLOW))],
}
BODY = {"type": "http.response.body", "body": ALLOW}


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    """Say yes."""
    await send(START)
    await send(BODY)


async def main(port: str) -> None:
    """Serve until the process is ended."""
    with bind(f"127.0.0.1:{port}", "PORT") as bound:
        await serve([Listener(answer, bound)], asyncio.Event())


if __name__ == "__main__":
    run(main(sys.argv[1]))
