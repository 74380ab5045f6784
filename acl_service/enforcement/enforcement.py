"""The enforcement put together: what the worker runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

import structlog

from acl_service.enforcement.acls import DynamicAcls
from acl_service.enforcement.confirmation import Confirmer
from acl_service.enforcement.drains import WORKER, Drains
from acl_service.enforcement.effects import Effects
from acl_service.enforcement.endings import Endings
from acl_service.enforcement.judgement import Judge
from acl_service.enforcement.ledger import Ledger
from acl_service.enforcement.pace import Pace
from acl_service.enforcement.peers import Peers
from acl_service.enforcement.push import Pusher
from acl_service.enforcement.revocation import Enforcer
from acl_service.enforcement.roster import Roster
from acl_service.enforcement.scope import Scopes
from acl_service.enforcement.settling import Settler
from acl_service.enforcement.spread import Spread
from acl_service.enforcement.sweep import Sweeper
from acl_service.enforcement.told import ToldRules
from acl_service.errors import AccessError
from acl_service.lease import Lease, new_holder
from acl_service.service import AccessService
from directory import outbox
from directory.errors import DirectoryError
from emqx.api.broker import BrokerApi
from emqx.errors import EmqxError

log = structlog.get_logger(__name__)

OVERDUE_MS: Final = 5_000
"""A change that is not in force after so long makes health red."""

LATEST_ANSWER_S: Final = 3.2
"""A little more than the authorizer's `request_timeout`, as `mchat emqx apply` sets it (emqx.desired)."""

_LEASE: Final = "enforcement.sessions"
_ANEW_S: Final = 1.0


class Enforcement:
    """One worker's enforcement, to be run; several of them share the work.

    Args:
        service: the access service of this process.
        api: of the broker.
        feed_stale_s: MCHAT_FEED_STALE.
        latest_answer_s: how late the broker takes an answer of a hook.
    """

    def __init__(
        self,
        service: AccessService,
        api: BrokerApi,
        *,
        feed_stale_s: float,
        latest_answer_s: float = LATEST_ANSWER_S,
    ) -> None:
        settings, database, memory = service.settings, service.database, service.memory
        self._database = database
        self._api = api
        self._now_ms = service.now_ms
        holder = new_holder()
        self._lease = Lease(database, _LEASE, holder=holder, now_ms=service.now_ms, clock=service.clock)
        self._sweep_s = settings.sweep_seconds
        catch_up = service.feed.catch_up
        sleep = asyncio.sleep
        ledger = Ledger(service.registry)
        pace = Pace(settings.push_rate, service.clock, sleep)
        peers = Peers(database, memory, settings.push_rules)
        self.roster = roster = Roster(api, database, settings.service)
        self.acls = acls = DynamicAcls(
            api,
            database,
            memory,
            peers,
            service.now_ms,
            holder,
            push=settings.push,
            lasting=not settings.connect_rules,
            limit=settings.push_rules,
        )
        judge = Judge(memory, ToldRules(database, settings.service, settings.presence_public), service.now_ms)
        settler = Settler(api, memory, judge, acls, roster, catch_up)
        effects = Effects(api, roster, settler, pace, ledger, sleep)
        scopes = Scopes(database, memory, settings.push_rules)
        drains = Drains(api, roster, database, service.now_ms)
        self._spread = Spread(roster, settler, pace, catch_up, sleep, lambda: self.enforcer.busy)
        stale_ms = int(feed_stale_s * 1000)
        self.enforcer = Enforcer(
            database,
            scopes,
            effects,
            self._spread,
            ledger,
            catch_up=catch_up,
            now_ms=service.now_ms,
            holder=holder,
            # An allow given before the change may be on its way for as long as the broker waits for it.
            confirm_ms=max(stale_ms, int(latest_answer_s * 1000)),
            drains=drains,
        )
        self._confirmer = Confirmer(
            database,
            scopes,
            effects,
            roster,
            acls,
            self._spread,
            ledger,
            catch_up=catch_up,
            now_ms=service.now_ms,
            holder=holder,
            silence_ms=stale_ms + int(settings.outage_grace * 1000),
            sleep=sleep,
            drains=drains,
        )
        self._pusher = Pusher(database, roster, settler, acls, pace, ledger, catch_up=catch_up, sleep=sleep)
        self._sweeper = Sweeper(
            api, database, roster, settler, acls, self._pusher, pace, ledger, service.now_ms
        )
        self._endings = Endings(database, service.now_ms, self.enforcer.wake)
        service.when_changed.append(self.enforcer.wake)
        service.checks["broker"] = self._broker_fault
        service.checks["enforcement"] = self._work_fault

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Work until the block ends."""
        tasks = [
            asyncio.create_task(_forever(name, work), name=name)
            for name, work in (
                ("enforcer", self.enforcer.run),
                ("confirmer", self._confirmer.run),
                ("spread", self._spread.run),
                ("endings", self._endings.run),
                ("sessions", self._sessions),
            )
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _sessions(self) -> None:
        """Follow sessions and sweep, in one worker of all at a time."""
        await self._lease.lead(self._follow)

    async def _follow(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._pusher.run())
            group.create_task(self._sweeps())

    async def _sweeps(self) -> None:
        while True:
            try:
                await self._sweeper.sweep()
            except (AccessError, DirectoryError, EmqxError) as error:
                log.warning("the sweep is left to the next one", error=str(error))
                await asyncio.sleep(min(self._sweep_s, 5.0))
                continue
            await asyncio.sleep(self._sweep_s)

    async def _broker_fault(self) -> str | None:
        state = self._api.state
        if not state.well:
            return f"EMQX's API does not answer: {state.reason}"
        return self.acls.unsupported or None

    async def _work_fault(self) -> str | None:
        async with self._database.read() as connection:
            left = await outbox.backlog(connection, WORKER)
        if left.oldest_unenforced_at is None:
            return None
        age_ms = self._now_ms() - left.oldest_unenforced_at
        if age_ms < OVERDUE_MS:
            return None
        fault = left.oldest_error or "no worker came to it yet"
        return f"{left.unenforced} changes are not in force, for up to {age_ms / 1000:.0f} s: {fault}"


async def _forever(name: str, work: Callable[[], Awaitable[None]]) -> None:
    """Do work that never ends by itself; a fault in it is a fault of ours, and no reason to leave rights standing."""
    while True:
        try:
            await work()
        except Exception:
            log.exception("a part of the enforcement begins anew", part=name)
        await asyncio.sleep(_ANEW_S)
