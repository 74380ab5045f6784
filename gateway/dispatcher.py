"""Answers requests: reads them, finds who asks, carries out the action, and says how it ended. Knows no MQTT client."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, Literal

import structlog
from msgspec import Struct

from directory.errors import DirectoryError
from directory.participants import Participant
from gateway import envelope, idempotency, parameters
from gateway.caller import Caller, active
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
from gateway.exchange import Arrival, Delivery, Later, Reply
from gateway.idempotency import Outcome
from gateway.means import Means
from gateway.metrics import Metrics
from gateway.reads import Reads, Relay, Relayed, Unremembered
from gateway.request import Request
from gateway.revocations import Revocations
from gateway.router import UNKNOWN, Action, Router
from gateway.topics import Route

log = structlog.get_logger(__name__)

_CONFIRMED: Final = frozenset({NO_SESSION, FORBIDDEN, MISSING})
"""What is never said from memory alone: every change committed so far is heard of first (decision 6)."""

_REFUSED: Final = {
    OVERLOADED: "too much is in hand, or the gateway stops: try again with the same seq_id",
    TOO_LARGE: "the broker takes no message as this would cause, perhaps for its size: send or ask for less; what it "
    "changes is changed",
}


class _Exchange(Struct, eq=False):
    """A request, and how it ended so far as its answer and its log line say."""

    arrival: Arrival
    route: Route
    trace_id: str
    action: str = UNKNOWN
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

    def handle(self, arrival: Arrival) -> Reply | Later:
        """Do what a request asks for, and answer it; one without a valid client or sequence id is dropped."""
        route = self._route(arrival)
        if route is None:
            return Reply(None)
        it = _Exchange(arrival, route, self._new_trace())
        try:
            body = envelope.read(arrival.payload)
            envelope.check_seq_id(body, route.seq_id)
            it.action = self._router.known(body["action"])
            if not self._at_once(it, body):
                return partial(self._later, it, body)
        except Exception as error:
            self._failed(it, error)
        return self._reply(it)

    async def close(self) -> None:
        """Stop what goes on behind answers that come later; nothing is handled any more."""
        await self._revocations.close()

    def refuse(self, arrival: Arrival, code: Literal[413, 503]) -> Reply:
        """Answer without doing anything (`exchange.Handler`)."""
        route = self._route(arrival)
        if route is None:
            return Reply(None)
        response = envelope.refused(route.seq_id, Refused(code, _REFUSED[code]))
        self._tell(_Exchange(arrival, route, "", code=code))
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

    def _at_once(self, it: _Exchange, body: Mapping[str, Any]) -> bool:
        """Carry a relayed action out from memory alone; whatever may have to wait, a deny too, is left alone.

        Raises:
            Refused: the request is wrong, whatever memory has not heard of.
        """
        means = self._means
        device = means.house.remembered_device(it.route.client_id) if means.house.settled else None
        if device is None or device.employee_id is None:
            return False
        person = means.house.remembered(device.employee_id)
        if person is None or person.status != "active":
            return False
        action = self._router.find(body["action"])
        if action.kind != "relay":
            return False
        params = parameters.read(body, action.params)
        try:
            self._relay(it, self._request(it, body), device.employee_id, action, params, {})
        except Unremembered:
            return False
        except Refused as error:
            if _may_change(error):
                return False
            raise
        return True

    async def _later(self, it: _Exchange, body: Mapping[str, Any]) -> Reply:
        try:
            await self._carry_out(it, body)
        except Exception as error:
            self._failed(it, error)
        return self._reply(it)

    async def _carry_out(self, it: _Exchange, body: Mapping[str, Any]) -> None:
        """Carry a request out, in the order of checks of actions.md."""
        means = self._means
        await means.house.settle()
        employee_id = await self._asking(it.route.client_id)
        action = self._router.find(body["action"])
        params = parameters.read(body, action.params)
        request = self._request(it, body)
        if action.kind == "mutating":
            outcome = await idempotency.carry_out(means, request, employee_id, action, params)
            it.code, it.response, it.outcome = outcome.code, outcome.response, outcome
            self.metrics.duplicates += outcome.duplicate
            return
        since = means.house.version
        try:
            await self._look(it, request, employee_id, action, params)
        except Refused as error:
            # It is looked at again if memory had not heard of all.
            if not _may_change(error) or not await means.house.confirm(since):
                raise
            await self._look(it, request, employee_id, action, params)

    async def _asking(self, client_id: str) -> str:
        """Find whose the client is, and who is active as far as memory has heard: whatever is done looks again."""
        house = self._means.house
        employee_id = await self._means.callers.employee_id(client_id)
        person = await house.person(employee_id)
        if person is None or person.status != "active":
            # The feed may be away though the database is not: memory alone refuses nobody who changes something.
            person = (await house.lookups.find(people=[employee_id])).people[employee_id]
        active(client_id, employee_id, person)
        return employee_id

    async def _look(
        self, it: _Exchange, request: Request, employee_id: str, action: Action, params: Any
    ) -> None:
        """Carry out an action that changes nothing."""
        if action.kind == "reading":
            caller = self._caller(it, employee_id, action, await self._means.house.person(employee_id))
            data = await action.handler(caller, params, Reads(self._means, request))
            it.response = envelope.answer(it.route.seq_id, 0, "ok", data)
            return
        house = self._means.house
        found: dict[str, Participant | None] = {}
        while True:
            try:
                self._relay(it, request, employee_id, action, params, found)
                return
            except Unremembered as missing:
                wanted = missing.employee_id
            since = house.version
            person = await house.person(wanted)
            if house.version != since:
                found.clear()  # Read before what memory has heard of since.
            found[wanted] = person

    def _relay(
        self,
        it: _Exchange,
        request: Request,
        employee_id: str,
        action: Action,
        params: Any,
        found: Mapping[str, Participant | None],
    ) -> None:
        relay = Relay(self._means, request, found)
        caller = self._caller(it, employee_id, action, relay.person(employee_id))
        relayed: Relayed = action.handler(caller, params, relay)
        it.response = envelope.answer(it.route.seq_id, 0, "ok", relayed.data)
        it.deliveries = relayed.deliveries

    def _caller(self, it: _Exchange, employee_id: str, action: Action, person: Participant | None) -> Caller:
        caller = active(it.route.client_id, employee_id, person)
        action.permission.check(action.name, caller)
        return caller

    def _request(self, it: _Exchange, body: Mapping[str, Any]) -> Request:
        return Request(it.route, it.arrival.payload, body, it.trace_id, self._means.now_ms())

    def _failed(self, it: _Exchange, error: Exception) -> None:
        """Answer with what went wrong; called where it was caught."""
        if isinstance(error, Refused):
            refused = error
        elif isinstance(error, DirectoryError):
            found = refusal(error)
            if found is None or found.code == OVERLOADED:
                log.warning("the directory failed a request", trace_id=it.trace_id, why=str(error))
            refused = found or _fault(it.trace_id)
        else:
            log.exception("a request met a fault of ours", trace_id=it.trace_id, action=it.action)
            refused = _fault(it.trace_id)
        it.code, it.response = refused.code, envelope.refused(it.route.seq_id, refused)
        it.deliveries, it.outcome = (), None

    def _reply(self, it: _Exchange) -> Reply:
        self._tell(it)
        topic = self._response_topic(it.arrival, it.route)
        if it.outcome is not None and it.outcome.revocation is not None:
            wait_ms = self._means.terms.revocation_wait_ms
            after = partial(idempotency.in_force, self._revocations, wait_ms, it.outcome)
            return Reply(topic, None, after=after)
        return Reply(topic, it.response, it.deliveries)

    def _tell(self, it: _Exchange) -> None:
        seconds = self._clock() - it.arrival.received_at
        self.metrics.answered(it.action, it.code, seconds)
        log.info(
            "request",
            client_id=it.route.client_id,
            seq_id=it.route.seq_id,
            action=it.action,
            code=it.code,
            latency_ms=round(seconds * 1_000, 2),
            trace_id=it.trace_id,
        )


def _may_change(error: Refused) -> bool:
    """Tell whether a refusal may be another once memory has heard of every change."""
    return error.code in _CONFIRMED and not error.certain


def _fault(trace_id: str) -> Refused:
    return Refused(FAULT, "a fault of ours: report it with its trace_id", {"trace_id": trace_id})
