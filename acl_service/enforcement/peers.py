"""Whom people share groups and departments with, as far as there is room for rules about them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import chain, islice

from acl_service.memory import Memory
from acl_service.policy.pushed import MAX_RULES
from acl_service.policy.templates import Placeholder
from acl_service.principals import Client, Person
from directory.database import Database
from directory.peers import first_members, first_of_departments


class Peers:
    """Reads people's peers, the first ones by the ids of groups and people: the same ones each time.

    Args:
        database: the directory.
        memory: has the last word on who shares what with whom.
        limit: peers of one person at most.
    """

    def __init__(self, database: Database, memory: Memory, limit: int = MAX_RULES) -> None:
        self._database = database
        self._memory = memory
        self._limit = limit

    async def of(self, clients: Collection[Client]) -> Mapping[str, tuple[str, ...]]:
        """List the peers of the owners of some clients, where their policy asks for them.

        Raises:
            acl_service.errors.Overloaded: too many names are waiting to be looked up.
            directory.errors.DirectoryError: the database did not answer.
        """
        people = {
            client.person.employee_id: client.person
            for client in clients
            if client.person is not None and _asks(client)
        }
        if not people:
            return {}
        groups = {group for person in people.values() for group in self._first(person.groups)}
        departments = {one for person in people.values() for one in person.departments}
        async with self._database.read() as connection:
            members = await first_members(connection, groups, self._limit + 1)
            colleagues = await first_of_departments(connection, departments, self._limit + 1)
        found = {
            name: tuple(islice(_others(person, self._first(person.groups), members, colleagues), self._limit))
            for name, person in people.items()
        }
        # The rows were read later than the rights in memory: who left meanwhile must not come in by them.
        unknown = {one for some in found.values() for one in some if self._memory.person(one) is None}
        if unknown:
            await self._memory.look_up(unknown)
        return {
            name: tuple(one for one in some if self._shares(people[name], one))
            for name, some in found.items()
        }

    def _first(self, names: Iterable[str]) -> list[str]:
        return sorted(names)[: self._limit]

    def _shares(self, person: Person, other: str) -> bool:
        known = self._memory.person(other)
        return known is not None and person.shares_with(known)


def _asks(client: Client) -> bool:
    if client.grants is None or client.refusal is not None:
        return False
    return any(
        Placeholder.PEER_ID in rule.template.placeholders
        for index in client.grants.layers
        for rule in index.rules
    )


def _others(
    person: Person,
    groups: Iterable[str],
    members: Mapping[str, tuple[str, ...]],
    colleagues: Mapping[str, tuple[str, ...]],
) -> Iterator[str]:
    """The people beside a person, group by group, then in the department; each once."""
    seen = {person.employee_id}
    places = chain(
        (members.get(group, ()) for group in groups),
        (colleagues.get(one, ()) for one in sorted(person.departments)),
    )
    for place in places:
        for one in place:
            if one not in seen:
                seen.add(one)
                yield one
