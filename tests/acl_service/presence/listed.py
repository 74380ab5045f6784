"""A broker of which only the list of clients, the nodes and the counters are there."""

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from emqx.api.clients import EVERYBODY, Client, ClientFilter
from emqx.api.errors import NotFound, Unreachable
from emqx.api.nodes import Node
from tests.acl_service.presence.telling import NODE

NODE_TWO = "emqx@127.0.0.2"
OURS = {"employee_id": "ann", "grants_version": "7", "credential_id": "cred_1", "zone": "office"}


def client(client_id: str, epoch: int, attributes: dict[str, str] | None = None, **values: Any) -> Client:
    """As /clients shows one; let in by MChat for ann unless it is said."""
    known: dict[str, Any] = {
        "node": NODE,
        "connected": True,
        "connected_at": datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=epoch),
        "attributes": OURS if attributes is None else attributes,
        "ip_address": "10.0.0.1",
        "port": 5,
    }
    return Client(client_id=client_id, **{**known, **values})


@dataclass
class ListedRules:
    """Rules of which only the counters are there, by id; None: there is no rule."""

    counters: dict[str, dict[str, float] | None] = field(default_factory=dict)

    async def metrics(self, rule: str) -> dict[str, float]:
        found = self.counters.get(rule, {})
        if found is None:
            raise NotFound("GET /rules", "not found", "")
        return found


@dataclass
class ListedBroker:
    """What is asked of it, and what happens while it is.

    Attributes:
        there: its clients.
        running: its nodes that run.
        stopped: its nodes that do not.
        kicked: client ids that were.
        looked_up: client ids that were asked for.
        fails_after: clients of a list after which it does not answer any more.
        counters: of the action; None: there is none.
        rules: that hand events to the action.
        only_listed: client ids that the list shows and that are gone when they are asked for.
        only_looked_up: clients that the list passed over.
        uptime: of its nodes by name, milliseconds; others do not tell.
    """

    there: list[Client] = field(default_factory=list)
    running: list[str] = field(default_factory=lambda: [NODE, NODE_TWO])
    stopped: list[str] = field(default_factory=list)
    kicked: list[str] = field(default_factory=list)
    looked_up: list[str] = field(default_factory=list)
    fails_after: int | None = None
    counters: dict[str, float] | None = field(default_factory=lambda: {"dropped": 0.0})
    rules: ListedRules = field(default_factory=ListedRules)
    only_listed: set[str] = field(default_factory=set)
    only_looked_up: list[Client] = field(default_factory=list)
    uptime: dict[str, int] = field(default_factory=dict)

    @property
    def clients(self) -> "ListedBroker":
        return self

    @property
    def nodes(self) -> "ListedBroker":
        return self

    @property
    def actions(self) -> "ListedBroker":
        return self

    async def scan(self, page_size: int) -> AsyncIterator[Client]:
        for number, one in enumerate(list(self.there)):
            if self.fails_after is not None and number >= self.fails_after:
                raise Unreachable("GET /clients_v2", "connection refused", "see that it runs")
            yield one

    async def every(
        self, fields: Sequence[str] = (), matching: ClientFilter = EVERYBODY
    ) -> AsyncIterator[Client]:
        assert 0 < len(matching.client_ids) <= 40
        self.looked_up += matching.client_ids
        for one in [*self.there, *self.only_looked_up]:
            if one.client_id in matching.client_ids and one.client_id not in self.only_listed:
                yield one

    async def kick_many(self, client_ids: Iterable[str]) -> None:
        names = list(client_ids)
        self.kicked += names
        self.there = [one for one in self.there if one.client_id not in names]

    async def all(self) -> tuple[Node, ...]:
        live = sum(bool(one.connected) for one in self.there)
        nodes = [(name, "running") for name in self.running] + [(name, "stopped") for name in self.stopped]
        return tuple(
            Node(
                node=name,
                version="5.8.9",
                node_status=status,
                uptime=self.uptime.get(name, 0),
                live_connections=0 if number else live,
            )
            for number, (name, status) in enumerate(nodes)
        )

    async def metrics(self, action: str) -> dict[str, float]:
        if self.counters is None:
            raise NotFound("GET /actions", "not found", "")
        return self.counters
