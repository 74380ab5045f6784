"""`/rules`: which events go to which actions."""

import re
from collections.abc import Iterator

from emqx.laptop.broker import Broker
from emqx.laptop.moments import milliseconds_written
from emqx.laptop.objects import Json, told
from emqx.laptop.refusals import bad_request
from emqx.laptop.rest.calls import DONE, Answer, Call, Route, page
from emqx.laptop.rest.status import counted

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_:-]{0,254}")


class RuleEngineCalls:
    """The calls.

    Args:
        broker: whose rules.
    """

    def __init__(self, broker: Broker) -> None:
        self._engine = broker.events
        self._node = broker.settings.node

    def routes(self) -> Iterator[Route]:
        """Who answers what."""
        yield Route("GET", "/rules", self.every)
        yield Route("POST", "/rules", self.create)
        yield Route("GET", "/rules/{}", self.get)
        yield Route("PUT", "/rules/{}", self.put)
        yield Route("DELETE", "/rules/{}", self.delete)
        yield Route("GET", "/rules/{}/metrics", self.metrics)

    async def every(self, call: Call) -> Answer:
        """All, by page number."""
        return page(call, list(self._engine.rules), self._told)

    async def get(self, call: Call) -> Answer:
        """One."""
        return Answer(self._told(call.ids[0]))

    async def create(self, call: Call) -> Answer:
        """Make one."""
        body = call.members()
        identifier = _checked(body.pop("id", None))
        self._engine.create(identifier, body)
        return Answer(self._told(identifier), 201)

    async def put(self, call: Call) -> Answer:
        """Set one, whole, or make it."""
        self._engine.put(_checked(call.ids[0]), call.members())
        return Answer(self._told(call.ids[0]))

    async def delete(self, call: Call) -> Answer:
        """Remove one."""
        self._engine.delete(call.ids[0])
        return DONE

    async def metrics(self, call: Call) -> Answer:
        """Its counters."""
        rule = self._engine.get(call.ids[0])
        metrics: dict[str, float] = {
            "actions.discarded": 0,
            "actions.failed": rule.failed,
            "actions.failed.out_of_service": rule.failed,
            "actions.failed.unknown": 0,
            "actions.success": rule.sent,
            "actions.total": rule.sent + rule.failed,
            "failed": 0,
            "failed.exception": 0,
            "failed.no_result": 0,
            "matched": rule.matched,
            "matched.rate": 0.0,
            "matched.rate.last5m": 0.0,
            "matched.rate.max": 0.0,
            "passed": rule.matched,
        }
        return Answer(counted(self._node, metrics, id=call.ids[0]))

    def _told(self, identifier: str) -> Json:
        rule = self._engine.get(identifier)
        return {
            **told(rule.settings),
            "id": identifier,
            "from": list(rule.topics),
            "created_at": milliseconds_written(rule.created_at),
            "last_modified_at": milliseconds_written(rule.modified_at),
        }


def _checked(identifier: object) -> str:
    if not isinstance(identifier, str) or _ID.fullmatch(identifier) is None:
        raise bad_request(f"rule id {identifier!r} is none: letters, digits, _, - and :")
    return identifier
