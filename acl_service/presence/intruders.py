"""Clients that are connected and that MChat never let in: seen twice, then kicked (presence.md, rule 12).

They come in while the broker starts, before it has its authenticator, or past a changed configuration.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import structlog

from acl_service.presence.counters import Counters
from acl_service.presence.listing import is_ours, looked_up, stored_id
from directory import sessions
from directory.database import Database
from emqx.api.broker import BrokerApi
from emqx.api.clients import Client
from emqx.api.paths import unaddressable

log = structlog.get_logger(__name__)

YOUNG_MS: Final = 10_000
"""A connection that is younger is left alone: its session row may not be written yet."""

MOST: Final = 10_000
"""Intruders remembered at most; those beyond are found once these are out."""

_LONGEST: Final = 256
"""Characters of a client id that MChat lets in (decision 9 counts bytes, and lets fewer in)."""

_SHOWN: Final = 20


class Intruders:
    """Remembers who was seen, and kicks who is seen again.

    Args:
        database: the directory.
        api: of the broker.
        counters: what is counted.
    """

    def __init__(self, database: Database, api: BrokerApi, counters: Counters) -> None:
        self._database = database
        self._api = api
        self._counters = counters
        self._begun_at = 0
        self._before: dict[str, int | None] = {}
        self._now: dict[str, int | None] = {}

    def begin(self, begun_at: int) -> None:
        """Begin a look at all clients; one that was broken off does not count.

        Args:
            begun_at: milliseconds since the epoch.
        """
        self._begun_at = begun_at
        self._now = {}

    def see(self, clients: Iterable[Client]) -> None:
        """Look at live clients that have no session row."""
        for client in clients:
            if self._is_one(client) and len(self._now) < MOST:
                self._now[client.client_id] = client.epoch

    async def end(self) -> tuple[int, int]:
        """Kick those who were seen at the last look too; returns how many there are, and how many were kicked.

        Raises:
            emqx.api.errors.ApiError: the broker did not answer; they are kicked the next time.
            directory.errors.DirectoryError: nor did the database.
        """
        found = self._now
        again = [
            name for name, epoch in found.items() if name in self._before and self._before[name] == epoch
        ]
        self._counters.intruders("seen", len(found.keys() - self._before.keys()))
        unreachable = [name for name in found if unaddressable(name)]
        self._counters.unaddressable(len(unreachable))
        if unreachable:
            log.error(
                "clients that nobody let in cannot be kicked: stop their listener or node",
                client_ids=[ascii(name)[:64] for name in unreachable[:_SHOWN]],
                count=len(unreachable),
            )
        self._before = found
        kicked = await self._confirmed([name for name in again if not unaddressable(name)])
        if kicked:
            log.warning(
                "clients that nobody let in are kicked",
                client_ids=[name[:64] for name in kicked[:_SHOWN]],
                count=len(kicked),
            )
            await self._api.clients.kick_many(kicked)
            self._counters.intruders("kicked", len(kicked))
        return len(found), len(kicked)

    async def _confirmed(self, names: list[str]) -> list[str]:
        """Those who are still the same, and still without a row: between two looks anybody may have come."""
        if not names:
            return []
        short = [name for name in names if len(name) <= _LONGEST]
        there = await looked_up(self._api, short)
        async with self._database.read() as connection:
            rows = await sessions.of_clients(connection, [stored_id(name) for name in short])
        still = [
            name
            for name in short
            if name in there
            and name not in rows
            and self._is_one(there[name])
            and there[name].epoch == self._before[name]
        ]
        # No path holds such an id, and nobody who was let in has one.
        return still + [name for name in names if len(name) > _LONGEST]

    def _is_one(self, client: Client) -> bool:
        old = client.epoch is None or client.epoch <= self._begun_at - YOUNG_MS
        return bool(client.connected) and old and not is_ours(client)
