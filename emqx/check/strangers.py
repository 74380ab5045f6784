"""Sessions that came in without being asked about: while the broker was open, or before its hooks were up."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from emqx.api.broker import BrokerApi
from emqx.api.clients import Client

MOST_NAMED = 5
PAGE = 10_000
"""Rows that EMQX gives at most; 770 KB for 5,000 (emqx-measured, "REST")."""


@dataclass(frozen=True, slots=True)
class Strangers:
    """Them.

    Attributes:
        count: how many.
        client_ids: of the first of them.
    """

    count: int
    client_ids: tuple[str, ...]


async def strangers(api: BrokerApi) -> Strangers:
    """Every session, online or away, without the attributes that our answer to authn always gives.

    Raises:
        ApiError: the broker did not answer.
    """
    seen: dict[str, None] = {}
    count = 0
    async for client in _everybody(api):
        attributes = client.attributes or {}
        if client.is_expired or ("employee_id" in attributes and "grants_version" in attributes):
            continue
        count += 1
        if len(seen) < MOST_NAMED:
            seen[client.client_id] = None
    return Strangers(count, tuple(seen))


def _everybody(api: BrokerApi) -> AsyncIterator[Client]:
    return api.clients.every(("clientid", "client_attrs", "is_expired"), page_size=PAGE)
