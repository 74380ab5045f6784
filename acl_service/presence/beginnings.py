"""Notices that the whole broker began anew: what it retained in memory, as EMQX does if nothing else is said, is gone.

Whoever came back in time was never away, so that nothing would put their projections back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import structlog

from directory import presence, standing
from directory.database import Database
from emqx.api.nodes import Node

log = structlog.get_logger(__name__)

NEAR_MS: Final = 5_000
"""Two beginnings of a node that lie nearer are one: they are told as how long ago it was."""

APART_MS: Final = 2
"""Between two projections that are put back, so that what changes meanwhile has its turn."""

_PAGE: Final = 1_000


class Beginnings:
    """Remembers, in the database, when the youngest node of the broker began.

    Args:
        database: the directory.
        now_ms: wall clock, milliseconds since the epoch.
    """

    def __init__(self, database: Database, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._now_ms = now_ms

    async def look(self, running: Sequence[Node]) -> int:
        """Have all projections published again if every node began after all that were known; returns how many.

        Args:
            running: the nodes that run now.

        Raises:
            directory.errors.DirectoryError: it is left to the next look.
        """
        now_ms = self._now_ms()
        began = [now_ms - node.uptime for node in running if node.uptime > 0]
        if not began:
            return 0
        async with self._database.read() as connection:
            known = await presence.youngest_node(connection)
        again = 0
        if known and min(began) > known + NEAR_MS:
            again = await self._put_back(now_ms)
            log.warning("the broker began anew: projections are published again", people=again)
        if abs(max(began) - known) > NEAR_MS:
            async with self._database.write() as connection:
                await presence.note_youngest_node(connection, max(began))
        return again

    async def _put_back(self, now_ms: int) -> int:
        count, after, more = 0, "", True
        while more:
            async with self._database.write() as connection:
                names = await standing.published_after(connection, after, _PAGE)
                due = {name: now_ms + APART_MS * (count + place) for place, name in enumerate(names)}
                await standing.unpublish(connection, due)
            count += len(names)
            more = len(names) == _PAGE
            after = names[-1] if names else ""
        return count
