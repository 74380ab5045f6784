"""Clients of the broker: online ones, and those away whose session it keeps."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Literal

import msgspec

from emqx.api.calls import Calls, as_type
from emqx.api.errors import Unaddressable
from emqx.api.pages import PAGE_SIZE, Page, by_cursor, by_number, numbers
from emqx.api.paths import Query, segment, unaddressable

ClientField = Literal[
    "clientid",
    "username",
    "node",
    "connected",
    "connected_at",
    "disconnected_at",
    "created_at",
    "client_attrs",
    "listener",
    "mountpoint",
    "ip_address",
    "port",
    "proto_ver",
    "clean_start",
    "expiry_interval",
    "keepalive",
    "is_expired",
    "all",
]
"""What a list may be asked for, in EMQX's names; ``clientid`` must be among them."""

KICKED_AT_ONCE = 1_000
"""Ids of one kickout/bulk call: measured with 0.14 s."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Client(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    rename={"client_id": "clientid", "attributes": "client_attrs", "protocol_version": "proto_ver"},
):
    """A client; what was not asked for, and what EMQX does not know, is None.

    Attributes:
        client_id: as it connected.
        username: as it connected.
        node: where its session is.
        connected: False = away, EMQX keeps the session.
        connected_at: when its last connection came; also of one that is away.
        disconnected_at: when that ended.
        created_at: when the session began.
        attributes: ``client_attrs`` as authn gave them.
        listener: such as ``tcp:default``.
        mountpoint: of its listener, rendered.
        ip_address: of the client.
        port: of the client.
        protocol_version: 3, 4 (MQTT 3.1.1) or 5.
        clean_start: as it connected.
        expiry_interval: seconds that the session outlives the connection.
        keepalive: seconds.
        is_expired: the session ended but still stands in the list.
    """

    client_id: str
    username: str | None = None
    node: str | None = None
    connected: bool | None = None
    connected_at: datetime | None = None
    disconnected_at: datetime | None = None
    created_at: datetime | None = None
    attributes: dict[str, str] | None = None
    listener: str | None = None
    mountpoint: str | None = None
    ip_address: str | None = None
    port: int | None = None
    protocol_version: int | None = None
    clean_start: bool | None = None
    expiry_interval: int | None = None
    keepalive: int | None = None
    is_expired: bool | None = None

    @property
    def epoch(self) -> int | None:
        """``connected_at`` in milliseconds since 1970, as events tell it; None = not told."""
        if self.connected_at is None:
            return None
        return (self.connected_at - _EPOCH) // timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class ClientFilter:
    """Which clients; what is empty does not choose. All of it stands in the URL: a few dozen ids, not thousands.

    Attributes:
        client_ids: one of these.
        usernames: one of these.
        state: ``connected`` or ``disconnected``.
        like_client_id: a part of the id.
        like_username: a part of the user name.
        node: on this node.
    """

    client_ids: tuple[str, ...] = ()
    usernames: tuple[str, ...] = ()
    state: Literal["connected", "disconnected", "idle"] | None = None
    like_client_id: str = ""
    like_username: str = ""
    node: str = ""

    def query(self) -> Query:
        """As EMQX reads it."""
        return (
            *(("clientid", client_id) for client_id in self.client_ids),
            *(("username", username) for username in self.usernames),
            *((("conn_state", self.state),) if self.state else ()),
            *(
                (name, value)
                for name, value in (
                    ("like_clientid", self.like_client_id),
                    ("like_username", self.like_username),
                    ("node", self.node),
                )
                if value
            ),
        )


EVERYBODY = ClientFilter()


class Clients:
    """`/clients`."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def page(
        self,
        page: int | None = None,
        limit: int | None = None,
        fields: Sequence[ClientField] = (),
        matching: ClientFilter = EVERYBODY,
    ) -> Page[Client]:
        """One page.

        Args:
            page: its number, from 1.
            limit: rows, 1 to 10,000.
            fields: what to tell of each; empty = all.
            matching: which clients.
        """
        query = numbers(page, limit) + matching.query()
        if fields:
            query += (("fields", ",".join(fields)),)
        return await self._calls.read("/clients", as_type(Page[Client]), query)

    def every(
        self,
        fields: Sequence[ClientField] = (),
        matching: ClientFilter = EVERYBODY,
        page_size: int = PAGE_SIZE,
    ) -> AsyncIterator[Client]:
        """Every client that matches, page by page; an id may come twice, see `emqx.api.pages`."""
        return by_number(lambda number: self.page(number, page_size, fields, matching), call="GET /clients")

    async def page_at(self, cursor: str | None = None, limit: int | None = None) -> Page[Client]:
        """One page of ``/clients_v2``, which tells all of each client whatever is asked for.

        Args:
            cursor: of an earlier page; None = the first.
            limit: rows, 1 to 10,000.
        """
        query = numbers(None, limit) + ((("cursor", cursor),) if cursor is not None else ())
        return await self._calls.read("/clients_v2", as_type(Page[Client]), query)

    def scan(self, page_size: int = PAGE_SIZE) -> AsyncIterator[Client]:
        """Every client, by cursor: steadier than page numbers while clients come and go, ten times the bytes."""
        return by_cursor(lambda cursor: self.page_at(cursor, page_size), call="GET /clients_v2")

    async def get(self, client_id: str) -> Client:
        """One client.

        Raises:
            NotFound: EMQX has no session of this id.
            Unaddressable: see `emqx.api.paths.segment`.
        """
        return await self._calls.read(f"/clients/{segment(client_id)}", as_type(Client))

    async def kick(self, client_id: str) -> bool:
        """End a client's connection and session; its will is published.

        Not repeated once it was sent: the client may be back within a millisecond, and its new session would
        be kicked for the old one's sake. On `Unreachable`, look before kicking again.

        Returns:
            False = EMQX has no such session, which is as good.

        Raises:
            Unaddressable: see `emqx.api.paths.segment`.
        """
        return await self._calls.delete(f"/clients/{segment(client_id)}", repeatable=False)

    async def kick_many(self, client_ids: Iterable[str]) -> None:
        """End many; those that are not there are no error. Ids that no path can hold work here; not repeated.

        Raises:
            Unaddressable: EMQX takes one of the ids nowhere; nobody was kicked.
        """
        ids = list(client_ids)
        for client_id in ids:
            if unaddressable(client_id):
                raise Unaddressable(
                    f"client id {client_id[:64]!r} cannot be named in EMQX's REST API: leave it out, and stop "
                    "its listener or node to be rid of it"
                )
        rest = iter(ids)
        while chunk := list(islice(rest, KICKED_AT_ONCE)):
            await self._calls.do("/clients/kickout/bulk", chunk, repeatable=False)
