"""The enforcer's share of the outbox: each change of rights is carried out in the broker (decision 8)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from itertools import count
from typing import Final

import structlog

from acl_service.enforcement.drains import WORKER, Drains
from acl_service.enforcement.effects import Effects
from acl_service.enforcement.ledger import Ledger
from acl_service.enforcement.roster import MOST_NAMED
from acl_service.enforcement.scope import Scope, Scopes, united
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
_TOGETHER: Final = 50
"""Pieces of work that are carried out as one."""

_LANES: Final = 2
"""How many such are under way at once: who comes while one is does not wait for its end."""

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
        # One of each at a time: what is about everybody takes longest, and the others do not wait for it.
        self._everybody = asyncio.Lock()
        self._many = asyncio.Lock()
        self._numbers = count(1)
        self._lanes: dict[int, list[int]] = {}
        self._slow: dict[int, list[int]] = {}

    @property
    def busy(self) -> bool:
        """Whether changes are being carried out, or wait for it."""
        return bool(self._lanes) or self._wake.is_set()

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
            self._lanes.clear()
            self._slow.clear()

    async def _look(self, group: asyncio.TaskGroup) -> None:
        """Take what there is, the newest first, and carry it out as one, while other such work is under way.

        So one change that left thousands of pieces keeps nobody waiting, be he before or behind them, and many small
        changes cost few questions to the broker.
        """
        self._wake.clear()
        rows: Sequence[OutboxRow] = ()
        try:
            if len(self._lanes) < _LANES and await self._some():
                rows = await self._claim(_TOGETHER)
        except DirectoryError as error:
            log.warning("the enforcer waits for the database", error=str(error))
        if rows:
            lane = next(self._numbers)
            self._lanes[lane] = [row.outbox_id for row in rows]
            group.create_task(self._work_together(lane, rows), name=f"enforce-{lane}")
            if len(rows) == _TOGETHER:
                return
        try:
            async with asyncio.timeout(_IDLE_S):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def _some(self) -> bool:
        async with self._database.read() as connection:
            return await outbox.some(connection, WORKER, self._now_ms(), in_effect=False)

    async def _claim(self, limit: int) -> Sequence[OutboxRow]:
        async with self._database.write() as connection:
            return await outbox.claim(
                connection,
                WORKER,
                holder=self._holder,
                now_ms=self._now_ms(),
                hold_ms=HOLD_MS,
                limit=limit,
                newest=True,
            )

    async def _work_together(self, lane: int, rows: Sequence[OutboxRow]) -> None:
        """Carry out work as one, and what cannot be, or failed so, each by itself."""
        left: Sequence[OutboxRow] = rows
        try:
            try:
                left = await self._enforce_together(rows)
            except (AccessError, DirectoryError, EmqxError) as error:
                # One of them may stand in the way of all.
                log.info("changes are enforced one by one", count=len(rows), error=str(error))
            self._lanes[lane] = [row.outbox_id for row in left]
            if left:
                # What is large, or fails, does not hold up what comes after it.
                self._slow[lane] = self._lanes.pop(lane)
                self._wake.set()
                for row in left:
                    await self._work(row)
        except Exception:
            log.exception("work of the enforcer met a fault", count=len(rows))
        finally:
            self._lanes.pop(lane, None)
            self._slow.pop(lane, None)
            self._wake.set()

    async def _enforce_together(self, rows: Sequence[OutboxRow]) -> list[OutboxRow]:
        """Return those that are too large for it, or about a gateway, which is told by each change."""
        await self._catch_up()
        scopes: dict[int, Scope] = {}
        people: set[str] = set()
        found = await self._scopes.of_all(rows)
        for row in rows:
            scope = found[row.outbox_id]
            if not scope.wide and len(people | scope.people) <= MOST_NAMED:
                scopes[row.outbox_id] = scope
                people |= scope.people
        if (await self._effects.bring(united(list(scopes.values())))).draining:
            return list(rows)
        done = [row for row in rows if row.outbox_id in scopes]
        for row in done:
            self._come_after(row, scopes[row.outbox_id])
        await self._enforced(done)
        return [row for row in rows if row.outbox_id not in scopes]

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
        else:
            if scope.nearest is not None:
                # Whom the change is about does not wait for the turn of everybody, nor for that of other work.
                await self._effects.bring(scope.nearest)
            turn = self._everybody if scope.everybody else self._many
            if turn.locked():
                raise Waiting("other work that touches many is under way")
            async with turn:
                done = await self._effects.bring(scope, seen=self._progress(row))
        if done.draining:
            await self._drains.tell(row, done.draining)
        self._come_after(row, scope)
        await self._enforced([row])

    def _come_after(self, row: OutboxRow, scope: Scope) -> None:
        self._spread.add(row.outbox_id, scope.beside)

    async def _enforced(self, rows: Sequence[OutboxRow]) -> None:
        now_ms = self._now_ms()
        async with self._database.write() as connection:
            held = await outbox.enforced(
                connection,
                [row.outbox_id for row in rows],
                holder=self._holder,
                now_ms=now_ms,
                confirm_at_ms=now_ms + self._confirm_ms,
            )
        for row in rows:
            if row.outbox_id in held:
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
            held = [number for work in (*self._lanes.values(), *self._slow.values()) for number in work]
            if not held:
                continue
            try:
                async with self._database.write() as connection:
                    await outbox.renew(
                        connection,
                        held,
                        holder=self._holder,
                        now_ms=self._now_ms(),
                        hold_ms=HOLD_MS,
                    )
            except DirectoryError as error:
                log.warning("claims of the enforcer could not be renewed", error=str(error))
