"""What the broker remembers of our decisions: in each client, and from 5.9 on in each node (contract 2.6)."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from emqx.api.calls import Calls, as_type
from emqx.api.errors import NotFound, Unsupported
from emqx.api.objects import Body, ConfiguredObject, as_object, body_of
from emqx.api.paths import segment

Question = Literal["authorization", "authentication"]


class Access(msgspec.Struct, frozen=True):
    """What was asked.

    Attributes:
        action_type: ``publish`` or ``subscribe``.
        qos: of it.
        retain: of a publish.
    """

    action_type: Literal["publish", "subscribe"]
    qos: int
    retain: bool | None = None


class CachedDecision(msgspec.Struct, frozen=True):
    """One decision that a client's connection remembers.

    Attributes:
        topic: asked about.
        access: what was asked.
        result: ``allow`` or ``deny``.
        updated_time: milliseconds since 1970.
    """

    topic: str
    access: Access
    result: Literal["allow", "deny"]
    updated_time: int


class NodeCache(ConfiguredObject):
    """The settings of a node's cache."""


class Caches:
    """`/clients/{id}/authorization/cache`, `/authorization/cache` and the node caches."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def of(self, client_id: str) -> tuple[CachedDecision, ...]:
        """What a client's connection remembers.

        Raises:
            NotFound: EMQX has no session of this id.
            Unaddressable: see `emqx.api.paths.segment`.
        """
        path = f"/clients/{segment(client_id)}/authorization/cache"
        return await self._calls.read(path, as_type(tuple[CachedDecision, ...]))

    async def clear(self, client_id: str) -> bool:
        """Forget what one client's connection remembers; False = there is no such session, which is as good."""
        return await self._calls.delete(f"/clients/{segment(client_id)}/authorization/cache")

    async def clear_all(self) -> None:
        """Forget what every client's connection remembers; not the node caches."""
        await self._calls.delete("/authorization/cache")

    async def node_cache(self) -> NodeCache | None:
        """The settings of the node cache of authorization; None = this version has none."""
        try:
            return await self._calls.read("/authorization/node_cache", as_object(NodeCache))
        except (NotFound, Unsupported):
            return None

    async def put_node_cache(self, body: Body) -> None:
        """Set them, whole."""
        await self._calls.put("/authorization/node_cache", body_of(body))

    async def node_status(self, of: Question) -> dict[str, Any] | None:
        """What a node cache says of itself; None = this version has none."""
        try:
            return await self._calls.read(f"/{of}/node_cache/status", as_type(dict[str, Any]))
        except (NotFound, Unsupported):
            return None

    async def reset_node(self, of: Question) -> bool:
        """Forget what the nodes remember; False = this version has no such cache."""
        try:
            await self._calls.do(f"/{of}/node_cache/reset", repeatable=True)
        except (NotFound, Unsupported):
            return False
        return True
