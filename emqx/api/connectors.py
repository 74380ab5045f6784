"""Connectors: the broker's connections to services of others, ours for events among them."""

from __future__ import annotations

from typing import ClassVar

from emqx.api.calls import Calls
from emqx.api.integrations import Integration, Integrations


class Connector(Integration):
    """One connector."""

    READ_ONLY: ClassVar[frozenset[str]] = frozenset(
        {"type", "name", "status", "status_reason", "node_status", "actions", "sources"}
    )

    __slots__ = ()


class Connectors(Integrations[Connector]):
    """`/connectors`."""

    def __init__(self, calls: Calls) -> None:
        super().__init__(calls, "/connectors", Connector)

    async def delete(self, identifier: str) -> bool:
        """Remove one; False = it was not there.

        Raises:
            Rejected: an action uses it.
        """
        return await self._calls.delete(self._path(identifier))
