"""uvicorn's HTTP/1.1 protocol with bounds on what a stranger may send before a request is one, and a short way."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol, runtime_checkable

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES = 16 * 1024
"""Bytes of a request's line and headers, or of its trailers, to the granularity of one read from the socket."""

REQUEST_S = 10.0
"""Seconds from the first byte of a request to its last."""

UNREAD_S = 30.0
"""Seconds in which a caller has to take in what was sent to it, once its connection is full."""

HELD_BYTES = 64 * 1024
"""Bytes of a body that is kept for the short way; a longer one goes to the application as it comes."""

_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"


@runtime_checkable
class Ready(Protocol):
    """An application that can answer some requests without waiting for anything."""

    def at_once(self, target: bytes, headers: list[tuple[bytes, bytes]], body: bytes) -> bytes | None:
        """The JSON body of a 200 to a whole POST request; None: call the application for it."""


class BoundedHttpProtocol(HttpToolsProtocol):
    """Closes a connection whose head does not end, or whose request does not.

    The parser keeps headers until they are complete, without a limit of its own. A connection that sends nothing
    at all is closed as an idle one (uvicorn's keep-alive time); one that takes none of its answers in is cut, since
    answers without end would wait for it. Trailers are bounded like a head and dropped: they must not become
    headers (RFC 9110 section 6.5.1), least of all ``Authorization``.

    A POST to an application that is `Ready` is held back until it is whole and then offered to it: a task, a
    cycle and two messages a request cost more than the decision that most of the broker's questions need.
    """

    _unfinished = True
    _in_head = True
    _behind_body = False
    _head = 0
    _deadline: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None
    _held: list[tuple[bytes, bytes]] | None = None
    _body = b""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._ready = self.app if isinstance(self.app, Ready) else None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._wait_for_the_next()

    def data_received(self, data: bytes) -> None:
        """Take in bytes; a request that is not whole yet has to become so in time."""
        self._behind_body = False
        super().data_received(data)
        if not self._unfinished:
            if self._deadline is not None:
                self._deadline.cancel()
                self._deadline = None
            if self.timeout_keep_alive_task is None and self._is_idle() and not self.transport.is_closing():
                # uvicorn stops waiting at any byte: an empty line, or a body that comes behind its answer.
                self._wait_for_the_next()
            return
        if self._in_head and not self._behind_body:
            self._head += len(data)
            if self._head > HEAD_BYTES:
                self._give_up()
                return
        if self._deadline is None:
            self._deadline = self.loop.call_later(REQUEST_S, self._give_up)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the deadline with the connection."""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        self._stop_waiting_for_room()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Wait no longer than that for a caller who does not read its answers."""
        super().pause_writing()
        if self._unread is None:
            self._unread = self.loop.call_later(UNREAD_S, self.transport.abort)

    def resume_writing(self) -> None:
        """There is room again."""
        self._stop_waiting_for_room()
        super().resume_writing()

    def shutdown(self) -> None:
        """Let a request that has begun be finished, held back or not."""
        if self._held is not None:
            self._hand_over()
        super().shutdown()

    def on_message_begin(self) -> None:
        """Note that a request has begun."""
        self._unfinished = self._in_head = True
        self._head = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Note that its head is whole; uvicorn would add trailers to the headers that the application sees."""
        self._in_head = False
        if self._ready is not None and self._can_be_held():
            self._held, self._body, self.headers = self.headers, b"", []
            return
        super().on_headers_complete()
        self.headers = []

    def on_chunk_header(self) -> None:
        """Note that a chunk begins: behind the last one, which has no body, come trailers.

        What this read brought before may be the body of other chunks: counted is from the next one on.
        """
        self._in_head = self._behind_body = True
        self._head = 0

    def on_body(self, body: bytes) -> None:
        """Note that it was not the last chunk."""
        self._in_head = False
        if self._held is None:
            super().on_body(body)
            return
        self._body = self._body + body if self._body else body
        if len(self._body) > HELD_BYTES:
            self._hand_over()

    def on_message_complete(self) -> None:
        """Note that it is whole, and answer it at once if that can be."""
        self._unfinished = False
        if self._held is not None:
            if self._answered_at_once(self._held):
                return
            self._hand_over()
        super().on_message_complete()

    def _is_idle(self) -> bool:
        """Whether every request that was handed over has been answered."""
        return self.cycle is None or self.cycle.response_complete

    def _can_be_held(self) -> bool:
        """Whether nothing is in hand that must be answered before, and nothing is odd about the request."""
        return (
            self._is_idle()
            and not self.expect_100_continue
            and self.parser.get_method() == b"POST"
            and self.parser.get_http_version() == "1.1"
            and not self.parser.should_upgrade()
        )

    def _answered_at_once(self, headers: list[tuple[bytes, bytes]]) -> bool:
        assert self._ready is not None  # noqa: S101 - else nothing is held
        if self.flow.write_paused or self.transport.is_closing() or not self.parser.should_keep_alive():
            return False
        answer = self._ready.at_once(self.url, headers, self._body)
        if answer is None:
            return False
        self._held, self._body = None, b""
        self.transport.write(_ANSWER % (len(answer), answer))
        self.server_state.total_requests += 1
        self._unset_keepalive_if_required()
        self._wait_for_the_next()
        return True

    def _hand_over(self) -> None:
        """Give the request that is held back to the application, as uvicorn does with all others."""
        assert self._held is not None  # noqa: S101 - the callers have looked
        self.headers, self._held = self._held, None
        super().on_headers_complete()
        self.headers = []
        body, self._body = self._body, b""
        if body:
            super().on_body(body)

    def _wait_for_the_next(self) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def _stop_waiting_for_room(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _give_up(self) -> None:
        self.transport.close()
