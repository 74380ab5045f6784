"""Nodes of the broker, and which version it is."""

from __future__ import annotations

import re

import msgspec

from emqx.api.calls import Calls, as_type
from emqx.api.paths import segment

Version = tuple[int, int, int]

_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)")


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """One node.

    Attributes:
        node: its name.
        version: as it says, such as ``5.8.9`` or ``6.2.1-beta.2``.
        edition: ``Opensource`` or ``Enterprise``.
        node_status: ``running`` or ``stopped``.
        role: ``core`` or ``replicant``.
        uptime: milliseconds.
        connections: sessions, those of clients away too.
        live_connections: clients that are connected.
    """

    node: str
    version: str
    node_status: str
    edition: str = ""
    role: str = ""
    uptime: int = 0
    connections: int = 0
    live_connections: int = 0

    @property
    def release(self) -> Version | None:
        """The version's three numbers; None = it has other words."""
        found = _VERSION.match(self.version.removeprefix("v").removeprefix("e"))
        return (int(found[1]), int(found[2]), int(found[3])) if found else None


class Nodes:
    """`/nodes` and `/status`."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def all(self) -> tuple[Node, ...]:
        """All of them."""
        return await self._calls.read("/nodes", as_type(tuple[Node, ...]))

    async def get(self, name: str) -> Node:
        """One, by its name.

        Raises:
            NotFound: it is not in the cluster.
        """
        return await self._calls.read(f"/nodes/{segment(name, keep='@')}", as_type(Node))

    async def oldest(self) -> Version | None:
        """The lowest version of the cluster; None = a node does not tell one, or there is none."""
        releases = [node.release for node in await self.all()]
        known = [release for release in releases if release is not None]
        return min(known) if known and len(known) == len(releases) else None

    async def status(self) -> str:
        """EMQX's own words, such as ``Node emqx@127.0.0.1 is started``."""
        return await self._calls.read_text("/status")
