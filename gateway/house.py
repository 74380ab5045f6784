"""What the gateway remembers of people and clients, kept true by the change feed, bounded; a miss reads the database.

Allows may come from memory; before a deny, and when the feed has not proved itself lately, memory is brought up to
every change that was committed before (decisions 6 and 7). Nothing unknown is remembered.
"""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from directory.changes import Subject
from directory.database import Database
from directory.errors import DirectoryError
from directory.feed import ChangeFeed
from directory.invalidation import Invalidations
from directory.owners import candidates
from directory.participants import Device, Participant
from gateway.errors import OVERLOADED, Refused
from gateway.lookups import Lookups
from gateway.org_pages import OrgPages

T = TypeVar("T")

Depends = Callable[[T], tuple[Sequence[tuple[str, str]], frozenset[str]]]
"""Names the subjects, and beside them the groups, by whose changes a row becomes doubtful."""


class _Memory(Generic[T]):
    """Rows by name, each with the version that it was read at; the longest unused goes first."""

    def __init__(self, most: int, invalidations: Invalidations, depends: Depends[T]) -> None:
        self._most = most
        self._known = invalidations
        self._depends = depends
        self._rows: OrderedDict[str, tuple[T, int, int]] = OrderedDict()

    def find(self, name: str) -> T | None:
        """Return what is remembered, unless a change since makes it doubtful."""
        found = self._rows.get(name)
        if found is None:
            return None
        row, version, epoch = found
        if epoch != self._known.epoch:
            if not self._known.holds(version, *self._depends(row)):
                del self._rows[name]
                return None
            self._rows[name] = (row, version, self._known.epoch)
        self._rows.move_to_end(name)
        return row

    def keep(self, name: str, row: T, version: int) -> None:
        """Remember a row that was read at a version; it is checked when it is first used."""
        self._rows[name] = (row, version, -1)
        while len(self._rows) > self._most:
            self._rows.popitem(last=False)

    def __len__(self) -> int:
        return len(self._rows)


class House:
    """People and clients in memory.

    Args:
        database: Where they are read.
        clock: Seconds that only grow; the feed's own.
        stale_s: The age of the feed's last proof beyond which memory is brought up to date first (decision 7).
        grace_s: How long memory serves on while the database is away; 0 = not at all (decision 7).
        most: People remembered at most, and as many clients.

    Attributes:
        lookups: How misses are read.
        org_pages: The organisation's tree.
        org_version: The newest version at which the organisation's tree may have changed.
    """

    def __init__(
        self,
        database: Database,
        clock: Callable[[], float],
        *,
        stale_s: float = 2.0,
        grace_s: float = 300.0,
        most: int = 50_000,
    ) -> None:
        self._clock = clock
        self._stale_s = stale_s
        self._grace_s = grace_s
        self._feed: ChangeFeed | None = None
        self._invalidations = Invalidations(2 * most)
        self._people: _Memory[Participant] = _Memory(most, self._invalidations, _of_person)
        self._devices: _Memory[Device] = _Memory(most, self._invalidations, _of_device)
        self.lookups = Lookups(database)
        self.org_version = 0
        self.org_pages = OrgPages(database, lambda: self.org_version)

    def follow(self, feed: ChangeFeed) -> None:
        """Name the feed that calls `apply`; before that nothing is answered from memory."""
        self._feed = feed

    def apply(self, version: int, subjects: Sequence[Subject] | None) -> None:
        """Take in one version of the feed (`directory.feed.OnChange`)."""
        self._invalidations.record(version, subjects)
        if subjects is None or any(one.kind == "org" for one in subjects):
            self.org_version = version

    @property
    def version(self) -> int:
        """The version up to which memory has heard of all changes."""
        return self._feed.version if self._feed is not None else 0

    def size(self) -> tuple[int, int]:
        """Count the people and the clients in memory."""
        return len(self._people), len(self._devices)

    @property
    def settled(self) -> bool:
        """Whether memory may be answered from at once: the feed has proved itself lately (decision 7)."""
        return self._feed is not None and self._clock() - self._feed.proved_at < self._stale_s

    def remembered(self, employee_id: str) -> Participant | None:
        """Return a person whom memory holds."""
        return self._people.find(employee_id)

    def remembered_device(self, client_id: str) -> Device | None:
        """Return a client that memory holds: its session and its owner are the same person."""
        return self._devices.find(client_id)

    async def person(self, employee_id: str) -> Participant | None:
        """Find a person, active or not.

        Raises:
            Refused: 503, too many look-ups wait.
            directory.errors.Unavailable: the database does not answer.
        """
        found = self._people.find(employee_id)
        if found is None:
            read = await self.lookups.find(people=[employee_id])
            found = read.people[employee_id]
            if found is not None:
                self._people.keep(employee_id, found, read.version)
        return found

    async def device(self, client_id: str) -> Device:
        """Find a client: who connected with it, and whose it is.

        Remembered while both are known and the same, which is as long as no owner of the client id comes or goes.

        Raises:
            Refused: 503, too many look-ups wait.
            directory.errors.Unavailable: the database does not answer.
        """
        found = self._devices.find(client_id)
        if found is None:
            read = await self.lookups.find(clients=[client_id])
            found = read.devices[client_id]
            if found.owner is not None and found.owner.employee_id == found.employee_id:
                self._devices.keep(client_id, found, read.version)
        return found

    async def settle(self) -> None:
        """Make sure that memory may be answered from (decision 7).

        Raises:
            Refused: 503, the feed has not begun, or the database has been away for too long.
        """
        feed = self._feed
        if feed is None:
            raise Refused(OVERLOADED, "the gateway is starting: try again with the same seq_id")
        age = self._clock() - feed.proved_at
        if age < self._stale_s:
            return
        try:
            await feed.catch_up()
        except DirectoryError:
            if age >= self._grace_s:
                remedy = "the directory does not answer: try again with the same seq_id"
                raise Refused(OVERLOADED, remedy) from None

    async def hear(self, version: int) -> None:
        """Take in what this process has just committed, so that whoever was answered finds it so here.

        Without the database memory hears of it later, as others do.
        """
        if self._feed is not None and self._feed.version < version:
            with contextlib.suppress(DirectoryError):
                await self._feed.catch_up()

    async def confirm(self, since: int) -> bool:
        """Before a deny, take in every change committed so far; tells whether any came after version `since`.

        Without the database a deny stands.
        """
        if self._feed is None:
            return False
        try:
            await self._feed.catch_up()
        except DirectoryError:
            return False
        return self._feed.version != since


def _of_person(person: Participant) -> tuple[Sequence[tuple[str, str]], frozenset[str]]:
    subjects = (("employee", person.employee_id), ("org", person.employee_id))
    return subjects, frozenset(person.groups)


def _of_device(device: Device) -> tuple[Sequence[tuple[str, str]], frozenset[str]]:
    found = candidates(device.client_id)
    names = {*found.employee_ids, *found.prefixes, device.client_id}
    return [("client", device.client_id), *(("owner", name) for name in names)], frozenset()
