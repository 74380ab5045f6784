"""A stand-in for MChat behind real HTTP: answers what a test tells it, and records every request."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tests.emqx.waiting import until

Body = dict[str, Any]


def answer(body: object, status: int = 200, content_type: str = "application/json") -> Response:
    return Response(json.dumps(body), status, media_type=content_type)


def allow(**fields: object) -> Response:
    return answer({"result": "allow", **fields})


def deny() -> Response:
    return answer({"result": "deny"})


@dataclass
class Recorded:
    path: str
    headers: dict[str, str]
    body: Body


@dataclass
class FakeMChat:
    """What it answers may be changed at any time; a handler may wait."""

    authn: Callable[[Body], Response] = lambda body: allow()
    authz: Callable[[Body], Response] = lambda body: allow()
    event: Callable[[Body], Response] = lambda body: Response(status_code=204)
    requests: list[Recorded] = field(default_factory=list)
    held: asyncio.Event = field(default_factory=asyncio.Event)
    held_path: str = ""
    url: str = ""

    def hold(self, path: str) -> None:
        """Requests to this path are recorded, but answered only after release()."""
        self.held.clear()
        self.held_path = path

    def release(self) -> None:
        self.held_path = ""
        self.held.set()

    def asked(self, path: str) -> list[Body]:
        return [request.body for request in self.requests if request.path == f"/emqx/{path}"]

    def events(self, *kinds: str, client_id: str | None = None) -> list[Body]:
        return [
            body
            for body in self.asked("events")
            if (not kinds or body["event"] in kinds) and client_id in (None, body["clientid"])
        ]

    async def event_of(self, kind: str, client_id: str, count: int = 1) -> Body:
        """The count-th event of this kind, once it is there."""
        await until(lambda: len(self.events(kind, client_id=client_id)) >= count)
        return self.events(kind, client_id=client_id)[count - 1]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        body = json.loads(await request.body())
        self.requests.append(Recorded(request.url.path, dict(request.headers), body))
        if request.url.path == self.held_path:
            await self.held.wait()
        answers = {"/emqx/authn": self.authn, "/emqx/authz": self.authz, "/emqx/events": self.event}
        await answers[request.url.path](body)(scope, receive, send)


@asynccontextmanager
async def serving(mchat: FakeMChat, port: int = 0) -> AsyncIterator[FakeMChat]:
    # asyncio sets TCP_NODELAY only where the protocol is named; without it each answer takes 40 ms.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        mchat.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        config = uvicorn.Config(
            mchat, lifespan="off", log_config=None, timeout_graceful_shutdown=1, timeout_keep_alive=75
        )
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            await until(lambda: server.started)
            yield mchat
        finally:
            mchat.release()
            server.should_exit = True
            await task
