"""Answers requests: reads them, finds who asks, carries out the action, and says how it ended. Knows no MQTT client."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final, Literal

import structlog
from msgspec import Struct

from directory.errors import DirectoryError
from gateway import envelope, idempotency, parameters
from gateway.caller import active
from gateway.errors import (
    FAULT,
    FORBIDDEN,
    MISSING,
    NO_SESSION,
    OVERLOADED,
    TOO_LARGE,
    Refused,
    Unroutable,
    refusal,
)
from gateway.exchange import Arrival, Delivery, Reply
from gateway.idempotency import Outcome
from gateway.means import Means
from gateway.metrics import Metrics
from gateway.reads import Reads, Relay, Relayed
from gateway.request import Request
from gateway.revocations import Revocations
from gateway.router import Action, Router
from gateway.topics import Route

log = structlog.get_logger(__name__)

_CONFIRMED: Final = frozenset({NO_SESSION, FORBIDDEN, MISSING})
"""What is never said from memory alone: every change committed so far is heard of first (decision 6)."""

_REFUSED: Final = {
    OVERLOADED: "too much is in hand, or the gateway stops: try again with the same seq_id",
    TOO_LARGE: "the broker takes no message as large as this would cause: send less, or ask for less; what it changes "
    "is changed",
}


class _Answer(Struct, eq=False):
    """How a request ended, so far as its answer and its log line say."""

    action: str = "unknown"
    code: int = 0
    response: bytes = b""
    deliveries: tuple[Delivery, ...] = ()
    outcome: Outcome | None = None


class Dispatcher:
    """The gateway's `Handler`.

    Args:
        router: The actions.
        means: What they may use.
        clock: Seconds that only grow: those of `Arrival.received_at`.
        new_trace: Makes the name of a request for logs, audit and faults.
        metrics: Where requests are counted.
    """

    def __init__(
        self,
        router: Router,
        means: Means,
        *,
        clock: Callable[[], float],
        new_trace: Callable[[], str],
        metrics: Metrics | None = None,
    ) -> None:
        self._router = router
        self._means = means
        self._clock = clock
        self._new_trace = new_trace
        self.metrics = metrics or Metrics()
        self._revocations = Revocations(means.database)

    async def handle(self, arrival: Arrival) -> Reply:
        """Do what a request asks for, and answer it; one without a valid client or sequence id is dropped."""
        route = self._route(arrival)
        if route is None:
            return Reply(None)
        trace_id = self._new_trace()
        answer = await self._answered(arrival, route, trace_id)
        self._tell(arrival, route, trace_id, answer)
        topic = self._response_topic(arrival, route)
        if answer.outcome is not None and answer.outcome.revocation is not None:
            wait_ms = self._means.terms.revocation_wait_ms
            after = partial(idempotency.in_force, self._revocations, wait_ms, answer.outcome)
            return Reply(topic, None, after=after)
        return Reply(topic, answer.response, answer.deliveries)

    async def close(self) -> None:
        """Stop what goes on behind answers that come later; nothing is handled any more."""
        await self._revocations.close()

    def refuse(self, arrival: Arrival, code: Literal[413, 503]) -> Reply:
        """Answer without doing anything (`exchange.Handler`)."""
        route = self._route(arrival)
        if route is None:
            return Reply(None)
        response = envelope.refused(route.seq_id, Refused(code, _REFUSED[code]))
        self._tell(arrival, route, "", _Answer(code=code))
        return Reply(self._response_topic(arrival, route), response)

    def _route(self, arrival: Arrival) -> Route | None:
        try:
            return self._means.topics.route(arrival.topic)
        except Unroutable as error:
            self.metrics.dropped += 1
            log.debug("request dropped", why=str(error))
            return None

    def _response_topic(self, arrival: Arrival, route: Route) -> str:
        """Return where the answer goes: MQTT 5's Response Topic counts only as one of the client's own."""
        own = self._means.topics.response(route)
        wished = arrival.response_topic
        if wished is not None and wished.rpartition("/")[0] == own.rpartition("/")[0]:
            try:
                return self._means.topics.response(Route(route.client_id, wished.rpartition("/")[2]))
            except DirectoryError:
                return own
        return own

    async def _answered(self, arrival: Arrival, route: Route, trace_id: str) -> _Answer:
        answer = _Answer()
        try:
            await self._carry_out(arrival, route, trace_id, answer)
        except Refused as error:
            self._refused(answer, route, error)
        except DirectoryError as error:
            found = refusal(error)
            if found is None or found.code == OVERLOADED:
                log.warning("the directory failed a request", trace_id=trace_id, why=str(error))
            self._refused(answer, route, found or _fault(trace_id))
        except Exception:
            log.exception("a request met a fault of ours", trace_id=trace_id, action=answer.action)
            self._refused(answer, route, _fault(trace_id))
        return answer

    def _refused(self, answer: _Answer, route: Route, error: Refused) -> None:
        answer.code, answer.response, answer.deliveries = (
            error.code,
            envelope.refused(route.seq_id, error),
            (),
        )
        answer.outcome = None

    async def _carry_out(self, arrival: Arrival, route: Route, trace_id: str, answer: _Answer) -> None:
        """Carry a request out, in the order of checks of actions.md."""
        body = envelope.read(arrival.payload)
        envelope.check_seq_id(body, route.seq_id)
        await self._means.house.settle()
        employee_id = await self._means.callers.employee_id(route.client_id)
        action = self._router.find(body["action"])
        answer.action = action.name
        params = parameters.read(body, action.params)
        request = Request(route, arrival.payload, body, trace_id, self._means.now_ms())
        if action.kind == "mutating":
            outcome = await idempotency.carry_out(self._means, request, employee_id, action, params)
            answer.code, answer.response, answer.outcome = outcome.code, outcome.response, outcome
            self.metrics.duplicates += outcome.duplicate
            return
        data, answer.deliveries = await self._confirmed(request, employee_id, action, params)
        answer.response = envelope.answer(route.seq_id, 0, "ok", data)

    async def _confirmed(
        self, request: Request, employee_id: str, action: Action, params: Any
    ) -> tuple[Any, tuple[Delivery, ...]]:
        """Run an action that changes nothing; a refusal is looked at again if memory had not heard of all."""
        house = self._means.house
        since = house.version
        try:
            return await self._run(request, employee_id, action, params)
        except Refused as error:
            if error.certain or error.code not in _CONFIRMED or not await house.confirm(since):
                raise
        return await self._run(request, employee_id, action, params)

    async def _run(
        self, request: Request, employee_id: str, action: Action, params: Any
    ) -> tuple[Any, tuple[Delivery, ...]]:
        means = self._means
        caller = active(request.client_id, employee_id, await means.house.person(employee_id))
        action.permission.check(action.name, caller)
        if action.kind == "reading":
            return await action.handler(caller, params, Reads(means, request)), ()
        relayed: Relayed = await action.handler(caller, params, Relay(means, request))
        return relayed.data, relayed.deliveries

    def _tell(self, arrival: Arrival, route: Route, trace_id: str, answer: _Answer) -> None:
        seconds = self._clock() - arrival.received_at
        self.metrics.answered(answer.action, answer.code, seconds)
        log.info(
            "request",
            client_id=route.client_id,
            seq_id=route.seq_id,
            action=answer.action,
            code=answer.code,
            latency_ms=round(seconds * 1_000, 2),
            trace_id=trace_id,
        )


def _fault(trace_id: str) -> Refused:
    return Refused(FAULT, "a fault of ours: report it with its trace_id", {"trace_id": trace_id})
