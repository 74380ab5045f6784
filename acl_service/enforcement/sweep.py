"""What the broker holds is compared with what it was given, all of it: what got lost on the way ends here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import islice
from typing import Final

import msgspec
import structlog

from acl_service.enforcement.acls import DynamicAcls
from acl_service.enforcement.ledger import Ledger
from acl_service.enforcement.pace import Pace
from acl_service.enforcement.push import Pusher
from acl_service.enforcement.roster import NAMED, Roster
from acl_service.enforcement.settling import Settler
from directory import client_acls
from directory.database import Database
from directory.owners import owners
from emqx.api.broker import BrokerApi
from emqx.api.errors import NotFound

log = structlog.get_logger(__name__)

_PAGE: Final = 1_000
_RULES: Final = 200
"""Client ids whose rules come in one answer, of up to 15 KiB each."""

_encode: Final = msgspec.json.Encoder().encode


@dataclass(slots=True)
class Findings:
    """What a sweep found, by client id.

    Attributes:
        sessions: how many the broker has.
        rules: client ids that have rules in the broker.
        wrong: rules that are not what was written, or whose writer vanished.
        unwritten: sessions that were given nothing yet.
        ended: rules of client ids without a session.
        foreign: sessions of somebody who does not own the client id any more.
    """

    sessions: int = 0
    rules: int = 0
    wrong: set[str] = field(default_factory=set)
    unwritten: set[str] = field(default_factory=set)
    ended: set[str] = field(default_factory=set)
    foreign: set[str] = field(default_factory=set)


class Sweeper:
    """Compares and repairs, once around the whole broker at a time.

    Args:
        api: of the broker.
        database: where it stands what was written.
        roster: the broker's sessions.
        settler: brings them in line.
        acls: the rules under client ids.
        pusher: takes what is left of sessions that ended.
        pace: how fast it repairs.
        ledger: what is counted.
        now_ms: wall clock, milliseconds since the epoch.
    """

    def __init__(
        self,
        api: BrokerApi,
        database: Database,
        roster: Roster,
        settler: Settler,
        acls: DynamicAcls,
        pusher: Pusher,
        pace: Pace,
        ledger: Ledger,
        now_ms: Callable[[], int],
    ) -> None:
        self._api = api
        self._database = database
        self._roster = roster
        self._settler = settler
        self._acls = acls
        self._pusher = pusher
        self._pace = pace
        self._ledger = ledger
        self._now_ms = now_ms

    async def sweep(self) -> Findings:
        """Compare all that the broker holds with what it was given, and repair what differs.

        Raises:
            emqx.api.errors.ApiError, acl_service.errors.AccessError, directory.errors.DirectoryError: the rest is
                left to the next sweep.
        """
        found = await self.compare()
        for what in ("wrong", "unwritten", "foreign"):
            client_ids = getattr(found, what)
            self._ledger.swept(what, len(client_ids))
            for some in _parts(client_ids):
                await self._pace.take(len(some))
                self._ledger.settled(
                    await self._settler.settle(await self._roster.of_clients(some), look=True)
                )
        for some in _parts(found.ended):
            await self._pace.take(len(some))
            there = {session.client_id for session in await self._roster.of_clients(some)}
            await self._acls.take(set(some) - there)
            # Those that came back meanwhile were given theirs before they were taken.
            self._pusher.expect(session.client_id for session in await self._roster.of_clients(some))
        self._ledger.swept("ended", len(found.ended))
        if found.wrong or found.ended or found.foreign:
            log.info(
                "sweep repaired",
                wrong=len(found.wrong),
                ended=len(found.ended),
                foreign=len(found.foreign),
                unwritten=len(found.unwritten),
            )
        return found

    async def compare(self) -> Findings:
        """Compare, and change nothing.

        Raises:
            emqx.api.errors.ApiError, directory.errors.DirectoryError: the broker or the database did not answer.
        """
        found = Findings()
        # Rules first: whatever is written or ends while this goes on is looked at again before it is repaired.
        rules = await self._rules()
        sessions = {session.client_id: session.employee_id async for session in self._roster.everybody()}
        found.rules, found.sessions = len(rules), len(sessions)
        known: set[str] = set()
        after = ""
        while True:
            async with self._database.read() as connection:
                rows = await client_acls.page(connection, after, _PAGE)
            for row in rows:
                known.add(row.client_id)
                standing = rules.pop(row.client_id, _NONE)
                claimed = row.claimed_by is not None and (row.claimed_until or 0) <= self._now_ms()
                if row.client_id not in sessions or not self._acls.push:
                    found.ended.add(row.client_id)
                elif row.stale or claimed or standing != _digest(row.rules.encode()):
                    found.wrong.add(row.client_id)
            if len(rows) < _PAGE:
                break
            after = rows[-1].client_id
        found.ended |= rules.keys() - sessions.keys()
        found.wrong |= rules.keys() & sessions.keys()
        if self._acls.push:
            let_in = {client_id for client_id, employee_id in sessions.items() if employee_id is not None}
            found.unwritten = let_in - known - found.wrong
        found.foreign = await self._foreign(sessions)
        return found

    async def _rules(self) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        try:
            async for one in self._api.client_rules.every(page_size=_RULES):
                found[one.subject] = _digest(_encode(one.rules))
        except NotFound as error:
            self._acls.without_source(error)
            return {}
        self._acls.unsupported = ""
        return found

    async def _foreign(self, sessions: dict[str, str | None]) -> set[str]:
        """Sessions that were let in for somebody who is not the owner of their client id now."""
        found: set[str] = set()
        names = iter(sessions)
        while some := list(islice(names, _PAGE)):
            async with self._database.read() as connection:
                owned = await owners(connection, some)
            for client_id in some:
                owner, claimed = owned[client_id], sessions[client_id]
                if claimed is not None and (owner is None or owner.employee_id != claimed):
                    found.add(client_id)
        return found


def _digest(rules: bytes) -> bytes:
    return blake2b(rules, digest_size=8).digest()


_NONE: Final = _digest(b"[]")


def _parts(client_ids: set[str]) -> Iterator[list[str]]:
    names = iter(sorted(client_ids))
    while some := list(islice(names, NAMED)):
        yield some
