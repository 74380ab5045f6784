"""``POST /emqx/events``: what happened to clients, stored before it is acknowledged (emqx-contract section 4).

Answers: 204 when the event is safely stored or of no use to us; 401 for a wrong hook secret; 400 for a body
that can never be understood; 503 for a passing fault, the only status besides 429 that EMQX retries.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated

import msgspec

from acl_service.errors import MalformedBody, Overloaded
from acl_service.group_commit import GroupCommit
from acl_service.hooks.hook_secrets import HookSecrets
from acl_service.hooks.tally import Tally
from acl_service.hooks.wire import Receive, Scope, Send, answer_empty, read_body
from directory.errors import DirectoryError
from directory.events import EventRow

STORED = frozenset(
    {
        "client.connected",
        "client.disconnected",
        "session.subscribed",
        "session.unsubscribed",
        "message.publish",
    }
)
"""The kinds that presence is derived from; others are counted and forgotten."""


BODY_LIMIT = 4 * 1024 * 1024
"""Bytes of an event's body: it may hold the whole packet (1 MiB by default, more when escaped), and one that is
refused is lost for good: a client could hide its connection behind large user properties."""

KEPT = 64 * 1024
"""Bytes of a body that are stored whole; of a larger one, the fields that presence is derived from."""

Moment = Annotated[int, msgspec.Meta(ge=0, lt=1 << 53)]
"""Milliseconds since the epoch, as far as any JSON number is exact."""


class EventBody(msgspec.Struct, frozen=True):
    """What is read of an event; the rest of its body is kept as it came (contract 4.2).

    A missing user name arrives as ``""``, ``null`` or the text ``undefined``.
    """

    event: str
    clientid: str
    username: str | None = None
    node: str | None = None
    peername: str | None = None
    reason: str | None = None
    topic: str | None = None
    connected_at: Moment | None = None
    disconnected_at: Moment | None = None
    client_attrs: dict[str, str] = msgspec.field(default_factory=dict)


_decode = msgspec.json.Decoder(EventBody).decode


class Events:
    """The sink of the broker's event action.

    Args:
        store: commits rows together with their neighbours.
        secrets: who may tell.
        tally: what is counted.
        now_ms: wall clock, milliseconds since the epoch.
        patience_s: how long a commit is waited for before EMQX is asked to try again (seconds).
    """

    def __init__(
        self,
        store: GroupCommit[EventRow],
        secrets: HookSecrets,
        tally: Tally,
        now_ms: Callable[[], int],
        *,
        patience_s: float = 10.0,
    ) -> None:
        self._store = store
        self._secrets = secrets
        self._tally = tally
        self._now_ms = now_ms
        self._patience = patience_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Take in one event."""
        if not self._secrets.accept(scope["headers"]):
            self._tally.deny("events", "secret", "the hook secret is missing or wrong")
            await answer_empty(send, 401)
            return
        try:
            body = await read_body(receive, BODY_LIMIT)
            event = _decode(body)
            row = _row(event, body, self._now_ms())
        except (MalformedBody, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            self._tally.deny("events", "body", str(error))
            await answer_empty(send, 400)
            return
        if event.event not in STORED:
            self._tally.events["other", "ignored"] += 1
            await answer_empty(send, 204)
            return
        try:
            async with asyncio.timeout(self._patience):
                await self._store.add(row)
        except Exception as error:  # whatever it is, EMQX must try again: it drops what gets any other status
            if not isinstance(error, (DirectoryError, Overloaded, TimeoutError)):
                self._tally.fault("events", error)
            self._tally.events[event.event, "postponed"] += 1
            self._tally.deny(
                "events", "postponed", f"{type(error).__name__}: {error}", client_id=event.clientid
            )
            await answer_empty(send, 503)
            return
        self._tally.events[event.event, "stored"] += 1
        await answer_empty(send, 204)


def _row(event: EventBody, body: bytes, now_ms: int) -> EventRow:
    kept = body if len(body) <= KEPT else msgspec.json.encode(event)
    return EventRow(
        received_at=now_ms,
        kind=event.event,
        client_id=_fitted(event.clientid),
        username=_fitted(_given(event.username) or ""),
        employee_id=_optional(event.client_attrs.get("employee_id"), 64),
        epoch=event.connected_at,
        disconnected_at=event.disconnected_at,
        reason=_optional(event.reason),
        topic=None if event.topic is None else _fitted(event.topic, 65_535),
        node=_optional(event.node),
        peer=_optional(_given(event.peername)),
        body=_fitted(kept.decode(), KEPT),
    )


def _given(value: str | None) -> str | None:
    return None if value in (None, "", "undefined") else value


def _optional(value: str | None, limit: int = 256) -> str | None:
    return None if value is None else _fitted(value, limit)


def _fitted(value: str, limit: int = 256) -> str:
    """The text as a column takes it: PostgreSQL stores no NUL, and EMQX lets ids of 60,000 bytes in.

    One row that cannot be stored must not fail its neighbours; the body keeps what was cut.
    """
    return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode()[:limit]
