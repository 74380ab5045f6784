"""Notices that the whole broker began anew: what it retained in memory, as EMQX does if nothing else is said, is gone.

Whoever came back in time was never away, so that nothing would put their projections back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import structlog

from acl_service.presence.restoration import Restoration
from directory import broker_marks
from directory.database import Database
from emqx.api.nodes import Node

log = structlog.get_logger(__name__)

NEAR_MS: Final = 5_000
"""Two beginnings of a node that lie nearer are one: they are told as how long ago it was."""


class Beginnings:
    """Remembers, in the database, when the youngest node of the broker began.

    Args:
        database: the directory.
        restoration: puts projections back.
        now_ms: wall clock, milliseconds since the epoch.
    """

    def __init__(self, database: Database, restoration: Restoration, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._restoration = restoration
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
            known = await broker_marks.youngest_node(connection)
        again = 0
        if known and min(began) > known + NEAR_MS:
            again = await self._restoration.everybody()
            log.warning("the broker began anew: projections are published again", people=again)
        if abs(max(began) - known) > NEAR_MS:
            async with self._database.write() as connection:
                await broker_marks.note_youngest_node(connection, max(began))
        return again
