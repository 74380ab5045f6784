"""`/banned`: who may not connect."""

from collections.abc import Iterator

from emqx.laptop.broker import Broker
from emqx.laptop.rest.calls import DONE, Answer, Call, Route


class BannedCalls:
    """The calls.

    Args:
        broker: whose bans.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def routes(self) -> Iterator[Route]:
        """Who answers what."""
        yield Route("GET", "/banned", self.every)
        yield Route("POST", "/banned", self.create)
        yield Route("DELETE", "/banned", self.clear)
        yield Route("DELETE", "/banned/{}/{}", self.delete)

    async def every(self, call: Call) -> Answer:
        """All, by page number; EMQX tells no ``hasnext`` here."""
        rows, number, limit = self._broker.bans.all(), call.number("page", 1), call.limit
        meta = {"count": len(rows), "limit": limit, "page": number}
        return Answer({"data": rows[(number - 1) * limit : number * limit], "meta": meta})

    async def create(self, call: Call) -> Answer:
        """Ban somebody; a client id is kicked too, without its will."""
        ban, told = self._broker.bans.create(call.members())
        if ban.kind == "clientid":
            await self._broker.kick(ban.who, will=False)
        return Answer(told)

    async def delete(self, call: Call) -> Answer:
        """Lift a ban."""
        self._broker.bans.delete(*call.ids)
        return DONE

    async def clear(self, call: Call) -> Answer:
        """Lift every ban."""
        self._broker.bans.clear()
        return DONE
