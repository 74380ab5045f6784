"""Whose sessions a piece of work of the enforcer is about."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from acl_service.enforcement.roster import MOST_NAMED
from acl_service.errors import AccessError
from acl_service.memory import Memory
from acl_service.policy.pushed import MAX_RULES
from acl_service.policy.templates import Placeholder
from directory import groups, peers, people, rules
from directory.database import Database
from directory.outbox import OutboxRow

MOST: Final = 5_000
"""People beyond which everybody is looked at: the broker's list is read whole anyway."""


class UnknownWork(AccessError):
    """Work of a kind that this version of MChat does not know; it stays until one does."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose rights a change touched.

    Attributes:
        people: those whom the change is about; it is not in force before their sessions are in line.
        clients: client ids, likewise.
        prefixes: the beginnings of client ids, likewise.
        everybody: all sessions, likewise.
        gaining: of the people, those from whom the change takes nothing: they may go on as before, and do more.
        topics: of the people of the change; who is subscribed may have lost the right to them.
        beside: others whose rules may speak of the people of the change.
    """

    people: frozenset[str] = frozenset()
    clients: frozenset[str] = frozenset()
    prefixes: tuple[str, ...] = ()
    everybody: bool = False
    gaining: frozenset[str] = frozenset()
    topics: tuple[str, ...] = ()
    beside: frozenset[str] = frozenset()

    @property
    def wide(self) -> bool:
        """Whether so many are touched that the work is spread out."""
        return self.everybody or len(self.people) > MOST_NAMED

    @property
    def nearest(self) -> Scope | None:
        """Those whom a change of everybody names; None: it names nobody, or too many."""
        named = replace(self, everybody=False, beside=frozenset())
        return named if self.everybody and named != Scope() and not named.wide else None


def united(scopes: Sequence[Scope]) -> Scope:
    """Make one scope of several that are not wide; those beside them are the spread's."""
    losing = frozenset[str]().union(*(scope.people - scope.gaining for scope in scopes))
    return Scope(
        people=frozenset().union(*(scope.people for scope in scopes)),
        gaining=frozenset().union(*(scope.gaining for scope in scopes)) - losing,
        clients=frozenset().union(*(scope.clients for scope in scopes)),
        prefixes=tuple(dict.fromkeys(prefix for scope in scopes for prefix in scope.prefixes)),
        topics=tuple(dict.fromkeys(topic for scope in scopes for topic in scope.topics)),
    )


@dataclass(frozen=True, slots=True)
class _Places:
    """Who is where: people by group and by department; and whether exceptions speak of peers, too."""

    groups: Mapping[str, tuple[str, ...]]
    departments: Mapping[str, tuple[str, ...]]
    mentioned: bool


_NOWHERE: Final = _Places({}, {}, False)


class Scopes:
    """Tells whom work is about, by its payload and by who is where now.

    Args:
        database: the directory.
        memory: knows the policy in force.
        room: rules that a client has room for: nobody's speak of people further down.
    """

    def __init__(self, database: Database, memory: Memory, room: int = MAX_RULES) -> None:
        self._database = database
        self._memory = memory
        self._room = room

    async def of(self, row: OutboxRow, *, beside: bool = True) -> Scope:
        """Return the scope of some work, as `of_all` does."""
        return (await self.of_all([row], beside=beside))[row.outbox_id]

    async def of_all(self, rows: Sequence[OutboxRow], *, beside: bool = True) -> dict[int, Scope]:
        """Return the scopes of pieces of work, by their numbers.

        Args:
            rows: the work.
            beside: find those too who come after the changes; else nothing need be read for a change of one person.

        Raises:
            UnknownWork: a kind is none.
            acl_service.errors.Overloaded, directory.errors.DirectoryError: they could not be looked up.
        """
        placed = [row for row in rows if row.kind in _OF_PLACE]
        places = await self._places(placed) if placed and beside else _NOWHERE
        found = {row.outbox_id: await self._placed(row, places) for row in placed}
        for row in rows:
            if row.outbox_id not in found:
                found[row.outbox_id] = await self._of(row)
        return found

    async def _of(self, row: OutboxRow) -> Scope:
        payload, kind = row.payload, row.kind
        if kind in _OF_PERSON:
            return Scope(people=frozenset((payload["employee_id"],)))
        if kind == "group_dismissed":
            return _people(payload["employee_ids"])
        if kind in _OF_RULE:
            return await self._ruled(payload)
        if kind in ("registration_added", "registration_removed"):
            pattern = payload["pattern"]
            if payload["kind"] == "exact":
                return Scope(clients=frozenset((pattern,)))
            return Scope(prefixes=(pattern,))
        if kind == "client_block":
            return Scope(clients=frozenset((payload["client_id"],)))
        if kind == "policy_activated":
            return Scope(everybody=True)
        raise UnknownWork(f"work of kind {kind!r} is unknown: let the version of MChat that left it do it")

    async def _ruled(self, payload: Mapping[str, Any]) -> Scope:
        """Whom an exception is on; those who are in a group or department of it now."""
        kind, subject = payload["subject_kind"], payload["subject_id"]
        if kind == "client":
            return Scope(clients=frozenset((subject,)))
        if kind == "employee":
            return Scope(people=frozenset((subject,)))
        if kind == "everyone":
            return Scope(everybody=True)
        async with self._database.read() as connection:
            if kind == "group":
                found = [one.employee_id for one in await groups.members(connection, subject, limit=MOST + 1)]
            elif kind == "department":
                within = await people.list_(connection, department_id=subject, limit=MOST + 1)
                found = [one.employee_id for one in within]
            else:
                found = [
                    one.employee_id for one in await people.list_(connection, role=subject, limit=MOST + 1)
                ]
        return _people(found)

    async def _places(self, rows: Sequence[OutboxRow]) -> _Places:
        """Read who is in the groups and departments that some changes are about."""
        groups = {row.payload["group_id"] for row in rows if "group_id" in row.payload}
        departments = {one for row in rows for one in _departments(row)}
        async with self._database.read() as connection:
            return _Places(
                await peers.first_members(connection, groups, MOST + 2) if groups else {},
                await peers.first_of_departments(connection, departments, MOST + 2) if departments else {},
                await rules.mentions(connection, Placeholder.PEER_ID.value),
            )

    async def _placed(self, row: OutboxRow, places: _Places) -> Scope:
        """Add those who may have seen somebody because they share what changed."""
        employee_id = row.payload["employee_id"]
        topics = (await self._memory.active_policy()).peer_topics(employee_id)
        if places.mentioned:
            topics = None
        within = [places.groups.get(row.payload.get("group_id", ""), ())]
        within += [places.departments.get(one, ()) for one in _departments(row)]
        # Rules speak of the first people of a place only (`Peers`): who stands behind them is in nobody's.
        told = [place for place in within if topics is None or bisect_left(place, employee_id) <= self._room]
        beside = frozenset(one for place in told for one in place) - {employee_id}
        person = frozenset((employee_id,))
        if row.kind == "member_added":
            # Who joins takes nothing from those who see him from now on: in a crowd they are left to be asked.
            return Scope(people=person, gaining=person, beside=beside if len(beside) <= MOST else frozenset())
        if len(beside) > MOST:
            return Scope(people=person, topics=topics or (), everybody=True)
        return Scope(people=person, topics=topics or (), beside=beside)


def _departments(row: OutboxRow) -> list[str]:
    if row.kind != "employee_department":
        return []
    return [one for one in (row.payload["before"], row.payload["after"]) if one is not None]


_OF_PERSON: Final = frozenset(
    ("employee_status", "employee_role", "credential_revoked", "credential_expired")
)
_OF_PLACE: Final = frozenset(("member_added", "member_removed", "employee_department"))
_OF_RULE: Final = frozenset(("rule_added", "rule_removed", "rule_began", "rule_ended"))


def _people(found: Collection[str]) -> Scope:
    return Scope(everybody=True) if len(found) > MOST else Scope(people=frozenset(found))
