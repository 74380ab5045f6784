"""The enforcer's share of the outbox: each change of rights is carried out in the broker (decision 8)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

import structlog

from acl_service.enforcement.drains import WORKER, Drains
from acl_service.enforcement.effects import Effects
from acl_service.enforcement.ledger import Ledger
from acl_service.enforcement.scope import Scopes
from acl_service.enforcement.spread import Spread
from acl_service.errors import AccessError
from directory import outbox
from directory.database import Database
from directory.errors import DirectoryError
from directory.outbox import OutboxRow
from emqx.errors import EmqxError

log = structlog.get_logger(__name__)

HOLD_MS: Final = 10_000
"""For how long a piece of work is claimed, before it is claimed anew."""

_RENEW_S: Final = 3.0
_IDLE_S: Final = 1.0
_AT_ONCE: Final = 16
_FIRST_MS: Final = 200
_LONGEST_MS: Final = 5_000


class Waiting(AccessError):
    """Work waits for its turn."""


def pause_ms(attempts: int) -> int:
    """Return how long a piece of work rests after so many attempts, in milliseconds."""
    return min(_LONGEST_MS, _FIRST_MS << min(attempts, 10))


class Enforcer:
    """Takes work as it comes and carries it out; what fails is tried again for as long as it takes.

    Args:
        database: where the work stands.
        scopes: whom it is about.
        effects: what it causes.
        spread: those who come after.
        ledger: what is counted.
        catch_up: has memory take in every change that is committed.
        now_ms: wall clock, milliseconds since the epoch.
        holder: this process's name in claims.
        confirm_ms: after how long work is looked at again (MCHAT_FEED_STALE).
        drains: the gateway's clients that are told to reconnect.
    """

    def __init__(
        self,
        database: Database,
        scopes: Scopes,
        effects: Effects,
        spread: Spread,
        ledger: Ledger,
        *,
        catch_up: Callable[[], Awaitable[object]],
        now_ms: Callable[[], int],
        holder: str,
        confirm_ms: int,
        drains: Drains,
    ) -> None:
        self._database = database
        self._scopes = scopes
        self._effects = effects
        self._spread = spread
        self._ledger = ledger
        self._catch_up = catch_up
        self._now_ms = now_ms
        self._holder = holder
        self._confirm_ms = confirm_ms
        self._drains = drains
        self._wake = asyncio.Event()
        self._wide = asyncio.Lock()
        self._tasks: dict[int, asyncio.Task[None]] = {}

    def wake(self) -> None:
        """Look for work now: something was committed."""
        self._wake.set()

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._renew(), name="enforcer-claims")
                while True:
                    await self._look(group)
        finally:
            self._tasks.clear()

    async def _look(self, group: asyncio.TaskGroup) -> None:
        self._wake.clear()
        free = _AT_ONCE - len(self._tasks)
        try:
            rows = await self._claim(free) if free > 0 else []
        except DirectoryError as error:
            log.warning("the enforcer waits for the database", error=str(error))
            rows = []
        for row in rows:
            task = group.create_task(self._work(row), name=f"enforce-{row.outbox_id}")
            self._tasks[row.outbox_id] = task
            task.add_done_callback(partial(self._ended, row.outbox_id))
        if rows and len(rows) == free:
            return
        try:
            async with asyncio.timeout(_IDLE_S):
                await self._wake.wait()
        except TimeoutError:
            pass

    def _ended(self, number: int, _: asyncio.Task[None]) -> None:
        del self._tasks[number]
        self._wake.set()

    async def _claim(self, limit: int) -> list[OutboxRow]:
        async with self._database.read() as connection:
            if not (await outbox.backlog(connection, WORKER)).unenforced:
                return []
        async with self._database.write() as connection:
            return list(
                await outbox.claim(
                    connection,
                    WORKER,
                    holder=self._holder,
                    now_ms=self._now_ms(),
                    hold_ms=HOLD_MS,
                    limit=limit,
                )
            )

    async def _work(self, row: OutboxRow) -> None:
        try:
            try:
                await self._enforce(row)
            except Waiting as error:
                await self._postpone(row, str(error))
            except (AccessError, DirectoryError, EmqxError) as error:
                self._ledger.failed()
                log.warning(
                    "work of the enforcer is tried again", work=row.outbox_id, kind=row.kind, error=str(error)
                )
                await self._postpone(row, str(error))
            except Exception as error:
                # Whatever it is, the others go on, and this one stays until it is done.
                self._ledger.failed()
                log.exception("work of the enforcer met a fault", work=row.outbox_id, kind=row.kind)
                await self._postpone(row, type(error).__name__)
        except DirectoryError as error:
            log.warning(
                "work of the enforcer waits for its claim to end", work=row.outbox_id, error=str(error)
            )

    async def _enforce(self, row: OutboxRow) -> None:
        await self._catch_up()
        scope = await self._scopes.of(row)
        if not scope.wide:
            done = await self._effects.bring(scope)
        elif self._wide.locked():
            raise Waiting("other work that touches many is under way")
        else:
            async with self._wide:
                done = await self._effects.bring(scope, seen=self._progress(row))
        if done.draining:
            await self._drains.tell(row, done.draining)
        if scope.beside:
            self._spread.add(row.outbox_id, scope.beside)
        now_ms = self._now_ms()
        async with self._database.write() as connection:
            held = await outbox.enforced(
                connection,
                row.outbox_id,
                holder=self._holder,
                now_ms=now_ms,
                confirm_at_ms=now_ms + self._confirm_ms,
            )
        if held:
            self._ledger.enforced(row.kind, now_ms - row.created_at)

    def _progress(self, row: OutboxRow) -> Callable[[int], Awaitable[None]]:
        async def seen(sessions: int) -> None:
            async with self._database.write() as connection:
                await outbox.note(
                    connection, row.outbox_id, holder=self._holder, progress=f"{sessions} sessions in line"
                )

        return seen

    async def _postpone(self, row: OutboxRow, error: str) -> None:
        until_ms = self._now_ms() + pause_ms(row.attempts - 1)
        async with self._database.write() as connection:
            await outbox.postpone(
                connection, row.outbox_id, holder=self._holder, until_ms=until_ms, error=error
            )

    async def _renew(self) -> None:
        """Hold on to work that takes long."""
        while True:
            await asyncio.sleep(_RENEW_S)
            if not self._tasks:
                continue
            try:
                async with self._database.write() as connection:
                    await outbox.renew(
                        connection,
                        list(self._tasks),
                        holder=self._holder,
                        now_ms=self._now_ms(),
                        hold_ms=HOLD_MS,
                    )
            except DirectoryError as error:
                log.warning("claims of the enforcer could not be renewed", error=str(error))
