"""Dynamic ACLs come and go with the sessions (decision 2): never in the way of a connect, soon after it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable
from itertools import islice
from typing import Final

import structlog

from acl_service.enforcement.acls import DynamicAcls
from acl_service.enforcement.ledger import Ledger
from acl_service.enforcement.pace import Pace
from acl_service.enforcement.roster import NAMED, Roster
from acl_service.enforcement.settling import Settler
from acl_service.errors import AccessError
from directory import client_acls, events
from directory.database import Database
from directory.errors import DirectoryError
from emqx.errors import EmqxError

log = structlog.get_logger(__name__)

MOST_WAITING: Final = 200_000
"""Client ids that wait at most; those beyond are found by the next sweep."""

_EVERY_S: Final = 0.25
_READ: Final = 1_000


class Pusher:
    """Follows the broker's events, and gives and takes rules accordingly.

    An event that is missed is made up for by the next sweep.

    Args:
        database: where the hooks put the events.
        roster: the broker's sessions.
        settler: brings them in line.
        acls: the rules under client ids.
        pace: how fast.
        ledger: what is counted.
        catch_up: has memory take in every change that is committed.
        sleep: waits that many seconds.
    """

    def __init__(
        self,
        database: Database,
        roster: Roster,
        settler: Settler,
        acls: DynamicAcls,
        pace: Pace,
        ledger: Ledger,
        *,
        catch_up: Callable[[], Awaitable[object]],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._database = database
        self._roster = roster
        self._settler = settler
        self._acls = acls
        self._pace = pace
        self._ledger = ledger
        self._catch_up = catch_up
        self._sleep = sleep
        self._waiting: dict[str, None] = {}
        self._place: int | None = None

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            try:
                await self.read()
                while self._waiting and await self.push():
                    await self.read()
            except (AccessError, DirectoryError, EmqxError) as error:
                log.warning("dynamic ACLs wait", count=len(self._waiting), error=str(error))
                await self._sleep(1.0)
            await self._sleep(_EVERY_S)

    async def read(self) -> None:
        """Take in the events that came since the last time; the first time, those from now on.

        Raises:
            directory.errors.DirectoryError: the database did not answer.
        """
        async with self._database.read() as connection:
            if self._place is None:
                self._place = await events.newest(connection)
            found = await events.comings_and_goings(connection, self._place, _READ)
        for number, client_id in found:
            self._place = number
            if len(self._waiting) < MOST_WAITING:
                self._waiting[client_id] = None

    def expect(self, client_ids: Iterable[str]) -> None:
        """Look at these client ids too."""
        self._waiting.update(dict.fromkeys(client_ids))

    async def push(self) -> int:
        """Give those who wait longest their rules, or take them from those who are gone; returns how many had them.

        Those whose rules another worker is writing wait on.

        Raises:
            emqx.api.errors.ApiError, acl_service.errors.AccessError, directory.errors.DirectoryError: some of them
                wait on.
        """
        some = list(islice(self._waiting, NAMED))
        if not some:
            return 0
        # Those behind them come before these come again: one whose rules cannot be written holds up nobody.
        for client_id in some:
            del self._waiting[client_id]
            self._waiting[client_id] = None
        await self._pace.take(len(some))
        await self._catch_up()
        sessions = await self._roster.of_clients(some)
        # A session that nobody let in is presence's business (presence, rule 12), unless a change is about it.
        known = [session for session in sessions if session.employee_id is not None]
        done = await self._settler.settle(known, rules_only=True)
        await self.ended(set(some) - {session.client_id for session in sessions})
        self._ledger.settled(done)
        over = [client_id for client_id in some if client_id not in done.held]
        for client_id in over:
            self._waiting.pop(client_id, None)
        return len(over)

    async def ended(self, client_ids: Collection[str]) -> int:
        """Take the rules of client ids without a session; returns how many had some.

        Raises:
            emqx.api.errors.ApiError, directory.errors.DirectoryError: some of them are left.
        """
        async with self._database.read() as connection:
            rows = await client_acls.of_clients(connection, client_ids)
        if rows:
            await self._acls.take(rows.keys())
            # One that came back meanwhile was given its rules before they were taken: look again.
            self.expect(session.client_id for session in await self._roster.of_clients(rows.keys()))
        return len(rows)
