"""Notices that events did not come that should have (presence.md, rule 10; contract 4.7: some are lost for good)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from typing import Final, Literal

from directory import broker_marks, events, presence
from directory.database import Database
from emqx.api.broker import BrokerApi
from emqx.api.errors import NotFound
from emqx.api.resource_status import Metrics

Gap = Literal["", "dropped", "differs", "silent"]
"""What was noticed: the broker lost events; it has another number of clients and is silent; it is silent."""

_LOST_BY_ACTION: Final = ("dropped", "failed")
_LOST_BY_RULE: Final = ("failed.exception", "actions.failed", "actions.discarded")
"""What a rule could not read, and what it could hand to no action, the action itself does not count."""


class Gaps:
    """Looks at the broker's own counters, and for how long no event came.

    Args:
        database: where the hooks put the events.
        api: of the broker.
        action: that sends the events, `type:name`.
        rules: ids of those that hand events to the action.
        silence_ms: without an event for so long, something may be amiss.
        now_ms: wall clock, milliseconds since the epoch.
    """

    def __init__(
        self,
        database: Database,
        api: BrokerApi,
        action: str,
        rules: Collection[str],
        *,
        silence_ms: int,
        now_ms: Callable[[], int],
    ) -> None:
        self._database = database
        self._api = api
        self._action = action
        self._rules = rules
        self._silence_ms = silence_ms
        self._now_ms = now_ms
        self._begun = False
        self._lost: int | None = None
        self._newest = -1
        self._since = 0
        self._told: tuple[int, int] | None = None

    @property
    def lost(self) -> int | None:
        """How many events were lost at the last look, by the broker's counters; None: there are none."""
        return self._lost

    def begin(self) -> None:
        """Go on where the last worker that looked has settled, which may be another."""
        self._begun = False

    async def look(self) -> Gap:
        """Tell whether there is a gap since the last look.

        Lost events come first; a silence is told once, and again if the broker's number of clients is another than
        ours then and than it was told before.

        Raises:
            emqx.api.errors.ApiError, directory.errors.DirectoryError: nothing is known.
        """
        if await self._dropped():
            return "dropped"
        return await self._silent()

    async def settle(self, lost: int | None) -> None:
        """Say that all is put right that so many lost events may have told: another worker need not do it again.

        Raises:
            directory.errors.DirectoryError: another worker may do it again, which harms nobody.
        """
        if lost is not None:
            async with self._database.write() as connection:
                await broker_marks.note_events_lost(connection, lost)

    async def _dropped(self) -> bool:
        action = await _metrics(self._api.actions.metrics, self._action)
        if action is None:
            return False
        lost = sum(int(action.get(name, 0) or 0) for name in _LOST_BY_ACTION)
        for rule in self._rules:
            counted = await _metrics(self._api.rules.metrics, rule) or {}
            lost += sum(int(counted.get(name, 0) or 0) for name in _LOST_BY_RULE)
        before = self._lost
        if not self._begun:
            async with self._database.read() as connection:
                before = await broker_marks.events_lost(connection)
            if before is None:
                await self.settle(lost)
        self._begun, self._lost = True, lost
        # Counters that went back are those of a broker that was started anew: what it had to tell is lost.
        return before is not None and lost != before

    async def _silent(self) -> Gap:
        now_ms = self._now_ms()
        async with self._database.read() as connection:
            newest = await events.newest(connection)
            ours = await presence.count_online(connection)
        if newest != self._newest:
            self._newest, self._since, self._told = newest, now_ms, None
        if now_ms - self._since < self._silence_ms:
            return ""
        theirs = sum(node.live_connections for node in await self._api.nodes.all())
        before, self._told = self._told, (theirs, ours)
        if theirs != ours and before != self._told:
            return "differs"
        return "silent" if before is None else ""


async def _metrics(of: Callable[[str], Awaitable[Metrics]], name: str) -> Metrics | None:
    """The counters of an action or a rule; None: there is none."""
    try:
        return await of(name)
    except NotFound:
        return None
