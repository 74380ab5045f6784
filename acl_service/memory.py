"""What the hooks know without asking the database: people, client ids, the active policy.

Filled by coalesced look-ups, each of one REPEATABLE READ snapshot (decision 5), bounded, and checked against
the change feed at every use. Names that do not exist are remembered apart, in bounded memory that real
clients do not share (decision 6).
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import TypeVar

from acl_service.active_policy import ActivePolicy, rules_of
from acl_service.bounds import MemoryBounds, evict
from acl_service.errors import Overloaded
from acl_service.loading import Loader, Round
from acl_service.principals import Client, Person, client_subjects
from acl_service.standing import refuse
from directory.changes import Subject
from directory.database import Database
from directory.invalidation import Invalidations
from directory.principals import Principals, load, load_policy

LOOK_UPS = 4
"""Snapshots read for one question at most, before it is given up as too busy."""

Value = TypeVar("Value")


class Memory:
    """People, client ids and the policy, true as of the last feed version applied.

    Attributes:
        service: this deployment's service id.

    Args:
        database: where what is missing is read.
        service: this deployment's service id, for the policy's ``${service}``.
        presence_public: whether everybody may read everybody's status; None leaves that to the policy.
        bounds: how much is remembered.
    """

    def __init__(
        self,
        database: Database,
        *,
        service: str = "",
        presence_public: bool | None = None,
        bounds: MemoryBounds | None = None,
    ) -> None:
        self._database = database
        self.service = service
        self._presence_public = presence_public
        self._bounds = bounds or MemoryBounds()
        self._people: dict[str, Person] = {}
        self._clients: dict[str, Client] = {}
        self._nobody: OrderedDict[str, int] = OrderedDict()
        # Whoever knocks may name client ids without end, some of real people's: these wait apart.
        self._unproven: OrderedDict[str, Client] = OrderedDict()
        self._policy: ActivePolicy | None = None
        self._policy_at = -1
        self._policy_known = -1
        self._generation = 0
        self._invalidations = Invalidations()
        self._loader = Loader(self._fetch)

    # -- the feed ---------------------------------------------------------------------------------

    def apply(self, version: int, subjects: Sequence[Subject] | None) -> None:
        """Take in one version of the change feed, in order; ``None``: anything may have changed.

        After ``None`` the version may be lower than before (a restored database): nothing known is kept.
        """
        if subjects is None:
            self._generation += 1
            self._policy_known = -1
            for known in (self._people, self._clients, self._nobody, self._unproven):
                known.clear()
        if subjects is None or any(subject.kind == "policy" for subject in subjects):
            self._policy_at = version
        self._invalidations.record(version, subjects)

    @property
    def version(self) -> int:
        """The newest version that was taken in."""
        return self._invalidations.version

    @property
    def rounds(self) -> int:
        """Snapshots read so far."""
        return self._loader.rounds

    @property
    def sizes(self) -> dict[str, int]:
        """Entries held, by kind."""
        return {
            "people": len(self._people),
            "clients": len(self._clients),
            "unknown_people": len(self._nobody),
            "unproven_clients": len(self._unproven),
        }

    # -- asking -----------------------------------------------------------------------------------

    def bound(self, client_id: str) -> Client | None:
        """The client with its owner and grants, if memory has all of that and none of it is stale.

        ``grants`` is None for a client id that is nobody's. None means: look it up.
        """
        client = self._clients.get(client_id)
        if client is not None and client.epoch == self._invalidations.epoch:
            return client
        return self._bind(client_id, client)

    def _lacks_policy(self) -> bool:
        return self._policy_known < self._policy_at or self._policy_known < 0

    def person(self, employee_id: str) -> Person | None:
        """That person as of now, or None when memory does not know."""
        person = self._people.get(employee_id)
        if person is None:
            return None
        invalidations = self._invalidations
        if person.epoch != invalidations.epoch:
            if not invalidations.holds(person.version, person.subjects(), person.groups):
                del self._people[employee_id]
                return None
            person.epoch = invalidations.epoch
        return person

    def absent(self, employee_id: str) -> bool:
        """Whether it is known that nobody has this id."""
        version = self._nobody.get(employee_id)
        return version is not None and self._invalidations.holds(version, (("employee", employee_id),))

    def grants_version(self, client: Client) -> int:
        """The feed version up to which this client's grants are known to be complete (design.md, "Connect")."""
        known = min(client.version, self._policy_known)
        if client.person is not None:
            known = min(known, client.person.version)
        # Older rows that still hold are true up to the newest change.
        return max(known, self._invalidations.version)

    def unchanged_since(self, client: Client, version: int) -> bool:
        """Whether a client's rights are known to be those of an earlier version still, the rights of peers apart."""
        if client.person is None or self._policy_at > version:
            return False
        holds = self._invalidations.holds
        return holds(version, client_subjects(client.client_id)) and holds(
            version, client.person.subjects(), client.person.groups
        )

    def prove(self, client: Client) -> None:
        """Remember a client id among those that have come in, once the broker or a credential speaks for it."""
        if self._unproven.get(client.client_id) is client and client.owner is not None:
            del self._unproven[client.client_id]
            self._clients[client.client_id] = client
            evict(self._clients, self._bounds.clients)

    async def find_client(self, client_id: str, employee_id: str | None = None) -> Client:
        """That client, bound, as of now, looked up if need be; and ``employee_id`` in the same snapshot.

        Raises:
            acl_service.errors.Overloaded: too many names are waiting, or the rows change faster than they are read.
            directory.errors.DirectoryError: the database did not answer.
        """
        people = () if employee_id is None else (employee_id,)
        for _ in range(LOOK_UPS):
            client = self.bound(client_id)
            known = employee_id is None or self.person(employee_id) is not None or self.absent(employee_id)
            if client is not None and known:
                return client
            await self.look_up(people, (client_id,))
        raise Overloaded(f"the rows of {client_id!r} change faster than they can be read")

    async def find(self, employee_id: str) -> Person | None:
        """That person as of now, looked up if need be; None when nobody has this id.

        Raises:
            acl_service.errors.Overloaded: too many names are waiting, or the rows change faster than they are read.
            directory.errors.DirectoryError: the database did not answer.
        """
        for _ in range(LOOK_UPS):
            person = self.person(employee_id)
            if person is not None or self.absent(employee_id):
                return person
            await self.look_up((employee_id,))
        raise Overloaded(f"the rows of {employee_id!r} change faster than they can be read")

    async def active_policy(self) -> ActivePolicy:
        """The policy in force, looked up if need be.

        Raises:
            acl_service.errors.Overloaded: it changes faster than it is read.
            directory.errors.DirectoryError: the database did not answer.
        """
        for _ in range(LOOK_UPS):
            if self._policy is not None and not self._lacks_policy():
                return self._policy
            await self.look_up()
        raise Overloaded("the policy changes faster than it can be read")

    async def look_up(self, people: Iterable[str] = (), clients: Iterable[str] = ()) -> None:
        """Read these names, and the policy if it is not known, in a snapshot that begins after this call.

        Raises:
            acl_service.errors.Overloaded: too many names are waiting.
            directory.errors.DirectoryError: the database did not answer.
        """
        await self._loader.load(people, clients, policy=self._lacks_policy())

    async def close(self) -> None:
        """Stop reading."""
        await self._loader.close()

    # -- inside -----------------------------------------------------------------------------------

    def _bind(self, client_id: str, client: Client | None) -> Client | None:
        if client is None:
            client = self._unproven.get(client_id)
            if client is None:
                return None
        if not self._true(client):
            self._clients.pop(client_id, None)
            self._unproven.pop(client_id, None)
            return None
        if self._lacks_policy():
            return None
        owner = client.owner
        if owner is None:
            client.epoch = self._invalidations.epoch
            return client
        person = self.person(owner.employee_id)
        if person is None:
            return None
        if client_id in self._clients:
            # Who is asked about goes to the end of the line for eviction, once for each change of anything.
            self._clients[client_id] = self._clients.pop(client_id)
        policy = self._policy
        assert policy is not None  # noqa: S101 - it is not lacking
        if client.person is not person or client.policy is not policy:
            client.person, client.policy = person, policy
            client.grants = policy.grants(client, person, self)
            client.refusal = refuse(client)
        client.epoch = self._invalidations.epoch
        return client

    def _true(self, client: Client) -> bool:
        return self._invalidations.holds(client.version, client_subjects(client.client_id))

    async def _fetch(self, wanted: Round) -> None:
        generation = self._generation
        if wanted.policy and self._lacks_policy():
            version, row = await load_policy(self._database)
            # A large document takes its time: not on the event loop that answers the hooks.
            policy = await asyncio.to_thread(ActivePolicy, row, self.service, self._presence_public)
            if generation == self._generation:
                self._policy, self._policy_known = policy, version
        clients = {name for name in wanted.clients if self._unknown_client(name)}
        # The snapshot brings the owners of the clients along; those of clients known already are asked for.
        owners = {self._owner(name) for name in wanted.clients - clients}
        people = {
            name
            for name in (*wanted.people, *owners)
            if name is not None and self.person(name) is None and not self.absent(name)
        }
        if people or clients:
            found = await load(self._database, people, clients)
            if generation == self._generation:
                self._store(found)

    def _known(self, client_id: str) -> Client | None:
        return self._clients.get(client_id) or self._unproven.get(client_id)

    def _unknown_client(self, client_id: str) -> bool:
        client = self._known(client_id)
        return client is None or not self._true(client)

    def _owner(self, client_id: str) -> str | None:
        client = self._known(client_id)
        return client.owner.employee_id if client is not None and client.owner is not None else None

    def _store(self, found: Principals) -> None:
        for name, row in found.people.items():
            if row is None:
                self._remember(self._nobody, name, found.version)
                continue
            self._nobody.pop(name, None)
            self._people[name] = Person(row, rules_of(row.rules, self.service), found.version)
        for name, client_row in found.clients.items():
            client = Client(client_row, rules_of(client_row.rules, self.service), found.version)
            if self._clients.pop(name, None) is not None and client.owner is not None:
                self._clients[name] = client
            else:
                self._remember(self._unproven, name, client)
        evict(self._people, self._bounds.people)

    def _remember(self, names: OrderedDict[str, Value], name: str, value: Value) -> None:
        names[name] = value
        names.move_to_end(name)
        if len(names) > self._bounds.unknown:
            names.popitem(last=False)
