"""Whether the rules that a connect was answered with are wider than what its client may do now.

The broker holds them until the session ends (contract 1.5), so a session that was told too much has to go.
What exactly it was told is not kept anywhere: its mark says whether it is what would be told today, and else the
policy of that time says what it can have been at most.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Final

from acl_service.active_policy import ActivePolicy
from acl_service.enforcement.sessions import Session
from acl_service.policy.connect import UNTOLD, connect_rules, told, told_at_most
from acl_service.policy.grants import Grants
from directory import policies
from directory.database import Database
from directory.errors import NotFound

_KEPT: Final = 4
"""Policies of former times that are kept compiled."""

_DIGITS: Final = 19
"""Of a number that the database takes, at most."""

_ALL: Final = 10_000
"""Rules that today's are compared with: all of them, not only those that a connect has room for."""


class ToldRules:
    """What sessions were told.

    Args:
        database: where the policies of former times stand.
        service: this deployment's service id.
        presence_public: MCHAT_PRESENCE_PUBLIC, taken to have been the same then.
    """

    def __init__(self, database: Database, service: str, presence_public: bool | None) -> None:
        self._database = database
        self._service = service
        self._presence_public = presence_public
        self._policies: OrderedDict[int, ActivePolicy] = OrderedDict()

    async def too_wide(self, session: Session, grants: Grants, zone: str | None, now_ms: int) -> bool:
        """Whether the broker grants a session by itself what its client may not do any more, as far as is known.

        Args:
            session: as the broker tells it.
            grants: of its client, as they are now.
            zone: of its listener; None if unknown.
            now_ms: milliseconds since the epoch.

        Raises:
            directory.errors.DirectoryError: the database did not answer.
        """
        if session.told is None:
            return True
        if session.told in (UNTOLD, told(grants, zone, now_ms).mark):
            return False
        policy = await self._policy(session.told.partition(":")[0])
        if policy is None:
            return True
        most = told_at_most(grants, policy.program(session.role), zone)
        return not most <= frozenset(connect_rules(grants, zone, now_ms, _ALL))

    async def _policy(self, number: str) -> ActivePolicy | None:
        """The policy of that number; None if there is none any more."""
        if not (number.isascii() and number.isdigit() and len(number) < _DIGITS):
            return None
        version = int(number)
        if version not in self._policies:
            try:
                async with self._database.read() as connection:
                    row = await policies.get(connection, version)
            except NotFound:
                return None
            # A large document takes its time: not on an event loop that may answer the hooks.
            self._policies[version] = await asyncio.to_thread(
                ActivePolicy, row, self._service, self._presence_public
            )
            while len(self._policies) > _KEPT:
                self._policies.popitem(last=False)
        self._policies.move_to_end(version)
        return self._policies[version]
