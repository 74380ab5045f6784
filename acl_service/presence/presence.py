"""Presence put together: what the worker runs, one worker of all at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import structlog

from acl_service.lease import Lease, new_holder
from acl_service.presence.counters import Counters
from acl_service.presence.following import Following
from acl_service.presence.gaps import Gap, Gaps
from acl_service.presence.hearing import Hearing
from acl_service.presence.intruders import Intruders
from acl_service.presence.projection import Projector
from acl_service.presence.reconcile import Findings, Reconciler
from acl_service.service import AccessService
from directory import events, presence, subscriptions
from directory.errors import DirectoryError
from emqx.api.broker import BrokerApi
from emqx.errors import EmqxError

log = structlog.get_logger(__name__)

OVERDUE_S: Final = 60.0
"""A reconciliation that fails, or an event that is not taken in, for so long makes health red. Longer than a number
that is missing is looked for: meanwhile what comes behind it counts as not taken in (`following.LATE_MS`)."""

_LEASE: Final = "presence"
_ANEW_S: Final = 1.0
_PRUNED: Final = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """How often and how long, in seconds.

    Attributes:
        grace: an end that nobody meant waits to be announced (rule 8).
        reconcile: between two reconciliations with nothing amiss.
        again: before one that failed is tried again.
        look: between two looks for gaps and dead nodes.
        silence: without an event, until presence is reconciled for it.
        history: for how long history is kept, and devices that do not come back.
        prune: between two rounds of deleting what is older.
    """

    grace: float = 5.0
    reconcile: float = 300.0
    again: float = 5.0
    look: float = 10.0
    silence: float = 60.0
    history: float = 30 * 86_400.0
    prune: float = 600.0


@dataclass(frozen=True, slots=True)
class _Failing:
    """Since when reconciliation fails (monotonic seconds), and what was wrong the last time."""

    since_s: float
    fault: str


class Presence:
    """One worker's presence, to be run; the others wait for its lease.

    Args:
        service: the access service of this process.
        api: of the broker.
        times: how often and how long.
        action: of the broker, `type:name`, that sends the events.
        rules: of the broker, by their ids, that hand events to the action.
    """

    def __init__(
        self,
        service: AccessService,
        api: BrokerApi,
        times: Times | None = None,
        *,
        action: str = "http:mchat_events",
        rules: Collection[str] = ("mchat_events", "mchat_status"),
    ) -> None:
        times = times or Times()
        self._clock = service.clock
        database, now_ms, sleep = service.database, service.now_ms, asyncio.sleep
        self._database = database
        self._now_ms = now_ms
        self._times = times
        self._lease = Lease(database, _LEASE, holder=new_holder(), now_ms=now_ms, clock=service.clock)
        self._counters = counters = Counters(service.registry)
        self._projector = Projector(
            database,
            api,
            service.settings.service,
            counters,
            grace_ms=int(times.grace * 1000),
            now_ms=now_ms,
            sleep=sleep,
        )
        self._following = Following(
            database,
            Hearing(service.settings.service),
            self._projector.contradicts,
            counters,
            now_ms=now_ms,
            sleep=sleep,
        )
        self._reconciler = Reconciler(database, api, Intruders(database, api, counters), counters, now_ms)
        self._gaps = Gaps(database, api, action, rules, silence_ms=int(times.silence * 1000), now_ms=now_ms)
        self._doubted_at: int | None = None
        self._wanted = asyncio.Event()
        self._why = "start"
        self._failing: _Failing | None = None
        service.checks["presence"] = self._fault

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Work until the block ends."""
        task = asyncio.create_task(_forever("leading", self._lead), name="presence")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _lead(self) -> None:
        await self._lease.lead(self._work)

    async def _work(self) -> None:
        """Do all of it: this worker has the lease."""
        self._why = "start"
        self._gaps.begin()
        self._failing = None
        parts = (
            ("following", self._following.run),
            ("projection", self._projector.run),
            ("reconciling", self._reconcile),
            ("looking", self._look),
            ("pruning", self._prune),
        )
        async with asyncio.TaskGroup() as group:
            for name, part in parts:
                group.create_task(_forever(name, part), name=name)

    async def _reconcile(self) -> None:
        while True:
            # Before it begins: a gap that is noticed meanwhile is the next one's.
            why, self._why = self._why, "timer"
            self._wanted.clear()
            try:
                # What is lost before the list is read shows in the list; what is lost after this is noticed.
                gap = await self._noticed()
                why = _why(gap) if gap and why == "timer" else why
                found = await self._reconciler.reconcile()
                if why == "silence" and (found.came or found.went):
                    self._doubt()
                await self._put_back()
            except (DirectoryError, EmqxError) as error:
                self._fails(str(error), why)
                log.warning("reconciliation is left to the next one", error=str(error))
                await asyncio.sleep(self._times.again)
                continue
            except Exception as error:
                # Not its words: they may show what was read.
                self._fails(type(error).__name__, why)
                raise
            self._failing = None
            self._counters.reconciled(why)
            _tell(why, found)
            try:
                async with asyncio.timeout(self._times.reconcile):
                    await self._wanted.wait()
            except TimeoutError:
                continue

    def _fails(self, fault: str, why: str) -> None:
        self._counters.failed("reconcile")
        self._why = why
        since = self._clock() if self._failing is None else self._failing.since_s
        self._failing = _Failing(since, fault)

    async def _fault(self) -> str | None:
        """What is wrong, for the worker that leads; the others have nothing to say."""
        if not self._lease.held:
            return None
        if self._failing is not None:
            for_s = self._clock() - self._failing.since_s
            if for_s >= OVERDUE_S:
                return f"reconciliation fails for {for_s:.0f} s: {self._failing.fault}"
        async with self._database.read() as connection:
            waiting = await events.after(connection, await presence.place(connection), 1)
            newest = await events.newest(connection)
        age_s = (self._now_ms() - waiting[0].received_at) / 1000 if waiting else 0.0
        if age_s < OVERDUE_S:
            return None
        return f"events are not taken in, for up to {age_s:.0f} s: {waiting[0].event_id} to {newest}"

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(self._times.look)
            try:
                if gap := await self._noticed():
                    self._why = _why(gap)
                    self._wanted.set()
                await self._reconciler.sweep_nodes()
            except (DirectoryError, EmqxError) as error:
                log.warning("the look for gaps is left to the next one", error=str(error))

    async def _noticed(self) -> Gap:
        """Look for a gap; one that lost something leaves a doubt about what stands on the topics."""
        gap = await self._gaps.look()
        if gap in ("dropped", "differs"):
            log.warning("events are missing: reconciling", gap=gap)
            self._doubt()
        return gap

    def _doubt(self) -> None:
        self._doubted_at = self._now_ms()

    async def _put_back(self) -> None:
        """Settle a doubt: the event of a forged status may be among those that were lost (rule 13)."""
        doubted_at, lost = self._doubted_at, self._gaps.lost
        if doubted_at is None or not await self._reconciler.put_back(doubted_at):
            return
        await self._gaps.settle(lost)
        if self._doubted_at == doubted_at:
            self._doubted_at = None

    async def _prune(self) -> None:
        while True:
            pause = self._times.prune
            before = self._now_ms() - int(self._times.history * 1000)
            try:
                async with self._database.write() as connection:
                    gone = await presence.prune(connection, before, _PRUNED)
                async with self._database.write() as connection:
                    gone += await subscriptions.prune(connection, before, _PRUNED)
                if gone >= _PRUNED:
                    pause = min(pause, _ANEW_S)
            except DirectoryError as error:
                log.warning("old presence waits for the database", error=str(error))
            await asyncio.sleep(pause)


def _why(gap: Gap) -> str:
    """What a reconciliation is for after a look at the broker that told `gap`."""
    return "silence" if gap == "silent" else "gap"


def _tell(why: str, found: Findings) -> None:
    if found.came or found.went or found.restored or found.intruders:
        log.info(
            "presence is reconciled",
            why=why,
            listed=found.listed,
            came=found.came,
            went=found.went,
            restored=found.restored,
            intruders=found.intruders,
            kicked=found.kicked,
        )


async def _forever(name: str, work: Callable[[], Awaitable[None]]) -> None:
    """Do work that never ends by itself; a fault in it is a fault of ours, and no reason to stop the rest."""
    while True:
        try:
            await work()
        except Exception:
            log.exception("a part of presence begins anew", part=name)
        await asyncio.sleep(_ANEW_S)
