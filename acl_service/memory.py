"""What the hooks know without asking the database: people, client ids, the active policy.

Filled by coalesced look-ups, each of one REPEATABLE READ snapshot (decision 5), bounded, and checked against
the change feed at every use. Names that do not exist are remembered apart, in bounded memory that real
clients do not share (decision 6).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import structlog

from acl_service.errors import Overloaded
from acl_service.invalidation import Invalidations
from acl_service.loading import Loader, Round
from acl_service.policy.document import Document, PolicyError
from acl_service.policy.grants import Grants, Program
from acl_service.policy.index import Index
from acl_service.policy.rules import Rule, exception
from acl_service.policy.templates import RuleError
from acl_service.principals import Client, Colleagues, Person
from directory.changes import Subject
from directory.database import Database
from directory.owners import candidates
from directory.policies import PolicyRow
from directory.principals import Principals, load, load_policy
from directory.rules import RuleRow

LOOK_UPS = 4
"""Snapshots read for one question at most, before it is given up as too busy."""

Value = TypeVar("Value")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class MemoryBounds:
    """How much is remembered, in entries.

    Attributes:
        people: people with their groups and credentials.
        clients: client ids that belong to somebody.
        unknown: names of nobody, of each kind.
    """

    people: int = 100_000
    clients: int = 200_000
    unknown: int = 20_000


class ActivePolicy:
    """The active policy document, and its programs compiled role by role when first needed."""

    def __init__(self, row: PolicyRow, document: Document) -> None:
        self.version = row.version
        self.document = document
        self._programs: dict[str, Program] = {}

    def program(self, role: str) -> Program:
        """The rules of one role, compiled once (decision 14: a role without rules denies everything)."""
        program = self._programs.get(role)
        if program is None:
            program = self._programs[role] = self.document.program(role, self.version)
        return program


class Memory:
    """People, client ids and the policy, true as of the last feed version applied.

    Args:
        database: where what is missing is read.
        service: this deployment's service id, for the policy's ``${service}``.
        presence_public: whether everybody may read everybody's status.
        bounds: how much is remembered.
    """

    def __init__(
        self,
        database: Database,
        *,
        service: str = "",
        presence_public: bool = False,
        bounds: MemoryBounds | None = None,
    ) -> None:
        self._database = database
        self._service = service
        self._presence_public = presence_public
        self._bounds = bounds or MemoryBounds()
        self._people: dict[str, Person] = {}
        self._clients: dict[str, Client] = {}
        self._nobody: OrderedDict[str, int] = OrderedDict()
        self._strays: OrderedDict[str, Client] = OrderedDict()
        self._policy: ActivePolicy | None = None
        self._policy_at = -1
        self._policy_known = -1
        self._invalidations = Invalidations()
        self._loader = Loader(self._fetch)

    # -- the feed ---------------------------------------------------------------------------------

    def apply(self, version: int, subjects: Sequence[Subject] | None) -> None:
        """Take in one version of the change feed, in order; ``None``: anything may have changed."""
        if subjects is None or any(subject.kind == "policy" for subject in subjects):
            self._policy_at = max(self._policy_at, version)
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
            "unknown_clients": len(self._strays),
        }

    # -- asking -----------------------------------------------------------------------------------

    def bound(self, client_id: str) -> Client | None:
        """The client with its owner and grants, if memory has all of that and none of it is stale.

        ``grants`` is None for a client id that is nobody's or whose owner does not exist. None means: look it up.
        """
        client = self._clients.get(client_id)
        if client is not None and client.epoch == self._invalidations.epoch:
            return client
        return self._bind(client_id, client)

    def policy(self) -> ActivePolicy | None:
        """The active policy, or None when there is none or it must be read first (see ``lacking``)."""
        return self._policy if self._policy_known >= self._policy_at else None

    def lacks_policy(self) -> bool:
        """Whether the policy must be read before anything is decided."""
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
        applied = self._invalidations.version
        versions = [max(client.version, applied), max(self._policy_known, applied)]
        if client.person is not None:
            versions.append(max(client.person.version, applied))
        return min(versions)

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

    async def look_up(self, people: Iterable[str] = (), clients: Iterable[str] = ()) -> None:
        """Read these names, and the policy if it is not known, in a snapshot that begins after this call.

        Raises:
            acl_service.errors.Overloaded: too many names are waiting.
            directory.errors.DirectoryError: the database did not answer.
        """
        await self._loader.load(people, clients, policy=self.lacks_policy())

    async def close(self) -> None:
        """Stop reading."""
        await self._loader.close()

    # -- inside -----------------------------------------------------------------------------------

    def _bind(self, client_id: str, client: Client | None) -> Client | None:
        if client is None:
            client = self._strays.get(client_id)
            if client is None:
                return None
        if not self._true(client):
            self._clients.pop(client_id, None)
            self._strays.pop(client_id, None)
            return None
        if self.lacks_policy():
            return None
        owner = client.owner
        if owner is None:
            client.epoch = self._invalidations.epoch
            return client
        person = self.person(owner.employee_id)
        if person is None:
            return None
        policy = self._policy
        if client.person is not person or client.policy is not policy:
            client.person, client.policy = person, policy
            client.grants = None if policy is None else self._compile(client, person, policy)
        client.epoch = self._invalidations.epoch
        return client

    def _true(self, client: Client) -> bool:
        names = candidates(client.client_id)
        subjects = [("client", client.client_id)]
        subjects += [("owner", name) for name in (*names.employee_ids, *names.prefixes)]
        return self._invalidations.holds(client.version, subjects)

    def _compile(self, client: Client, person: Person, policy: ActivePolicy) -> Grants:
        program = policy.program(person.role)
        own = person.rules + client.rules
        return Grants(
            client_id=client.client_id,
            employee_id=person.employee_id,
            role=person.role,
            groups=person.groups,
            departments=person.departments,
            peers=Colleagues(person, self),
            program=program,
            exceptions=Index(own, policy.version, exceptional=True) if own else None,
            version=min(client.version, person.version),
        )

    async def _fetch(self, wanted: Round) -> None:
        if wanted.policy and self.lacks_policy():
            version, row = await load_policy(self._database)
            self._policy = self._read_policy(row)
            self._policy_known = version
        clients = {name for name in wanted.clients if self._unknown_client(name)}
        # The snapshot brings the owners of the clients along; those of clients known already are asked for.
        owners = {self._owner(name) for name in wanted.clients - clients}
        people = {
            name
            for name in (*wanted.people, *owners)
            if name is not None and self.person(name) is None and not self.absent(name)
        }
        if people or clients:
            self._store(await load(self._database, people, clients))

    def _unknown_client(self, client_id: str) -> bool:
        client = self._clients.get(client_id) or self._strays.get(client_id)
        return client is None or not self._true(client)

    def _owner(self, client_id: str) -> str | None:
        client = self._clients.get(client_id)
        return client.owner.employee_id if client is not None and client.owner is not None else None

    def _read_policy(self, row: PolicyRow | None) -> ActivePolicy | None:
        if row is None:
            log.error("no policy is active: everything is denied", remedy="mchat init")
            return None
        try:
            document = Document.load(
                row.document, self._service, presence_public=self._presence_public or None
            )
        except PolicyError as error:
            # It was valid when it was activated: another version of this program wrote it. Deny (decision 14).
            log.error(
                "the active policy cannot be read: everything is denied",
                version=row.version,
                error=str(error),
            )
            return None
        return ActivePolicy(row, document)

    def _store(self, found: Principals) -> None:
        for name, row in found.people.items():
            if row is None:
                self._remember(self._nobody, name, found.version)
                continue
            self._nobody.pop(name, None)
            self._people[name] = Person(row, self._rules(row.rules), found.version)
        for name, client_row in found.clients.items():
            self._strays.pop(name, None)
            self._clients.pop(name, None)
            client = Client(client_row, self._rules(client_row.rules), found.version)
            if client.owner is None:
                self._remember(self._strays, name, client)
            else:
                self._clients[name] = client
        _evict(self._people, self._bounds.people)
        _evict(self._clients, self._bounds.clients)

    def _rules(self, rows: Sequence[RuleRow]) -> tuple[Rule, ...] | None:
        """The exceptions of a row's subjects, or None when one cannot be read: then everything is denied."""
        try:
            return tuple(
                exception(
                    id=row.rule_id,
                    author=row.author,
                    effect=row.effect,
                    action=row.action,
                    filter=row.filter,
                    reason=row.reason,
                    priority=row.priority,
                    qos=row.qos,
                    retain=row.retain,
                    zone=row.zone,
                    valid_from_ms=row.valid_from_at,
                    valid_until_ms=row.valid_until_at,
                    service=self._service,
                )
                for row in rows
            )
        except RuleError as error:
            log.error("an exception cannot be read: its subjects are denied everything", error=str(error))
            return None

    def _remember(self, names: OrderedDict[str, Value], name: str, value: Value) -> None:
        names[name] = value
        names.move_to_end(name)
        if len(names) > self._bounds.unknown:
            names.popitem(last=False)


def _evict(entries: dict[str, Person] | dict[str, Client], bound: int) -> None:
    """Forget the longest known, a tenth at a time, so that a full memory does not pay at each entry."""
    if len(entries) > bound:
        for name in list(entries)[: max(1, bound // 10)]:
            del entries[name]
