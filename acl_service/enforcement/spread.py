"""Those whose rules speak of somebody whose rights changed: brought in line after him, each once for many changes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from itertools import islice
from typing import Final

import structlog

from acl_service.enforcement.effects import Contended
from acl_service.enforcement.pace import Pace
from acl_service.enforcement.roster import Roster
from acl_service.enforcement.settling import Settler
from acl_service.errors import AccessError
from directory.errors import DirectoryError
from emqx.errors import EmqxError

log = structlog.get_logger(__name__)

_AGAIN_S: Final = 1.0
_SOME: Final = 20
_WAYS: Final = 10
_WAY_S: Final = 0.05
_TRIES: Final = 5
_TRY_AGAIN_S: Final = 0.1

_KEPT: Final = 10_000
"""Pieces of work that are remembered as done here: another worker may be the one to confirm them."""


class Spread:
    """Works through people whose turn comes after those of the changes themselves.

    What waits here is in memory only: work of the outbox is not done before it is gone from here, so whoever takes
    the work over puts it in again.

    Args:
        roster: the broker's sessions.
        settler: brings them in line.
        pace: how fast.
        catch_up: has memory take in every change that is committed.
        sleep: waits that many seconds.
        urgent: whether changes themselves are being carried out, which come first.
    """

    def __init__(
        self,
        roster: Roster,
        settler: Settler,
        pace: Pace,
        catch_up: Callable[[], Awaitable[object]],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        urgent: Callable[[], bool] = lambda: False,
    ) -> None:
        self._roster = roster
        self._settler = settler
        self._pace = pace
        self._catch_up = catch_up
        self._sleep = sleep
        self._urgent = urgent
        self._people: dict[str, set[int]] = {}
        self._left: dict[int, int] = {}
        self._some = asyncio.Event()

    @property
    def waiting(self) -> int:
        """People who wait for their turn."""
        return len(self._people)

    def add(self, work: int, people: Collection[str]) -> None:
        """Have people's sessions brought in line on behalf of a piece of work.

        Args:
            work: its number.
            people: employee ids.
        """
        if work in self._left:
            return
        if len(self._left) >= _KEPT:
            self._forget_done()
        self._left[work] = len(people)
        for one in people:
            self._people.setdefault(one, set()).add(work)
        if people:
            self._some.set()

    def done(self, work: int) -> bool | None:
        """Tell whether all people of a piece of work had their turn; None: it is not known here."""
        left = self._left.get(work)
        return None if left is None else left == 0

    def forget(self, work: int) -> None:
        """Forget a piece of work that is done."""
        self._left.pop(work, None)

    def _forget_done(self) -> None:
        """Forget the older half of what is done; if it is asked for all the same, it is done once more."""
        done = [work for work, left in self._left.items() if not left]
        for work in done[: len(done) // 2 + 1]:
            del self._left[work]

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            await self._some.wait()
            await self._give_way()
            some = {one: self._people.pop(one) for one in list(islice(self._people, _SOME))}
            if not some:
                self._some.clear()
                continue
            try:
                await self._settle(list(some))
            except Exception as error:
                for one, works in some.items():
                    self._people.setdefault(one, set()).update(works)
                if not isinstance(error, AccessError | DirectoryError | EmqxError):
                    raise
                log.warning("people beside a change wait", count=len(self._people), error=str(error))
                await self._sleep(_AGAIN_S)
                continue
            for works in some.values():
                for work in works & self._left.keys():
                    self._left[work] -= 1

    async def _give_way(self) -> None:
        """Wait for a moment without urgent work, but not for ever."""
        for _ in range(_WAYS):
            if not self._urgent():
                return
            await self._sleep(_WAY_S)

    async def _settle(self, people: list[str]) -> None:
        await self._catch_up()
        sessions = await self._roster.of_people(people)
        await self._pace.take(len(sessions))
        # Their subscriptions to the person of the change were looked at with him, by topic.
        done = await self._settler.settle(sessions, beside=True)
        for _ in range(_TRIES):
            if not done.held:
                return
            # Whoever writes them may do so by older rights.
            await self._sleep(_TRY_AGAIN_S)
            held = await self._roster.of_clients(done.held)
            done = await self._settler.settle(held, look=True, beside=True)
        if done.held:
            raise Contended(f"another worker writes the rules of {', '.join(sorted(done.held)[:5])}")
