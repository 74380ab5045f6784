"""Who may not connect whatever the authenticators say."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime

import msgspec

from emqx.api.calls import Calls, as_type
from emqx.api.pages import PAGE_SIZE, Page, by_number, numbers
from emqx.api.paths import segment


class Ban(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename={"kind": "as"}):
    """One ban.

    Attributes:
        kind: what ``who`` is: ``clientid``, ``username``, ``peerhost``, or a pattern of one.
        who: who. A client id is also kicked, without its will; a user name or address is not.
        by: author.
        reason: why.
        at: since when, RFC 3339; None = now.
        until: to when, RFC 3339; ``infinity`` or None = for ever.
    """

    kind: str
    who: str
    by: str | None = None
    reason: str | None = None
    at: str | None = None
    until: str | None = None

    @property
    def ends(self) -> datetime | None:
        """When it ends; None = never."""
        return None if self.until in (None, "infinity") else datetime.fromisoformat(self.until)


class Banned:
    """`/banned`."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def page(self, page: int | None = None, limit: int | None = None) -> Page[Ban]:
        """One page. There is no filter: 5.8.9 takes ``as`` and ``who`` and does not use them."""
        return await self._calls.read("/banned", as_type(Page[Ban]), numbers(page, limit))

    def every(self, page_size: int = PAGE_SIZE) -> AsyncIterator[Ban]:
        """All of them, page by page."""
        return by_number(lambda number: self.page(number, page_size), call="GET /banned")

    async def create(self, ban: Ban) -> Ban:
        """Ban somebody.

        Returns:
            The ban as EMQX has it.

        Raises:
            Conflict: he is banned already.
            Rejected: ``until`` is past.
        """
        return await self._calls.create("/banned", ban, as_type(Ban))

    async def delete(self, kind: str, who: str) -> bool:
        """Lift a ban; False = there is none, which is as good."""
        return await self._calls.delete(f"/banned/{segment(kind)}/{segment(who)}")
