"""`/authentication`: the chain. Without any that is enabled, everybody is let in."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from msgspec import Struct

from emqx.laptop.authenticators import Authenticator
from emqx.laptop.broker import Broker
from emqx.laptop.objects import shown, told
from emqx.laptop.refusals import bad_request, not_emulated
from emqx.laptop.rest.calls import DONE, Answer, Call, Route, page
from emqx.laptop.rest.status import resource_status


class _Position(Struct, frozen=True):
    id: str


class AuthenticationCalls:
    """The calls.

    Args:
        broker: whose chain.
    """

    def __init__(self, broker: Broker) -> None:
        self._chain = broker.authenticators
        self._node = broker.settings.node

    def routes(self) -> Iterator[Route]:
        """Who answers what."""
        yield Route("GET", "/authentication", self.every)
        yield Route("POST", "/authentication", self.create)
        yield Route("PUT", "/authentication/order", self.put_order)
        yield Route("GET", "/authentication/{}", self.get)
        yield Route("PUT", "/authentication/{}", self.put)
        yield Route("DELETE", "/authentication/{}", self.delete)
        yield Route("GET", "/authentication/{}/status", self.status)
        yield Route("GET", "/authentication/{}/users", self.users)
        yield Route("POST", "/authentication/{}/users", self.create_user)

    async def every(self, call: Call) -> Answer:
        """The chain."""
        return Answer([_shown(one) for one in self._chain.all()])

    async def get(self, call: Call) -> Answer:
        """One."""
        return Answer(_shown(self._chain.get(call.ids[0])))

    async def create(self, call: Call) -> Answer:
        """Add one at the end; the answer holds its secrets in clear, as EMQX's does."""
        made = self._chain.create(call.members())
        return Answer({"id": made.identifier, **told(made.settings)})

    async def put(self, call: Call) -> Answer:
        """Set one, whole."""
        self._chain.put(call.ids[0], call.members())
        return DONE

    async def delete(self, call: Call) -> Answer:
        """Remove one."""
        self._chain.delete(call.ids[0])
        return DONE

    async def put_order(self, call: Call) -> Answer:
        """Set the order."""
        self._chain.put_order(one.id for one in call.read(list[_Position]))
        return DONE

    async def status(self, call: Call) -> Answer:
        """How one does."""
        one = self._chain.get(call.ids[0])
        calls = one.question.calls if one.question is not None else None
        return Answer(resource_status(self._node, asdict(one.outcomes), calls, one.settings.enable))

    async def users(self, call: Call) -> Answer:
        """Nobody: the user database is there to be empty."""
        found = self._chain.get(call.ids[0])
        if found.question is not None:
            raise bad_request("Unsupported operation")
        return page(call, (), str)

    async def create_user(self, call: Call) -> Answer:
        """Nobody can be put into it."""
        self._chain.get(call.ids[0])
        raise not_emulated("users of the built-in database: who comes in is the hooks' to say")


def _shown(one: Authenticator) -> dict[str, Any]:
    return {"id": one.identifier, **shown(one.settings)}
