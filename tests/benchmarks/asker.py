"""A load generator of our own: ``python -m tests.benchmarks.asker PORT CONNECTIONS FIRST SECONDS FILE``.

Keeps one question in flight on each connection, as EMQX does with ``enable_pipelining = 1``. With SECONDS of 0 it
sends each request of the file once. Prints one JSON object. Used where wrk is not installed, and where each
question may be sent only once. Imports nothing of ours: it is started often.
"""

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from functools import partial
from itertools import cycle, islice
from pathlib import Path

import uvloop

SEPARATOR = b"\0"
"""Between two requests of a file; no request holds it."""

TIMEOUT_S = 5.0
"""EMQX's `request_timeout` of an authenticator: what takes longer counts as a time-out."""

PATIENCE_S = 300.0
"""How long after its end a run is given up."""

ALLOWED = b'"result":"allow"'

OK = b"HTTP/1.1 200 "
NO_CONTENT = b"HTTP/1.1 204 "
"""The answer to an event that is stored; it has no body."""


class Connection(asyncio.Protocol):
    """Sends the next request when the answer to the last one is whole."""

    def __init__(self, requests: Iterator[bytes], ends: float, done: "asyncio.Future[None]") -> None:
        self._requests = requests
        self._ends = ends
        self._done = done
        self._received = b""
        self._sent = 0.0
        self._finished = False
        self.latencies: list[float] = []
        self.allowed = 0
        self.failed = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Send the first request."""
        self._transport = transport
        self._next()

    def _next(self) -> None:
        self._sent = time.perf_counter()
        following = next(self._requests, None) if self._sent < self._ends else None
        if following is None:
            self._finished = True
            self._transport.close()
        else:
            self._transport.write(following)

    def data_received(self, data: bytes) -> None:
        """Take in an answer; when it is whole, send the next request."""
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found or len(body) < _length(head):
            return
        self._received = b""
        self.latencies.append(time.perf_counter() - self._sent)
        self.allowed += ALLOWED in body
        self.failed += not head.startswith((OK, NO_CONTENT))
        self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        """Be done; with an answer outstanding that is a failure."""
        self.failed += exc is not None or not self._finished
        if not self._done.done():
            self._done.set_result(None)


def _length(head: bytes) -> int:
    """Bytes of the body behind the head of an answer."""
    if head.startswith(NO_CONTENT):
        return 0
    return int(head.partition(b"content-length: ")[2].split(b"\r\n")[0])


async def ask(
    port: int, connections: int, first: int, seconds: float, requests: list[bytes]
) -> dict[str, float]:
    """Send the requests and tell how it went; times in milliseconds where the name says so."""
    turn = iter(requests) if seconds == 0 else islice(cycle(requests), first % len(requests), None)
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    ends = began + (seconds or float("inf"))
    ended = [loop.create_future() for _ in range(connections)]
    opened = [
        (await loop.create_connection(partial(Connection, turn, ends, one), "127.0.0.1", port))[1]
        for one in ended
    ]
    async with asyncio.timeout(seconds + PATIENCE_S):
        await asyncio.gather(*ended)
    took = time.perf_counter() - began
    latencies = sorted(latency for connection in opened for latency in connection.latencies)
    return {
        "requests": len(latencies),
        "seconds": took,
        "p50_ms": latencies[len(latencies) // 2] * 1_000,
        "p99_ms": latencies[len(latencies) * 99 // 100] * 1_000,
        "failed": sum(connection.failed for connection in opened),
        "timeouts": sum(latency > TIMEOUT_S for latency in latencies),
        "allowed": sum(connection.allowed for connection in opened),
    }


if __name__ == "__main__":
    port, connections, first, seconds, path = sys.argv[1:]
    requests = Path(path).read_bytes().split(SEPARATOR)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        told = runner.run(ask(int(port), int(connections), int(first), float(seconds), requests))
    print(json.dumps(told))
