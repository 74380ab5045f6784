"""Actions: what the broker does, through a connector, with what its rules select."""

from __future__ import annotations

from typing import ClassVar

from emqx.api.calls import Calls, as_type
from emqx.api.integrations import Integration, Integrations
from emqx.api.resource_status import Counters, Metrics


class Action(Integration):
    """One action."""

    READ_ONLY: ClassVar[frozenset[str]] = frozenset(
        {
            "type",
            "name",
            "status",
            "status_reason",
            "node_status",
            "error",
            "rules",
            "created_at",
            "last_modified_at",
        }
    )

    __slots__ = ()


class Actions(Integrations[Action]):
    """`/actions`."""

    def __init__(self, calls: Calls) -> None:
        super().__init__(calls, "/actions", Action)

    async def delete(self, identifier: str, from_rules: bool = False) -> bool:
        """Remove one; False = it was not there.

        Args:
            identifier: ``type:name``.
            from_rules: out of the rules that use it, too; they stay, perhaps with no action.

        Raises:
            Rejected: a rule uses it, and ``from_rules`` is not said.
        """
        query = (("also_delete_dep_actions", "true"),) if from_rules else ()
        return await self._calls.delete(self._path(identifier), query)

    async def metrics(self, identifier: str) -> Metrics:
        """Its counters: ``matched``, ``success``, ``failed``, ``queuing``, ``dropped`` …

        Raises:
            NotFound: it is not there.
        """
        return (await self._calls.read(f"{self._path(identifier)}/metrics", as_type(Counters))).metrics
