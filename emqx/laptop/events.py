"""The way of events to MChat: in order for each client, tried again, bounded, counted (contract 4.7)."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

import httpx
import msgspec
import structlog

_log = structlog.get_logger(__name__)

_RETRIED = frozenset({429, 503})
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 2.0
_ATTEMPT_TIMEOUT = 15.0


@dataclass(frozen=True, slots=True)
class Target:
    """Where events go.

    Attributes:
        url: to which they are posted.
        headers: of every event.
        ttl: seconds that an event is tried.
    """

    url: str
    headers: dict[str, str] = field(repr=False)
    ttl: float


class EventSink:
    """Sends events as EMQX's HTTP action does.

    429, 503, a broken connection and no answer are tried again until the event is ``ttl`` old; any other
    status but 2xx drops the event. A client's events go one at a time through one lane, in order.

    Args:
        http: the client that sends them.
        target: where to; None = nowhere for now, events wait.
        lanes: events in flight at once.
        depth: events that wait in a lane, at most.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        target: Target | None,
        *,
        lanes: int,
        depth: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.target = target
        self._clock = clock
        self._http = http
        self._lanes = [_Lane(depth) for _ in range(lanes)]
        self._tasks: list[asyncio.Task[None]] = []
        self.matched = 0
        self.success = 0
        self.retried = 0
        self.dropped = 0

    @property
    def queuing(self) -> int:
        """Events that are not delivered yet."""
        return sum(lane.unsent for lane in self._lanes)

    def start(self) -> None:
        """Begin to send."""
        self._tasks = [asyncio.create_task(self._run(lane), name="events") for lane in self._lanes]

    async def close(self, patience: float) -> None:
        """Send what waits for at most ``patience`` seconds, then stop; what is left is dropped."""
        try:
            async with asyncio.timeout(patience):
                for lane in self._lanes:
                    await lane.idle.wait()
        except TimeoutError:
            self.dropped += self.queuing
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self.dropped:
            _log.warning("events_dropped", count=self.dropped)

    def emit(self, client_id: str, body: dict[str, Any]) -> None:
        """Queue an event; never waits. A full lane loses its oldest."""
        self.matched += 1
        lane = self._lanes[crc32(client_id.encode()) % len(self._lanes)]
        if lane.append(self._clock(), body):
            self.dropped += 1

    async def _run(self, lane: "_Lane") -> None:
        while True:
            queued_at, body = await lane.take()
            if await self._deliver(msgspec.json.encode(body), queued_at):
                self.success += 1
            else:
                self.dropped += 1
                _log.warning("event_dropped", kind=body["event"], client_id=body["clientid"])

    async def _deliver(self, content: bytes, queued_at: float) -> bool:
        pause = _FIRST_PAUSE
        # Looked at anew before each attempt: it may change while an event waits.
        while (target := self.target) is None or (left := queued_at + target.ttl - self._clock()) > 0:
            if target is not None:
                try:
                    async with asyncio.timeout(min(left, _ATTEMPT_TIMEOUT)):
                        response = await self._http.post(target.url, content=content, headers=target.headers)
                    if response.is_success:
                        return True
                    if response.status_code not in _RETRIED:
                        return False
                except (httpx.TransportError, TimeoutError) as error:
                    _log.debug("event_not_delivered", error=type(error).__name__)
                self.retried += 1
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        return False


class _Lane:
    """A bounded queue whose reader holds one event at a time."""

    def __init__(self, depth: int) -> None:
        self._waiting: deque[tuple[float, dict[str, Any]]] = deque(maxlen=depth)
        self._filled = asyncio.Event()
        self._held = 0
        self.idle = asyncio.Event()
        self.idle.set()

    @property
    def unsent(self) -> int:
        """Events that were not delivered yet, the one in hand included."""
        return len(self._waiting) + self._held

    def append(self, queued_at: float, body: dict[str, Any]) -> bool:
        """Add an event; True if the oldest had to go."""
        full = len(self._waiting) == self._waiting.maxlen
        self._waiting.append((queued_at, body))
        self._filled.set()
        self.idle.clear()
        return full

    async def take(self) -> tuple[float, dict[str, Any]]:
        """The next event, once the one before is done with."""
        self._held = 0
        if not self._waiting:
            self.idle.set()
            self._filled.clear()
            await self._filled.wait()
        self._held = 1
        return self._waiting.popleft()
