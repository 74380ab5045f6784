"""Who listens to presence: how many, how long, and why they ended."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final, Literal

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge

from acl_service.admin.access import Caller
from acl_service.admin.presence import viewer_of
from acl_service.admin.presence_changes import KEPT, Changes
from acl_service.errors import Overloaded
from acl_service.memory import Memory
from acl_service.verdict import Refusal
from directory.database import Database
from directory.errors import DirectoryError

log = structlog.get_logger(__name__)

_READS: Final = 2
"""Listeners that read for themselves at once, of the connections that all requests share."""

LAST_WORD_S: Final = 1.0
"""Seconds in which a listener takes the last word of a process that stops, or gets none."""

_RESUME: Final = "come back, and go on with Last-Event-ID"
Full = Literal["process", "person"]
"""Who has as many streams open as may be: this process, or the person who asks for one more."""

WHY: Final = {
    "slow": f"this listener took changes more slowly than they came: {_RESUME}",
    "access": "this caller may not listen any more: log in again",
    "stale": f"the database does not answer: {_RESUME}",
    "stopping": f"this process stops: {_RESUME}",
}

_UNKNOWN: Final = ("unconfirmed", "overloaded")
"""Refusals that speak of us and not of the caller (`Freshness.settle`)."""

CallerOf = Callable[[str | None], Awaitable[Caller | Refusal]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How many may listen, and how long what may take.

    Attributes:
        listeners: streams of one process at once; more are refused with 503.
        of_one: streams of one person at once; more are refused with 429. Nobody takes all the room alone.
        kept: changes that a listener may be behind before it is too slow.
        heartbeat_s: seconds of silence after which a comment says that the stream lives.
        check_s: seconds between two looks at whether a caller still may listen.
        send_s: seconds in which a listener has to make room for what is to be sent, and for the last word.
        stale_s: seconds without an answer of the database after which nobody is left to think that all is as it was.
    """

    listeners: int = 500
    of_one: int = 20
    kept: int = KEPT
    heartbeat_s: float = 15.0
    check_s: float = 2.0
    send_s: float = 10.0
    stale_s: float = 10.0


class Listeners:
    """All streams of one process.

    Args:
        database: the directory.
        memory: knows the policy.
        caller_of: tells who is behind an ``Authorization`` header at this moment.
        registry: where the metrics are shown.
        clock: monotonic seconds.
        bounds: how many, how long.
    """

    def __init__(
        self,
        database: Database,
        memory: Memory,
        caller_of: CallerOf,
        registry: CollectorRegistry,
        *,
        clock: Callable[[], float],
        bounds: Bounds | None = None,
    ) -> None:
        self.database = database
        self.clock = clock
        self.bounds = bounds or Bounds()
        self.changes = Changes(database, clock=clock, kept=self.bounds.kept)
        self.reading = asyncio.Semaphore(_READS)
        self.stopping = False
        self._memory = memory
        self._caller_of = caller_of
        self._telling: dict[asyncio.Task[None], str] = {}
        self._ended = Counter(
            "mchat_presence_listeners_ended",
            "Streams of presence that ended or were refused, by why",
            ["why"],
            registry=registry,
        )
        listening = Gauge("mchat_presence_listeners", "Streams of presence that are open", registry=registry)
        listening.set_function(lambda: len(self._telling))

    def end(self) -> None:
        """Tell all listeners that this process stops; one that takes nothing in is not waited for."""
        self.stopping = True
        self.changes.wake()
        for task in self._telling:
            asyncio.get_running_loop().call_later(LAST_WORD_S, task.cancel)

    def begin(
        self, employee_id: str, tell: Callable[[], Coroutine[Any, Any, None]]
    ) -> asyncio.Task[None] | Full:
        """Count a person's listener in and tell it, unless there is no room for one more."""
        full: Full | None = None
        if self.stopping or len(self._telling) >= self.bounds.listeners:
            full = "process"
        elif sum(one == employee_id for one in self._telling.values()) >= self.bounds.of_one:
            full = "person"
        if full is not None:
            self._ended.labels("refused").inc()
            return full
        task = asyncio.create_task(tell(), name="presence stream")
        self._telling[task] = employee_id
        return task

    async def close(self, telling: asyncio.Task[None]) -> None:
        """Stop telling a listener."""
        telling.cancel()
        fault = (await asyncio.gather(telling, return_exceptions=True))[0]
        self._telling.pop(telling, None)
        if isinstance(fault, Exception):
            log.error("a stream of presence failed", exc_info=fault)

    def count(self, why: str | None) -> None:
        """Count why a stream ended: a key of `WHY`; None: it was not ended by us."""
        if why == "slow":
            log.warning("a listener to presence is dropped", why=WHY[why])
        self._ended.labels(why or ("stopping" if self.stopping else "left")).inc()

    async def refusal(self, authorization: str | None) -> str | None:
        """Why whoever opened a stream may not listen now, by the token, the person and the role of this moment.

        A key of `WHY`; None: it may. Who cannot be known at the moment has nothing to be told, and is not sent to
        log in again.
        """
        caller = await self._caller_of(authorization)
        if isinstance(caller, Refusal):
            return "stale" if caller.kind in _UNKNOWN else "access"
        try:
            return None if await self.may(caller) else "access"
        except (DirectoryError, Overloaded):
            return "stale"

    async def may(self, caller: Caller) -> bool:
        """Whether a caller may listen to everybody.

        Raises:
            acl_service.errors.Overloaded: the policy changes faster than it is read.
            directory.errors.DirectoryError: the database did not answer.
        """
        viewer = await viewer_of(caller, self._memory)
        return viewer is None or viewer.public
