"""Notices that events did not come that should have (presence.md, rule 10; contract 4.7: some are lost for good)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

from directory import events, presence
from directory.database import Database
from emqx.api.broker import BrokerApi
from emqx.api.errors import NotFound

Gap = Literal["", "dropped", "silent"]

_LOST: Final = ("dropped", "failed")


class Gaps:
    """Looks at the broker's own counters, and for how long no event came.

    Args:
        database: where the hooks put the events.
        api: of the broker.
        action: that sends the events, `type:name`.
        silence_ms: without an event for so long, the broker's number of clients is compared with ours.
        now_ms: wall clock, milliseconds since the epoch.
    """

    def __init__(
        self, database: Database, api: BrokerApi, action: str, *, silence_ms: int, now_ms: Callable[[], int]
    ) -> None:
        self._database = database
        self._api = api
        self._action = action
        self._silence_ms = silence_ms
        self._now_ms = now_ms
        self._lost: float | None = None
        self._newest = -1
        self._since = 0
        self._told: tuple[int, int] | None = None

    async def look(self) -> Gap:
        """Tell whether there is a gap since the last look: `dropped` events, or `silent` while clients come and go.

        A difference in numbers that a reconciliation did not settle is told once.

        Raises:
            emqx.api.errors.ApiError, directory.errors.DirectoryError: nothing is known.
        """
        if await self._dropped():
            return "dropped"
        return "silent" if await self._silent() else ""

    async def _dropped(self) -> bool:
        try:
            metrics = await self._api.actions.metrics(self._action)
        except NotFound:
            return False
        lost = float(sum(metrics.get(name, 0) or 0 for name in _LOST))
        before, self._lost = self._lost, lost
        # Counters that went back are those of a broker that was started anew: what it had to tell is lost.
        return before is not None and lost != before

    async def _silent(self) -> bool:
        now_ms = self._now_ms()
        async with self._database.read() as connection:
            newest = await events.newest(connection)
            ours = await presence.count_online(connection)
        if newest != self._newest:
            self._newest, self._since = newest, now_ms
        if now_ms - self._since < self._silence_ms:
            return False
        theirs = sum(node.live_connections for node in await self._api.nodes.all())
        before, self._told = self._told, (theirs, ours)
        return theirs != ours and before != self._told
