"""HTTP connections for httpx, each by itself: what a request costs does not grow with how many there are.

httpx's own pool looks at every one of its connections, and asks the system about each idle one, whenever a request
begins or ends: with eight of them a third of what a call costs, with ninety nearly all of it.
"""

from __future__ import annotations

import ssl
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx

_Origin = tuple[str, str, int | None]


class Lines(httpx.AsyncBaseTransport):
    """A transport of as many connections as there are requests at once; the caller bounds those.

    The connection that was used last is used next, so that those which are not needed fall idle, and are closed.

    Args:
        expiry_s: so long an idle connection is kept.
        verify: what TLS connections trust.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        expiry_s: float,
        *,
        verify: ssl.SSLContext | bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._expiry_s = expiry_s
        self._verify = verify
        self._clock = clock
        self._limits = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=expiry_s)
        # Idle ones, those that have been so longest first, with the moment at which they fell idle.
        self._idle: dict[_Origin, deque[tuple[float, httpx.AsyncHTTPTransport]]] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request on a connection that nobody uses, a new one if need be.

        Raises:
            httpx.TransportError: as httpx's own transport.
        """
        origin = (request.url.scheme, request.url.host, request.url.port)
        idle = self._idle.setdefault(origin, deque())
        line = idle.pop()[1] if idle else self._new()

        async def give_back() -> None:
            idle.append((self._clock(), line))
            # While one is being closed, another request may take the last that is left.
            while idle and self._clock() - idle[0][0] > self._expiry_s:
                await idle.popleft()[1].aclose()

        try:
            response = await line.handle_async_request(request)
        except BaseException:
            await give_back()
            raise
        assert isinstance(response.stream, httpx.AsyncByteStream)  # noqa: S101 - it is an asynchronous transport
        response.stream = _Lent(response.stream, give_back)
        return response

    async def aclose(self) -> None:
        """Close the connections that are not in use."""
        for idle in self._idle.values():
            while idle:
                await idle.pop()[1].aclose()

    def _new(self) -> httpx.AsyncHTTPTransport:
        return httpx.AsyncHTTPTransport(verify=self._verify, limits=self._limits, trust_env=False)


class _Lent(httpx.AsyncByteStream):
    """An answer that is being read; the connection is free when it is closed."""

    def __init__(self, stream: httpx.AsyncByteStream, give_back: Callable[[], Awaitable[None]]) -> None:
        self._stream = stream
        self._give_back = give_back
        self._closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._stream:
            yield part

    async def aclose(self) -> None:
        if self._closed:
            return
        self._closed = True
        try:
            await self._stream.aclose()
        finally:
            await self._give_back()
