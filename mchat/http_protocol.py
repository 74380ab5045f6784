"""uvicorn's HTTP/1.1 protocol with bounds on what a stranger may send before a request is one."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES = 16 * 1024
"""Bytes of a request's line and headers, or of its trailers, to the granularity of one read from the socket."""

REQUEST_S = 10.0
"""Seconds from the first byte of a request to its last."""


class BoundedHttpProtocol(HttpToolsProtocol):
    """Closes a connection whose head does not end, or whose request does not.

    The parser keeps headers until they are complete, without a limit of its own. A connection that sends
    nothing at all is closed as an idle one (uvicorn's keep-alive time). Trailers are bounded like a head and
    dropped: they must not become headers (RFC 9110 section 6.5.1), least of all ``Authorization``.
    """

    _unfinished = True
    _in_head = True
    _behind_body = False
    _head = 0
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def data_received(self, data: bytes) -> None:
        """Take in bytes; a request that is not whole yet has to become so in time."""
        self._behind_body = False
        super().data_received(data)
        if not self._unfinished:
            if self._deadline is not None:
                self._deadline.cancel()
                self._deadline = None
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
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """Note that a request has begun."""
        self._unfinished = self._in_head = True
        self._head = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Note that its head is whole; uvicorn would add trailers to the headers that the application sees."""
        self._in_head = False
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
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Note that it is whole."""
        self._unfinished = False
        super().on_message_complete()

    def _give_up(self) -> None:
        self.transport.close()
