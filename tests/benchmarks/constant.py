"""The constant: ``python -m tests.benchmarks.constant PORT [prompt]`` answers every request with an allow.

The same server as `mchat serve` runs, with the same settings and protocol class, and an application that reads
no body and builds nothing: the rate that no hook can pass that is an ordinary application of this server. The hooks
answer most questions as they are read (decision 34), past what such an application costs; with ``prompt`` the constant
is answered so too, and that is the rate that they cannot pass.
"""

import asyncio
import sys

from acl_service.hooks.wire import ALLOW, Headers, Receive, Scope, Send
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


class Prompt:
    """Says yes as the request is read."""

    def at_once(self, target: bytes, headers: Headers, body: bytes) -> bytes | None:
        """Say yes; the body was read and is not looked at."""
        return ALLOW

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Say yes to what the server does not offer (a GET, the first request of a probe)."""
        await answer(scope, receive, send)


async def main(port: str, how: str = "") -> None:
    """Serve until the process is ended."""
    app = Prompt() if how == "prompt" else answer
    with bind(f"127.0.0.1:{port}", "PORT") as bound:
        await serve([Listener(app, bound)], asyncio.Event())


if __name__ == "__main__":
    run(main(*sys.argv[1:]))
