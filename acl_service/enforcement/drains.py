"""The gateway's sessions, which are not ended to change their rights: that would lose all they hold (decision 11).

They are told to finish what is in hand and to reconnect; only those that do not are ended.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import structlog

from acl_service.enforcement.roster import Roster
from acl_service.enforcement.sessions import Session
from directory.database import Database
from directory.outbox import OutboxRow
from emqx.api.broker import BrokerApi

log = structlog.get_logger(__name__)

WORKER: Final = "enforcer"
"""Whose outbox rows enforcement works on."""

GATEWAY: Final = "gateway"
"""Whose outbox rows tell a gateway to reconnect: kind `reconnect`, the client id as the subject."""

DEAF_MS: Final = 30_000
"""After how long a gateway that did not reconnect is taken not to hear (decision 11)."""

_FORGOTTEN_MS: Final = 60_000
"""After how long a gateway that was not found to have to reconnect begins anew."""

_MOST_KNOWN: Final = 1_000


class Drains:
    """Tells the gateway's clients to reconnect.

    How long they take is known in memory: another worker that takes the work over gives them their time anew.

    Args:
        api: of the broker.
        roster: its sessions.
        database: through which they are told.
        now_ms: wall clock, milliseconds since the epoch.
    """

    def __init__(self, api: BrokerApi, roster: Roster, database: Database, now_ms: Callable[[], int]) -> None:
        self._api = api
        self._roster = roster
        self._database = database
        self._now_ms = now_ms
        # By client id: the version of its session, since when it has to reconnect, when that was last seen.
        self._known: dict[str, tuple[int, int, int]] = {}

    async def tell(self, row: OutboxRow, sessions: Sequence[Session]) -> None:
        """Tell sessions, on behalf of some work.

        Raises:
            directory.errors.DirectoryError: the database did not answer.
        """
        async with self._database.change(WORKER, self._now_ms()) as change:
            for session in sessions:
                ids = {"client_id": session.client_id, "version": row.version}
                change.enqueue(GATEWAY, "reconnect", session.client_id, ids)
        for session in sessions:
            self._waited_ms(session)

    async def over(self, row: OutboxRow, sessions: Sequence[Session]) -> bool:
        """Tell whether none has to reconnect any more; those that were told too long ago are ended.

        Args:
            row: the work.
            sessions: that have to reconnect, for this work or another. One that is as new as this work did so; what
                came after is told by other work, and has the time of that.

        Raises:
            emqx.api.errors.ApiError: the broker did not answer.
        """
        older = [session for session in sessions if row.version is None or session.version < row.version]
        for session in older:
            if self._waited_ms(session) >= DEAF_MS:
                await self._end(session)
        return not older

    def _waited_ms(self, session: Session) -> int:
        """Return for how long a session is known here to have to reconnect."""
        now_ms = self._now_ms()
        version, since, last = self._known.get(session.client_id, (session.version, now_ms, now_ms))
        if version != session.version or now_ms - last >= _FORGOTTEN_MS:
            since = now_ms  # It reconnected meanwhile, or its rights were wide enough again.
        while len(self._known) >= _MOST_KNOWN:
            del self._known[next(iter(self._known))]
        self._known[session.client_id] = (session.version, since, now_ms)
        return now_ms - since

    async def _end(self, session: Session) -> None:
        for found in await self._roster.of_clients([session.client_id]):
            # Looked at once more: it may have come back since.
            if found.version <= session.version:
                log.warning("the gateway did not reconnect: its session is ended", client_id=found.client_id)
                await self._api.clients.kick(found.client_id)
