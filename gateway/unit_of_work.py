"""What a mutating action is given: its transaction, its caller read in it, and what it leaves for after the commit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from directory import groups, membership
from directory.changes import Change
from directory.errors import NotFound
from directory.membership import MemberRole
from gateway import deliveries
from gateway.caller import Caller
from gateway.deliveries import WORKER
from gateway.means import Means
from gateway.request import Request
from gateway.terms import Terms
from gateway.topics import Topics

ORG: Final = "org"
"""Kind of the outbox rows that tell that the organisation's tree changed: one a person or department."""

CAPABILITY: Final = "capability"
"""Kind of those that tell that the agents of a skill changed: one a skill and agent."""


@dataclass(slots=True)
class Work:
    """The transaction of one action. If the handler raises, nothing of it was done.

    Attributes:
        change: The transaction, for the directory's functions.
        caller: Who asks, read and kept active and in its role by this transaction.
        request: What was asked.
        means: What there is.
        summary: What else the audit row says; never content, never a secret.
        revoking: Whether the answer waits for what this takes away from people to be in force; its data then holds
            `revocation: "pending"`, which becomes `done` if it is in time.
    """

    change: Change
    caller: Caller
    request: Request
    means: Means
    summary: dict[str, Any] = field(default_factory=dict)
    revoking: bool = False
    _pushes: int = 0

    @property
    def connection(self) -> AsyncConnection:
        """The connection inside the transaction."""
        return self.change.connection

    @property
    def now_ms(self) -> int:
        """The time of the change, milliseconds since the epoch."""
        return self.change.now_ms

    @property
    def terms(self) -> Terms:
        """The settings of the actions."""
        return self.means.terms

    @property
    def topics(self) -> Topics:
        """The topics of this deployment."""
        return self.means.topics

    async def role_in(self, group_id: str) -> MemberRole | None:
        """Read the caller's role in a group, and let nobody change the group until the end of the transaction.

        None too if there is no such group: who is not in it does not learn whether it exists.
        """
        try:
            await membership.lock(self.change, group_id)
        except NotFound:
            return None
        caller = self.caller.employee_id
        return (await groups.roles(self.connection, group_id, [caller])).get(caller)

    def deliver(self, topic: str, message: Mapping[str, Any], *, retain: bool = False) -> None:
        """Leave a message to be published after the commit, at least once, in order by topic.

        Args:
            topic: Built by `topics`, which checks the ids in it.
            message: JSON values; never a secret.
            retain: Whether the broker keeps it.
        """
        deliveries.leave(self.change, self.means.instance, topic, message, retain=retain)

    def org_changed(self, *ids: str) -> None:
        """Leave word that people or departments stand otherwise in the organisation's tree."""
        for one in ids:
            self._changed(ORG, one, {"changed_id": one})

    def capability_changed(self, skill: str, *agent_ids: str) -> None:
        """Leave word that agents have a skill, or have it no more, or show otherwise.

        Raises:
            directory.errors.InvalidId: The skill cannot be a level of a topic.
        """
        self.topics.capability(skill)
        for one in agent_ids:
            self._changed(CAPABILITY, one, {"skill": skill, "changed_id": one})

    def _changed(self, kind: str, one: str, payload: dict[str, Any]) -> None:
        # A subject of its own: nothing orders these rows, and all are gathered at once.
        self._pushes += 1
        subject = f"{kind}:{one}:{self.request.trace_id}:{self._pushes}"
        self.change.enqueue(WORKER, kind, subject, payload)
