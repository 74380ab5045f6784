"""``GET /admin/presence/stream``: who is online, and then every change, as server-sent events.

A listener gets ``snapshot`` events with those who are online, and ``change`` events from then on, each with the
number of the change as its id. Whoever comes back with ``Last-Event-ID`` gets what changed since, and no snapshot:
numbers are those of the database, so any process goes on, however long it took. ``end`` says why a stream ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Final, TypeVar

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from acl_service.admin.access import Caller
from acl_service.admin.presence import STAFF, answered, shown, unavailable
from acl_service.admin.presence_changes import Told, event, told
from acl_service.admin.presence_listeners import LAST_WORD_S, WHY, Full, Listeners
from acl_service.admin.query import Query, whole_number
from acl_service.completion import completed
from directory import attendance, standing
from directory.attendance import MOST, Wanted
from directory.errors import DirectoryError

log = structlog.get_logger(__name__)

T = TypeVar("T")

_AT_ONCE: Final = 256
_AGAIN_MS: Final = 2_000


class PresenceStream:
    """The route.

    Args:
        listeners: of this process.
    """

    def __init__(self, listeners: Listeners) -> None:
        self._listeners = listeners

    @answered
    async def respond(self, request: Request, caller: Caller) -> Response:
        """Open a stream, from ``Last-Event-ID`` on or from the beginning."""
        Query(request, ())
        last = request.headers.get("last-event-id")
        number = whole_number("Last-Event-ID", last, least=0) if last else None
        if not await self._listeners.may(caller):
            roles = ", ".join(sorted(STAFF))
            return JSONResponse(
                {"error": f"role {caller.role} may not listen to everybody: needs one of {roles}"},
                status_code=403,
            )
        return _Stream(self._listeners, caller.employee_id, request.headers.get("authorization"), number)


class _Ended(Exception):
    """A stream is over, and why: a key of `WHY`."""


class _Stream(Response):
    """One listener: told until it leaves, or may not stay."""

    media_type = "text/event-stream"

    def __init__(
        self, listeners: Listeners, employee_id: str, authorization: str | None, number: int | None
    ) -> None:
        # Proxies must neither keep it nor hold it back.
        super().__init__(headers={"cache-control": "no-store", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._listeners = listeners
        self._changes = listeners.changes
        self._bounds = listeners.bounds
        self._clock = listeners.clock
        self._employee_id = employee_id
        self._authorization = authorization
        self._number = number
        self._check_at = listeners.clock() + listeners.bounds.check_s
        self._said_at = listeners.clock()
        self._why: str | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["method"] == "HEAD":
            await self._head(send)
            await send({"type": "http.response.body", "body": b""})
            return
        telling = self._listeners.begin(self._employee_id, lambda: self._tell(scope, receive, send))
        if not isinstance(telling, asyncio.Task):
            await self._refused(telling)(scope, receive, send)
            return
        leaving = asyncio.create_task(_left(receive), name="presence listener")
        try:
            await asyncio.wait((leaving, telling), return_when=asyncio.FIRST_COMPLETED)
        finally:
            leaving.cancel()
            await self._listeners.close(telling)
            self._listeners.count(self._why)

    def _refused(self, full: Full) -> Response:
        most = self._bounds.of_one
        status, error = {
            "process": (503, "no room for one more listener: try again"),
            "person": (429, f"{self._employee_id} has {most} streams open, as many as may be: close one"),
        }[full]
        return JSONResponse({"error": error}, status_code=status, headers={"retry-after": "5"})

    async def _tell(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Tell until it ends."""
        async with AsyncExitStack() as following:
            try:
                await following.enter_async_context(self._changes.followed())
            except DirectoryError:
                self._why = "stale"
                await unavailable()(scope, receive, send)
                return
            await self._head(send)
            try:
                await self._say(send, b"retry: %d\n\n" % _AGAIN_MS)
                await self._go_on(send, await self._first(send))
            except _Ended as ended:
                self._why = why = str(ended)
            except DirectoryError:
                self._why = why = "stale"
            patience = LAST_WORD_S if self._listeners.stopping else self._bounds.send_s
            try:
                async with asyncio.timeout(patience):
                    last = event("end", {"why": why, "message": WHY[why]})
                    await send({"type": "http.response.body", "body": last})
            except TimeoutError:
                log.debug("a listener to presence takes no last word", why=why)

    async def _first(self, send: Send) -> int:
        """Send who is online, unless the listener knows; returns the number up to which it knows then.

        The number is read before the people: whoever changes between is told once more.
        """
        newest = await self._read(standing.newest_change)
        # A greater number is of another database.
        if self._number is not None and self._number <= newest:
            return self._number
        after, more = "", True
        while more:
            await self._check()
            people = await self._read(partial(attendance.page, wanted=Wanted(status="online"), after=after))
            more = len(people) == MOST
            data = {"people": [shown(one) for one in people], "more": more}
            await self._say(send, event("snapshot", data, None if more else newest))
            after = people[-1].employee_id if people else ""
        return newest

    async def _go_on(self, send: Send, number: int) -> None:
        """Send what changes behind a number, without end."""
        live = False
        while True:
            await self._check()
            news = self._changes.news()
            found = self._changes.after(number, _AT_ONCE)
            if found is None:
                if live:
                    raise _Ended("slow")
                found = await self._changed_after(number)
            else:
                live = True
            if found:
                await self._say(send, b"".join(one.event for one in found))
                number = found[-1].number
                # Room is made without waiting as a rule: the others have their turn.
                await asyncio.sleep(0)
                continue
            await self._pause(send, news)

    async def _changed_after(self, number: int) -> Sequence[Told]:
        found = await self._read(partial(attendance.changed_after, change_number=number, limit=MOST))
        return [told(one) for one in found]

    async def _read(self, query: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        """Read for this listener alone; few do so at once."""

        async def read() -> T:
            async with self._listeners.database.read() as connection:
                return await query(connection)

        async with self._listeners.reading:
            return await completed(read())

    async def _pause(self, send: Send, news: asyncio.Event) -> None:
        """Wait for news, and say now and then that there is none."""
        heartbeat_at = self._said_at + self._bounds.heartbeat_s
        try:
            async with asyncio.timeout(max(0.0, min(heartbeat_at, self._check_at) - self._clock())):
                await news.wait()
        except TimeoutError:
            if self._clock() >= heartbeat_at:
                await self._say(send, b": no change\n\n")

    async def _check(self) -> None:
        """End the stream if it must not go on."""
        now = self._clock()
        if self._listeners.stopping:
            raise _Ended("stopping")
        if now - self._changes.proved_at > self._bounds.stale_s:
            raise _Ended("stale")
        if now >= self._check_at:
            self._check_at = now + self._bounds.check_s
            if why := await self._listeners.refusal(self._authorization):
                raise _Ended(why)

    async def _head(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})

    async def _say(self, send: Send, body: bytes) -> None:
        try:
            async with asyncio.timeout(self._bounds.send_s):
                await send({"type": "http.response.body", "body": body, "more_body": True})
        except TimeoutError:
            raise _Ended("slow") from None
        self._said_at = self._clock()


async def _left(receive: Receive) -> None:
    """Wait until the listener is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
