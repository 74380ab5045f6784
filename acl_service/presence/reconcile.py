"""Compares presence with the broker's own list of clients, which is right: mark and sweep (presence.md, rules 10, 11).

Each page of the list is folded and forgotten; of every client only a number is remembered, until the sweep.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from acl_service.presence.beginnings import Beginnings
from acl_service.presence.counters import Counters
from acl_service.presence.fold import Missing
from acl_service.presence.hearing import Heard
from acl_service.presence.intruders import Intruders
from acl_service.presence.listing import listed, looked_up, pages, session_row, stored_id
from acl_service.presence.restoration import Restoration
from acl_service.presence.taking import Taken, take
from directory import presence, sessions, subscriptions
from directory.database import Database
from directory.owners import owners
from directory.presence import DeviceRow
from emqx.api.broker import BrokerApi
from emqx.api.clients import Client
from emqx.api.errors import Broken
from emqx.api.paths import unaddressable

log = structlog.get_logger(__name__)

_PAGE: Final = 1_000


@dataclass(slots=True)
class Findings:
    """What a reconciliation found.

    Attributes:
        listed: clients that are connected.
        came: devices that are on, which nobody had told.
        went: devices that are off, which nobody had told.
        restored: session rows that were lost.
        ended: sessions that are gone whose subscriptions were still known.
        intruders: clients that nobody let in, kicked or not yet.
        kicked: those that were.
    """

    listed: int = 0
    came: int = 0
    went: int = 0
    restored: int = 0
    ended: int = 0
    intruders: int = 0
    kicked: int = 0


class Reconciler:
    """Brings presence in line with the broker.

    Args:
        database: the directory.
        api: of the broker.
        intruders: what becomes of clients that nobody let in.
        counters: what is counted.
        now_ms: wall clock, milliseconds since the epoch. The broker's clock may be another: what lies between them
            is settled by the next reconciliation.
    """

    def __init__(
        self,
        database: Database,
        api: BrokerApi,
        intruders: Intruders,
        counters: Counters,
        now_ms: Callable[[], int],
    ) -> None:
        self._database = database
        self._api = api
        self._intruders = intruders
        self._counters = counters
        self._now_ms = now_ms
        self._restoration = Restoration(database, now_ms)
        self._beginnings = Beginnings(database, self._restoration, now_ms)
        self._silent: set[str] = set()

    async def reconcile(self) -> Findings:
        """Read the broker's list, fold it, and take off what it does not show.

        Raises:
            emqx.api.errors.ApiError, directory.errors.DirectoryError: nothing was taken off that is not gone; the
                rest is left to the next time.
        """
        found = Findings()
        begun_at = self._now_ms()
        running = await self._running()
        on: set[int] = set()
        kept: set[int] = set()
        self._intruders.begin(begun_at)
        async for page in pages(self._api):
            kept.update(hash(stored_id(one.client_id)) for one in page)
            live = [one for one in page if one.connected and (one.node or "") in running]
            on.update(hash(stored_id(one.client_id)) for one in live)
            await self._page(live, begun_at, found)
        await self._sweep(on, begun_at, running, found)
        await self._forget(kept, begun_at, found)
        found.intruders, found.kicked = await self._intruders.end()
        for what in ("came", "went", "restored", "ended"):
            self._counters.repaired(what, getattr(found, what))
        return found

    async def sweep_nodes(self) -> int:
        """Take off the devices of nodes that were not running at this look and the one before; returns how many.

        A node that is dead emits nothing (rule 11).

        Raises:
            emqx.api.errors.ApiError, directory.errors.DirectoryError: they are left to the next look.
        """
        begun_at = self._now_ms()
        running = await self._running()
        async with self._database.read() as connection:
            silent = {node for node in await presence.nodes(connection) if node and node not in running}
        dead, self._silent = silent & self._silent, silent
        if not dead:
            return 0
        found = Findings()
        async for rows in self._online():
            await self._gone([row for row in rows if row.node in dead], begun_at, running, found)
        self._counters.repaired("node", found.went)
        log.warning("nodes of the broker are gone", nodes=sorted(dead), devices=found.went)
        return found.went

    async def put_back(self, doubted_at: int) -> bool:
        """Have projections published again that may have been contradicted while events were lost.

        Args:
            doubted_at: when that was noticed, milliseconds since the epoch.

        Returns:
            Whether the doubt is settled; else it is to be called again later.

        Raises:
            directory.errors.DirectoryError: it is not.
        """
        again = await self._restoration.lately_here(doubted_at)
        if again is None:
            return False
        self._counters.repaired("projection", again)
        return True

    async def _running(self) -> set[str]:
        """The names of the nodes that run; if all of them began anew, what they retained is put back.

        Raises:
            emqx.api.errors.Broken: none does, says one that answers: everybody would be taken off.
        """
        running = [node for node in await self._api.nodes.all() if node.node_status == "running"]
        if not running:
            raise Broken("GET /nodes", "no node runs", "see `emqx ctl cluster status`")
        self._counters.repaired("projection", await self._beginnings.look(running))
        return {node.node for node in running}

    async def _page(self, live: Sequence[Client], begun_at: int, found: Findings) -> None:
        # While pages move, a client may be in one twice.
        clients = {stored_id(one.client_id): one for one in live}
        found.listed += len(clients)
        async with self._database.write() as connection:
            await presence.alone(connection)
            taken = await take(
                connection, [listed(one, begun_at) for one in clients.values()], begun_at, source="list"
            )
            found.restored += await self._restore(connection, clients, taken)
        found.came += taken.kinds["online"] + taken.kinds["moved"]
        self._counters.facts(taken.kinds)
        self._intruders.see([clients[one] for one in taken.unknown])

    async def _restore(self, connection: AsyncConnection, clients: dict[str, Client], taken: Taken) -> int:
        """Give sessions back their rows that a crash lost, if the owner of the client id is whom MChat let in."""
        rows = {one: row for one in taken.unknown if (row := session_row(clients[one])) is not None}
        if not rows:
            return 0
        owned = await owners(connection, rows)
        agreed = [
            row
            for client_id, row in rows.items()
            if (owner := owned[client_id]) is not None and owner.employee_id == row.employee_id
        ]
        self._counters.repaired("disowned", len(rows) - len(agreed))
        await sessions.store(connection, agreed)
        known = await presence.devices(connection, [row.client_id for row in agreed])
        await presence.correct_sessions(connection, list(known.values()))
        return len(agreed)

    async def _sweep(self, on: Collection[int], begun_at: int, running: set[str], found: Findings) -> None:
        async for rows in self._online():
            missed = [row for row in rows if hash(row.client_id) not in on]
            await self._gone(missed, begun_at, running, found)

    async def _gone(
        self, rows: Sequence[DeviceRow], begun_at: int, running: set[str], found: Findings
    ) -> None:
        """Take off devices that are not there, each looked for once more: what came meanwhile is not in a list."""
        if not rows:
            return
        looked_at = self._now_ms()
        names = [row.client_id for row in rows if not unaddressable(row.client_id)]
        there = {
            name: client
            for name, client in (await looked_up(self._api, names)).items()
            if client.connected and (client.node or "") in running
        }
        heard = [
            listed(there[row.client_id], looked_at)
            if row.client_id in there
            else Heard(row.client_id, Missing(begun_at=begun_at))
            for row in rows
        ]
        async with self._database.write() as connection:
            await presence.alone(connection)
            taken = await take(connection, heard, self._now_ms(), source="list")
        found.went += taken.kinds["offline"]
        self._counters.facts(taken.kinds)

    async def _forget(self, kept: Collection[int], begun_at: int, found: Findings) -> None:
        """Forget the subscriptions of sessions that the broker does not have any more."""
        after = ""
        while True:
            async with self._database.read() as connection:
                names = await subscriptions.client_ids_after(connection, after, _PAGE)
            gone = {name: begun_at for name in names if hash(name) not in kept}
            if gone:
                async with self._database.write() as connection:
                    await subscriptions.end_before(connection, gone)
                found.ended += len(gone)
            if len(names) < _PAGE:
                return
            after = names[-1]

    async def _online(self) -> AsyncIterator[Sequence[DeviceRow]]:
        after = ""
        while True:
            async with self._database.read() as connection:
                rows = await presence.online_after(connection, after, _PAGE)
            if rows:
                yield rows
            if len(rows) < _PAGE:
                return
            after = rows[-1].client_id
