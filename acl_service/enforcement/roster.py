"""Which sessions the broker holds of some people or client ids (decision 8: the broker knows, rows are a hint)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Iterator
from typing import Final
from urllib.parse import quote

from acl_service.enforcement.sessions import FIELDS, Session
from directory import client_acls, registrations, sessions
from directory.database import Database
from emqx.api.broker import BrokerApi
from emqx.api.clients import ClientFilter

NAMED: Final = 40
"""Names that one question to the broker holds at most: they stand in its URL."""

_LONGEST: Final = 4_000
"""Characters of the names of one question, as they stand in its URL: EMQX takes 8,000 of a request's line, and a
person chooses client ids of 256 bytes, each of which may be three characters there."""

MOST_NAMED: Final = 200
"""People or client ids beyond which the whole list of the broker is read instead."""

MOST_SOUGHT: Final = 3
"""People whose client ids are sought by their text too: each is a walk of the broker's over all of its clients."""


class Roster:
    """The sessions of a broker.

    Args:
        api: of the broker.
        database: the directory, for what is known of people's client ids.
        service: this deployment's service id, the realm of user names.
    """

    def __init__(self, api: BrokerApi, database: Database, service: str) -> None:
        self._api = api
        self._database = database
        self._service = service

    async def of_clients(self, client_ids: Collection[str]) -> list[Session]:
        """List the sessions of client ids; those that the broker does not have are left out.

        Raises:
            emqx.api.errors.ApiError: the broker did not answer.
        """
        if len(client_ids) > MOST_NAMED:
            wanted = frozenset(client_ids)
            return [session async for session in self.everybody(surely=True) if session.client_id in wanted]
        found: dict[str, Session] = {}
        for some in _batched(client_ids):
            await self._add(found, ClientFilter(client_ids=some))
        return list(found.values())

    async def of_people(self, employee_ids: Collection[str], *, surely: bool = False) -> list[Session]:
        """List the sessions that are or may be of some people.

        By the user name that they may have come in with, by the client ids that rows know of, and for a few people
        by the text of the client ids that are theirs: a JWT comes in without a user name, and a crash loses rows.

        Args:
            employee_ids: of the people.
            surely: by that text too.

        Raises:
            emqx.api.errors.ApiError: the broker did not answer.
            directory.errors.DirectoryError: nor did the database.
        """
        people = frozenset(employee_ids)
        if len(people) > MOST_NAMED:
            return [session async for session in self.everybody(surely=True) if session.employee_id in people]
        known, prefixes = await self._known(people)
        filters = [ClientFilter(usernames=some) for some in _batched(self._user_names(people))]
        # Of a person, the id itself and what begins with it and `_` (decision 9).
        sought = [(one, f"{one}_") for one in sorted(people)] + [(one, one) for one in sorted(prefixes)]
        found: dict[str, Session] = {}
        await asyncio.gather(
            *(self._add(found, matching) for matching in filters),
            *(
                self._add(found, ClientFilter(like_client_id=text), begins_with, whole=text)
                for text, begins_with in (sought if surely and len(people) <= MOST_SOUGHT else ())
            ),
        )
        for some in _batched(sorted(known - found.keys())):
            await self._add(found, ClientFilter(client_ids=some))
        return list(found.values())

    async def beginning_with(self, prefix: str) -> list[Session]:
        """List the sessions whose client ids begin with a prefix.

        Raises:
            emqx.api.errors.ApiError: the broker did not answer.
        """
        found: dict[str, Session] = {}
        await self._add(found, ClientFilter(like_client_id=prefix), prefix)
        return list(found.values())

    async def everybody(self, *, surely: bool = False) -> AsyncIterator[Session]:
        """List all sessions; one may come twice while clients come and go.

        Args:
            surely: by cursor, so that none is passed over because others left meanwhile (`emqx.api.pages`); ten times
                as much to read.

        Raises:
            emqx.api.errors.ApiError: the broker did not answer.
        """
        clients = self._api.clients
        async for client in clients.scan() if surely else clients.every(FIELDS):
            yield Session.of(client)

    async def _add(
        self,
        found: dict[str, Session],
        matching: ClientFilter,
        begins_with: str = "",
        *,
        whole: str | None = None,
    ) -> None:
        async for client in self._api.clients.every(FIELDS, matching):
            if client.client_id == whole or client.client_id.startswith(begins_with):
                found[client.client_id] = Session.of(client)

    def _user_names(self, people: Iterable[str]) -> list[str]:
        realms = ("", f"@{self._service}") if self._service else ("",)
        return [person + realm for person in sorted(people) for realm in realms]

    async def _known(self, people: frozenset[str]) -> tuple[set[str], set[str]]:
        """The client ids that rows know of, and the prefixes that are registered."""
        async with self._database.read() as connection:
            known = {row.client_id for row in await sessions.of_employees(connection, people)}
            known |= {row.client_id for row in await client_acls.of_employees(connection, people)}
            registered = await registrations.of_employees(connection, people)
        known |= {one.pattern for one in registered if one.kind == "exact"}
        return known, {one.pattern for one in registered if one.kind == "prefix"}


def _batched(names: Iterable[str]) -> Iterator[tuple[str, ...]]:
    """Part names into questions that the broker takes, whatever the names are."""
    some: list[str] = []
    long = 0
    for name in names:
        length = len(_IN_URL) + len(quote(name, safe=""))
        if some and (len(some) == NAMED or long + length > _LONGEST):
            yield tuple(some)
            some, long = [], 0
        some.append(name)
        long += length
    if some:
        yield tuple(some)


_IN_URL: Final = "&clientid="
"""What stands before each name; that of a user name is as long."""
