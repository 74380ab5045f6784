"""How true memory is right now, and how a doubt is settled (decisions 6 and 7)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from acl_service.errors import Overloaded
from acl_service.verdict import Refusal
from directory.errors import DirectoryError, Unavailable
from directory.feed import ChangeFeed


class Verdict(Protocol):
    """An answer, whatever it rests on."""

    @property
    def allowed(self) -> bool:
        """Whether it is an allow."""


V = TypeVar("V", bound=Verdict)


class Freshness:
    """Judges memory by the age of the feed's last proof of life.

    Args:
        feed: the change feed that memory listens to.
        clock: monotonic seconds, the feed's own clock.
        stale_s: MCHAT_FEED_STALE, the age of a proof beyond which each allow reads the database.
        grace_s: MCHAT_OUTAGE_GRACE, how long memory serves known clients while the database is away too; 0 = off.
        patience_s: how long one question may take in all: EMQX must get an answer within a second
            (emqx-measured, first list, 6).
        retry_s: how long after a failed read nobody waits for the next one.
    """

    def __init__(
        self,
        feed: ChangeFeed,
        clock: Callable[[], float],
        *,
        stale_s: float = 2.0,
        grace_s: float = 300.0,
        patience_s: float = 0.8,
        retry_s: float = 1.0,
    ) -> None:
        self._feed = feed
        self._clock = clock
        self._stale = stale_s
        self._grace = grace_s
        self._patience = patience_s
        self._retry = retry_s
        self._failed_at: float | None = None
        self.confirmations = 0
        self.failures = 0

    def fresh(self) -> bool:
        """Whether an allow may come from memory without a look at the database."""
        return self._clock() - self._feed.proved_at < self._stale

    def bridging(self) -> bool:
        """Whether an allow from memory still stands although the database is away."""
        return self._clock() - self._feed.proved_at < self._grace

    async def settle(self, judge: Callable[[], Awaitable[V]], found: V | None = None) -> V | Refusal:
        """The verdict of ``judge``, confirmed as far as decisions 6 and 7 ask for it.

        An allow stands while memory is fresh. A deny, or an allow of a memory that is not, is looked at again if
        a change was committed before the question came. Without the database a deny stands, and an allow for as
        long as the outage grace.

        Args:
            judge: gives a verdict from memory, looking up what memory lacks; called twice at most.
            found: what memory said just now, if it lacked nothing: it needs no first call.
        """
        verdict = found
        try:
            async with asyncio.timeout(self._patience):
                before = self._feed.version
                if verdict is None:
                    verdict = await judge()
                if verdict.allowed and self.fresh():
                    return verdict
                if isinstance(verdict, Refusal) and not verdict.confirmable:
                    return verdict
                await self._confirm()
                if self._feed.version == before:
                    return verdict
                verdict = None  # somebody's rights changed meanwhile: what was found no longer counts
                return await judge()
        except Overloaded as error:
            return Refusal("overloaded", str(error))
        except (DirectoryError, TimeoutError) as error:
            if verdict is None or (verdict.allowed and not self.bridging()):
                return Refusal("unconfirmed", str(error) or f"no answer within {self._patience:g} s")
            return verdict

    async def _confirm(self) -> None:
        """Bring memory up to every change committed before this call; all who ask share one read."""
        if self._failed_at is not None and self._clock() - self._failed_at < self._retry:
            raise Unavailable("the database did not answer a moment ago")
        self.confirmations += 1
        now = asyncio.get_running_loop().time
        asked = now()
        try:
            await self._feed.catch_up()
        except DirectoryError:
            self._fail()
            raise
        except asyncio.CancelledError:
            # The question's patience may have gone elsewhere, into a password: then the database is not to blame.
            if now() - asked >= self._patience / 2:
                self._fail()
            raise
        self._failed_at = None

    def _fail(self) -> None:
        self.failures += 1
        self._failed_at = self._clock()
