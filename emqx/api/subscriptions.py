"""Subscriptions of clients, and how they end without the client's doing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

import msgspec

from emqx.api.calls import Calls, as_type
from emqx.api.pages import PAGE_SIZE, Page, by_number, numbers
from emqx.api.paths import segment


class Subscription(msgspec.Struct, frozen=True, kw_only=True, rename={"client_id": "clientid"}):
    """One subscription.

    Attributes:
        client_id: whose.
        topic: the filter with its ``$share/…`` or other prefix, mounted if the listener has a mountpoint.
        qos: granted.
        node: where.
    """

    client_id: str
    topic: str
    qos: int
    node: str | None = None


@dataclass(frozen=True, slots=True)
class SubscriptionFilter:
    """Which subscriptions; what is empty does not choose.

    Attributes:
        client_id: of this client.
        share_group: of this group.
        topic: exactly this filter.
        match_topic: filters that this topic name matches.
    """

    client_id: str = ""
    share_group: str = ""
    topic: str = ""
    match_topic: str = ""


class Subscriptions:
    """`/clients/{id}/subscriptions`, `/clients/{id}/unsubscribe` and `/subscriptions`."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def of(self, client_id: str) -> tuple[Subscription, ...]:
        """Every subscription of a client, also of one that is away.

        Raises:
            NotFound: EMQX has no session of this id.
            Unaddressable: see `emqx.api.paths.segment`.
        """
        path = f"/clients/{segment(client_id)}/subscriptions"
        return await self._calls.read(path, as_type(tuple[Subscription, ...]))

    async def page(
        self, page: int | None = None, limit: int | None = None, matching: SubscriptionFilter | None = None
    ) -> Page[Subscription]:
        """One page of the subscriptions of all clients."""
        chosen = matching or SubscriptionFilter()
        query = tuple(
            (name, value)
            for name, value in (
                ("clientid", chosen.client_id),
                ("share_group", chosen.share_group),
                ("topic", chosen.topic),
                ("match_topic", chosen.match_topic),
            )
            if value
        )
        return await self._calls.read(
            "/subscriptions", as_type(Page[Subscription]), numbers(page, limit) + query
        )

    def every(
        self, matching: SubscriptionFilter | None = None, page_size: int = PAGE_SIZE
    ) -> AsyncIterator[Subscription]:
        """Every subscription that matches, page by page; one may come twice, see `emqx.api.pages`."""
        return by_number(lambda number: self.page(number, page_size, matching), call="GET /subscriptions")

    async def unsubscribe(self, client_id: str, topic: str) -> None:
        """End one subscription; the client is told nothing, and one that is not there is no error.

        Args:
            client_id: whose.
            topic: with its ``$share/…`` prefix, else nothing happens; **without** the mountpoint, unlike
                the subscription that is read (emqx-measured.md, "Zones and mountpoints").

        Raises:
            NotFound: EMQX has no session of this id, or it is durable and away.
            Unaddressable: see `emqx.api.paths.segment`.
        """
        path = f"/clients/{segment(client_id)}/unsubscribe"
        await self._calls.do(path, {"topic": topic}, repeatable=True)

    async def unsubscribe_many(self, client_id: str, topics: Iterable[str]) -> None:
        """End several subscriptions of a client, as `unsubscribe` does."""
        path = f"/clients/{segment(client_id)}/unsubscribe/bulk"
        await self._calls.do(path, [{"topic": topic} for topic in topics], repeatable=True)
