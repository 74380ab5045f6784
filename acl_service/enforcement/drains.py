"""The gateway's sessions, which are not ended to change their rights: that would lose all they hold (decision 11).

They are told to finish what is in hand and to reconnect; only those that do not are ended.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import structlog

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


class Drains:
    """Tells the gateway's clients to reconnect.

    Args:
        api: of the broker.
        database: through which they are told.
        now_ms: wall clock, milliseconds since the epoch.
    """

    def __init__(self, api: BrokerApi, database: Database, now_ms: Callable[[], int]) -> None:
        self._api = api
        self._database = database
        self._now_ms = now_ms

    async def tell(self, row: OutboxRow, client_ids: Sequence[str]) -> None:
        """Tell clients, on behalf of some work.

        Raises:
            directory.errors.DirectoryError: the database did not answer.
        """
        async with self._database.change(WORKER, self._now_ms()) as change:
            for client_id in client_ids:
                change.enqueue(
                    GATEWAY, "reconnect", client_id, {"client_id": client_id, "version": row.version}
                )

    async def over(self, row: OutboxRow, client_ids: Sequence[str]) -> bool:
        """Tell whether none has to reconnect any more; those that were told too long ago are ended.

        Raises:
            emqx.api.errors.ApiError: the broker did not answer.
        """
        if client_ids and self._now_ms() - (row.enforced_at or 0) >= DEAF_MS:
            for client_id in client_ids:
                log.warning("the gateway did not reconnect: its session is ended", client_id=client_id)
                await self._api.clients.kick(client_id)
        return not client_ids
