"""Requests in hand: one client's after each other, different clients' side by side, and not more than fit.

A request is acknowledged when what it caused is with the broker, and acknowledgements go out in the order in which
the requests arrived (MQTT-4.6.0-2). A request whose connection was lost comes again, so its answer is not published.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import structlog

from gateway.acknowledgements import Acknowledgements
from gateway.exchange import Arrival, Handler, Later, PublishError, Reply
from gateway.figures import Figures
from gateway.outgoing import Outgoing
from gateway.packets import Incoming
from gateway.replies import Asked, Replies

log = structlog.get_logger(__name__)

Late = Callable[[str, bytes, bytes | None], Awaitable[None]]
"""Publishes a response that comes after its request was acknowledged: topic, bytes, Correlation Data."""

_OVERLOADED: Final = 503


class _Request(Asked):
    later: Later | None = None
    answered: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is in hand at most.

    Attributes:
        requests: At once.
        of_client: Of these, of one client.
        seconds: From arrival, after which a request is answered with 503.
    """

    requests: int
    of_client: int
    seconds: float


@dataclass(slots=True)
class InFlight:
    """The requests in hand, of all connections.

    Attributes:
        outgoing: publishes what they cause.
        late: publishes responses that come later.
        limits: how much is taken in hand.
        clock: seconds that only grow.
        figures: counts.
        handler: answers them; set before the first comes.
    """

    outgoing: Outgoing
    late: Late
    limits: Limits
    clock: Callable[[], float]
    figures: Figures
    handler: Handler = field(init=False)
    # By the topic without its last level, which is the request's own: all that one client asks.
    _lanes: dict[str, deque[_Request]] = field(default_factory=dict)
    _unanswered: dict[_Request, None] = field(default_factory=dict)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _in_lanes: int = 0
    _afters: int = 0
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _replies: Replies = field(init=False)

    def __post_init__(self) -> None:
        self._replies = Replies(self.outgoing, self.figures, self._refusal, self._changed.set)

    @property
    def count(self) -> int:
        """Requests in hand, those that are answered but have something left to do too."""
        return self._in_lanes + self._afters

    def arrived(self, packet: Incoming, acknowledgements: Acknowledgements) -> None:
        """Take a request in hand."""
        arrival = Arrival(packet.topic, packet.payload, self.clock(), packet.response_topic)
        due = acknowledgements.expect(packet.packet_id)
        request = _Request(arrival, packet.correlation, acknowledgements, due)
        key = packet.topic.rpartition("/")[0]
        lane = self._lanes.get(key)
        if self.count >= self.limits.requests or (lane is not None and len(lane) >= self.limits.of_client):
            self.figures.overloaded += 1
            self._refuse(request)
            return
        if lane is None:
            if acknowledgements.over:
                return  # It comes again, to a connection that can be answered on.
            reply = self._begun(request)
            if reply is not None:
                self._publish(request, reply)
                return
        self._in_lanes += 1
        self._unanswered[request] = None
        if lane is not None:
            lane.append(request)
            return
        self._lanes[key] = lane = deque((request,))
        self._start(self._work(key, lane))

    def expire(self) -> None:
        """Answer what has been in hand for too long; call it every second or so.

        It is not cut off: a connection to the database that is cut off in the middle is lost to the pool. What it
        answers later is thrown away, and its sender's next requests wait until it ends, or are answered like it.
        """
        before = self.clock() - self.limits.seconds
        for request in list(self._unanswered):
            if request.arrival.received_at > before:
                return
            self.figures.overdue += 1
            log.warning("a request takes too long", topic=request.arrival.topic, seconds=self.limits.seconds)
            self._refuse(request)

    async def finished(self, acknowledgements: Acknowledgements) -> None:
        """Wait until nothing is in hand, and all that came by a connection is acknowledged."""
        while self.count or acknowledgements.open:
            self._changed.clear()
            await self._changed.wait()

    def told(self) -> None:
        """Something of which `finished` may not know has ended."""
        self._changed.set()

    async def stop(self) -> None:
        """Cut off whatever is in hand."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, self._replies.stop(), return_exceptions=True)

    async def _work(self, key: str, lane: deque[_Request]) -> None:
        try:
            while lane:
                request = lane[0]
                if not request.answered and not request.acknowledgements.over:
                    await self._serve(request)
                lane.popleft()
                self._in_lanes -= 1
                self._unanswered.pop(request, None)
        finally:
            self._in_lanes -= len(lane)
            del self._lanes[key]
            self._changed.set()

    def _begun(self, request: _Request) -> Reply | None:
        """Answer a request if that takes no waiting."""
        try:
            reply = self.handler.handle(request.arrival)
        except Exception:
            return self._unhandled(request)
        if isinstance(reply, Reply):
            return reply
        request.later = reply
        return None

    async def _serve(self, request: _Request) -> None:
        reply = None if request.later is not None else self._begun(request)
        if request.later is not None:
            try:
                reply = await request.later()
            except Exception:
                reply = self._unhandled(request)
        if reply is not None and not request.answered:
            self._publish(request, reply)
        if self._in_lanes == 1:
            self.outgoing.flush()

    def _unhandled(self, request: _Request) -> Reply:
        """Go on with others: the handler answers faults by itself, whatever this one is."""
        log.exception("a request was not answered", topic=request.arrival.topic)
        self.figures.unanswered += 1
        return Reply(None)

    def _refuse(self, request: _Request) -> None:
        self._publish(request, self._refusal(request.arrival, _OVERLOADED))

    def _refusal(self, arrival: Arrival, code: Literal[413, 503]) -> Reply:
        try:
            return self.handler.refuse(arrival, code)
        except Exception:  # the request is acknowledged all the same, so that others go on
            log.exception("a request was not refused", topic=arrival.topic)
            self.figures.unanswered += 1
            return Reply(None)

    def _publish(self, request: _Request, reply: Reply) -> None:
        request.answered = True
        self._unanswered.pop(request, None)
        if request.acknowledgements.over:
            return  # It comes again, to a connection that can be answered on.
        self._replies.put(request, reply)
        if reply.after is not None:
            self._afters += 1
            self._start(self._after(request, reply))

    async def _after(self, request: _Request, reply: Reply) -> None:
        assert reply.after is not None  # noqa: S101 - for the type checker
        try:
            response = await reply.after()
            if response is not None and reply.response is None and reply.response_topic is not None:
                await self.late(reply.response_topic, response, request.correlation)
        except PublishError as error:
            log.warning(
                "a response that came later was not published", topic=reply.response_topic, error=str(error)
            )
        except Exception:  # the request itself is done
            log.exception("what follows a request failed", topic=request.arrival.topic)
        finally:
            self._afters -= 1
            self._changed.set()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
