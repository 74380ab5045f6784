"""`/authorization`: the sources in their order, and what holds beside them. A change empties every client's cache."""

import re
from collections.abc import Iterator
from dataclasses import asdict

from msgspec import Struct

from emqx.laptop.broker import Broker
from emqx.laptop.objects import shown, told
from emqx.laptop.refusals import ApiRefusal, bad_request, invalid_value
from emqx.laptop.rest.calls import DONE, Answer, Call, Route
from emqx.laptop.rest.status import resource_status

_TYPES = frozenset({"http", "built_in_database", "file"})
_BESIDE = re.compile(r"(before|after):(.+)")


class _Position(Struct, frozen=True):
    type: str


class _Move(Struct, frozen=True):
    position: str


class AuthorizationCalls:
    """The calls.

    Args:
        broker: whose sources.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._sources = broker.sources

    def routes(self) -> Iterator[Route]:
        """Who answers what."""
        yield Route("GET", "/authorization/sources", self.every)
        yield Route("POST", "/authorization/sources", self.create)
        yield Route("PUT", "/authorization/sources/order", self.put_order)
        yield Route("GET", "/authorization/sources/{}", self.get)
        yield Route("PUT", "/authorization/sources/{}", self.put)
        yield Route("DELETE", "/authorization/sources/{}", self.delete)
        yield Route("GET", "/authorization/sources/{}/status", self.status)
        yield Route("POST", "/authorization/sources/{}/move", self.move)
        yield Route("GET", "/authorization/settings", self.settings)
        yield Route("PUT", "/authorization/settings", self.put_settings)

    async def every(self, call: Call) -> Answer:
        """The sources."""
        return Answer({"sources": [shown(one.settings) for one in self._sources.all()]})

    async def get(self, call: Call) -> Answer:
        """One."""
        return Answer(shown(self._sources.get(call.ids[0]).settings))

    async def create(self, call: Call) -> Answer:
        """Add one before all others."""
        self._sources.create(call.members())
        return self._changed()

    async def put(self, call: Call) -> Answer:
        """Set one, whole."""
        body = call.members()
        if call.ids[0] not in _TYPES:
            raise invalid_value("type", "unable_to_convert_to_enum_symbol", value=call.ids[0][:64])
        if "type" not in body:
            # 5.8.9 says nothing more.
            raise ApiRefusal(500, "", "the body has no type")
        self._sources.put(call.ids[0], body)
        return self._changed()

    async def delete(self, call: Call) -> Answer:
        """Remove one."""
        self._sources.delete(call.ids[0])
        return self._changed()

    async def put_order(self, call: Call) -> Answer:
        """Set the order."""
        self._sources.put_order(one.type for one in call.read(list[_Position]))
        return self._changed()

    async def move(self, call: Call) -> Answer:
        """Put one before or behind another, or all others."""
        kind: str = self._sources.get(call.ids[0]).settings.type
        order: list[str] = [one.settings.type for one in self._sources.all() if one.settings.type != kind]
        position = call.read(_Move).position
        beside = _BESIDE.fullmatch(position)
        if position in ("front", "rear"):
            order.insert(0 if position == "front" else len(order), kind)
        elif beside is not None and beside[2] in order:
            order.insert(order.index(beside[2]) + (beside[1] == "after"), kind)
        else:
            raise bad_request("Invalid parameter. Unknow position")
        self._sources.put_order(order)
        return self._changed()

    async def status(self, call: Call) -> Answer:
        """How one does."""
        one = self._sources.get(call.ids[0])
        node = self._broker.settings.node
        return Answer(resource_status(node, asdict(one.verdicts), one.question.calls, one.settings.enable))

    async def settings(self, call: Call) -> Answer:
        """What holds beside the sources."""
        return Answer(told(self._sources.settings))

    async def put_settings(self, call: Call) -> Answer:
        """Set it."""
        self._sources.put_settings(call.members())
        self._broker.clear_decisions()
        return Answer(told(self._sources.settings))

    def _changed(self) -> Answer:
        self._broker.clear_decisions()
        return DONE
