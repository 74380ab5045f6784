"""The three hooks as plain ASGI callables, in front of everything else that the listener serves.

No router, middleware or request object stands between the broker and its answer: the hot path is one look
into a dictionary away from the socket.
"""

from __future__ import annotations

from starlette.types import ASGIApp

from acl_service.hooks.authn import Authn
from acl_service.hooks.authz import Authz
from acl_service.hooks.events import Events
from acl_service.hooks.tally import Tally
from acl_service.hooks.wire import DENY, Headers, Receive, Scope, Send, answer, answer_empty

AUTHN = "/emqx/authn"
AUTHZ = "/emqx/authz"
EVENTS = "/emqx/events"


class Front:
    """Sends the broker's three questions to their answerers, and everything else behind.

    Args:
        authn: answers ``POST /emqx/authn``.
        authz: answers ``POST /emqx/authz``.
        events: answers ``POST /emqx/events``.
        tally: what is counted.
        behind: the application for other paths (health, metrics).
    """

    def __init__(self, authn: Authn, authz: Authz, events: Events, tally: Tally, behind: ASGIApp) -> None:
        self._hooks: dict[str, Authn | Authz | Events] = {AUTHZ: authz, AUTHN: authn, EVENTS: events}
        self._at_once = {AUTHZ.encode(): authz.at_once, AUTHN.encode(): authn.at_once}
        self._tally = tally
        self._behind = behind

    def at_once(self, target: bytes, headers: Headers, body: bytes) -> bytes | None:
        """The JSON answer to a whole POST request that has to wait for nothing; None: serve it as any other.

        For a server that can answer as it reads (`mchat.http_protocol`). Only allows come so; whatever is wrong,
        missing or to be confirmed goes the way of all requests and is told there.

        Args:
            target: path and query as they came.
            headers: in lower case, as they came.
            body: whole.
        """
        answerer = self._at_once.get(target)
        return None if answerer is None else answerer(headers, body)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        hook = self._hooks.get(scope["path"]) if scope["type"] == "http" else None
        if hook is None:
            await self._behind(scope, receive, send)
        elif scope["method"] == "POST":
            await hook(scope, receive, send)
        elif scope["path"] == EVENTS:
            await answer_empty(send, 405)
        else:
            # Not built: GET hooks put passwords into URLs. Still a result, never a 4xx (decision 1).
            self._tally.deny(
                scope["path"].rpartition("/")[2], "method", f"asked by {scope['method']}, not POST"
            )
            await answer(send, DENY)
