"""The second look: a change is done when it was seen in force after every replica had applied it (decision 8).

A hook replica that has not heard of a change may still let somebody in, or let him subscribe, and a gateway may relay
what he says. So the sessions of a change are looked at again, new ones too, until nobody answers by older rights.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import structlog

from acl_service.enforcement.acls import DynamicAcls
from acl_service.enforcement.drains import WORKER, Drains
from acl_service.enforcement.effects import Effects
from acl_service.enforcement.ledger import Ledger
from acl_service.enforcement.replicas import Applied
from acl_service.enforcement.revocation import HOLD_MS, pause_ms
from acl_service.enforcement.roster import Roster
from acl_service.enforcement.scope import Scope, Scopes, united
from acl_service.enforcement.sessions import Session
from acl_service.enforcement.spread import Spread
from acl_service.errors import AccessError
from directory import blocks, outbox, replicas
from directory.database import Database
from directory.errors import DirectoryError
from directory.outbox import OutboxRow
from emqx.errors import EmqxError

log = structlog.get_logger(__name__)

AGAIN_MS: Final = 2_000
"""How often sessions are looked at while a replica has not applied a change."""

_EVERY_S: Final = 1.0
_TOGETHER: Final = 200


class Confirmer:
    """Looks again at what is in force, until it can be called done.

    Args:
        database: where the work and the replicas stand.
        scopes: whom the work is about.
        effects: what it causes, should the look find something.
        roster: the broker's sessions.
        acls: the rules under client ids.
        spread: those who come after.
        ledger: what is counted.
        catch_up: has memory take in every change that is committed.
        now_ms: wall clock, milliseconds since the epoch.
        holder: this process's name in claims.
        silence_ms: see `replicas.Applied`.
        sleep: waits that many seconds.
        drains: the gateway's clients that were told to reconnect.
    """

    def __init__(
        self,
        database: Database,
        scopes: Scopes,
        effects: Effects,
        roster: Roster,
        acls: DynamicAcls,
        spread: Spread,
        ledger: Ledger,
        *,
        catch_up: Callable[[], Awaitable[object]],
        now_ms: Callable[[], int],
        holder: str,
        silence_ms: int,
        sleep: Callable[[float], Awaitable[None]],
        drains: Drains,
    ) -> None:
        self._database = database
        self._scopes = scopes
        self._effects = effects
        self._roster = roster
        self._acls = acls
        self._spread = spread
        self._ledger = ledger
        self._catch_up = catch_up
        self._now_ms = now_ms
        self._holder = holder
        self._silence_ms = silence_ms
        self._sleep = sleep
        self._drains = drains
        self._wide: asyncio.Task[None] | None = None
        # Seen right when every replica had applied it: only people beside it have not had their turn yet.
        self._right: set[int] = set()

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            while True:
                try:
                    await self.step()
                except DirectoryError as error:
                    log.warning("confirmation waits for the database", error=str(error))
                self._ledger.waiting(self._spread.waiting)
                await self._sleep(_EVERY_S)
        finally:
            if self._wide is not None:
                self._wide.cancel()
                await asyncio.gather(self._wide, return_exceptions=True)

    async def step(self) -> int:
        """Look at all work that is due; returns how much that was.

        Raises:
            directory.errors.DirectoryError: the database did not answer.
        """
        async with self._database.read() as connection:
            if not await outbox.some(connection, WORKER, self._now_ms(), in_effect=True):
                return 0
        async with self._database.write() as connection:
            rows = await outbox.claim_enforced(
                connection,
                WORKER,
                holder=self._holder,
                now_ms=self._now_ms(),
                hold_ms=HOLD_MS,
                limit=_TOGETHER,
            )
        if rows:
            await self._look(rows)
        return len(rows)

    async def _look(self, claimed: Sequence[OutboxRow]) -> None:
        rows = [row for row in claimed if row.outbox_id not in self._right]
        await self._wait([row for row in claimed if row.outbox_id in self._right])
        if not rows:
            return
        async with self._database.read() as connection:
            heard = await replicas.list_(connection, *replicas.ANSWERING)
        applied = Applied(heard, self._now_ms(), self._silence_ms)
        scopes: dict[int, Scope] = {}
        draining: list[Session] | None = None
        try:
            await self._catch_up()
            for row in rows:
                scopes[row.outbox_id] = await self._scope(row)
            together = united([scope for scope in scopes.values() if not scope.wide])
            if not together.wide:  # Each by itself is not; all together they would be everybody's business.
                # Whose work a gateway's session is, and since when, only a look for each tells.
                draining = None if (await self._effects.bring(together, look=True)).draining else []
        except (AccessError, DirectoryError, EmqxError) as error:
            # One of them may stand in the way of all: each by itself, so that only its own work waits.
            log.info("changes are confirmed one by one", count=len(rows), error=str(error))
        done: list[OutboxRow] = []
        again: list[OutboxRow] = []
        for row in rows:
            found = scopes.get(row.outbox_id)
            if found is None or not found.wide:
                over = await self._attempt(row, found, applied, draining)
                if over is not None:
                    (done if over else again).append(row)
            elif self._wide is None or self._wide.done():
                # It takes its time, in which others are to be confirmed.
                self._wide = asyncio.create_task(
                    self._confirm_wide(row, found, applied), name=f"confirm-{row.outbox_id}"
                )
            else:
                again.append(row)
        await self._finish(done)
        await self._again(again)

    async def _scope(self, row: OutboxRow) -> Scope:
        return await self._scopes.of(row, beside=self._spread.done(row.outbox_id) is None)

    async def _wait(self, rows: Sequence[OutboxRow]) -> None:
        """Finish work that waits for people beside it only; the broker needs no third look for that."""
        over = [row for row in rows if self._spread.done(row.outbox_id) is not False]
        await self._finish([row for row in over if self._spread.done(row.outbox_id)])
        for row in over:
            self._right.discard(row.outbox_id)
        await self._again([row for row in rows if not self._spread.done(row.outbox_id)])

    async def _confirm_wide(self, row: OutboxRow, scope: Scope, applied: Applied) -> None:
        try:
            over = await self._attempt(row, scope, applied, None)
            if over is not None:
                await (self._finish([row]) if over else self._again([row]))
        except DirectoryError as away:
            log.warning("confirmation waits for its claim to end", work=row.outbox_id, error=str(away))

    async def _attempt(
        self, row: OutboxRow, scope: Scope | None, applied: Applied, draining: list[Session] | None
    ) -> bool | None:
        """Tell whether work is done; None: that could not be told, and it has been put off."""
        try:
            return await self._confirmed(row, scope or await self._scope(row), applied, draining)
        except (AccessError, DirectoryError, EmqxError) as error:
            try:
                await self._postpone(row, error)
            except DirectoryError as away:
                log.warning("confirmation waits for its claim to end", work=row.outbox_id, error=str(away))
        return None

    async def _confirmed(
        self, row: OutboxRow, scope: Scope, applied: Applied, draining: list[Session] | None
    ) -> bool:
        """Tell whether work is done, or is to be looked at again.

        Args:
            row: the work.
            scope: whom it is about.
            applied: what the replicas said before the broker was looked at.
            draining: sessions of the gateway that have to reconnect yet; None: the broker has not been looked at.
        """
        if scope.wide or draining is None:
            draining = (await self._effects.bring(scope, look=True, seen=self._renewal(row))).draining
        ready = applied.everywhere(row.version) and await self._drains.over(row, draining)
        spread = self._spread.done(row.outbox_id)
        if spread is None:
            # A worker that died took this over from its memory.
            self._spread.add(row.outbox_id, scope.beside)
            spread = not scope.beside
        if ready and not spread:
            self._right.add(row.outbox_id)
        return ready and spread and (row.kind != "client_block" or await self._unblocked(row))

    async def _postpone(self, row: OutboxRow, error: Exception) -> None:
        self._ledger.failed()
        log.warning("confirmation is tried again", work=row.outbox_id, kind=row.kind, error=str(error))
        async with self._database.write() as connection:
            await outbox.postpone(
                connection,
                row.outbox_id,
                holder=self._holder,
                until_ms=self._now_ms() + pause_ms(row.attempts),
                error=str(error),
            )

    def _renewal(self, row: OutboxRow) -> Callable[[int], Awaitable[None]]:
        async def seen(sessions: int) -> None:
            async with self._database.write() as connection:
                await outbox.renew(
                    connection,
                    [row.outbox_id],
                    holder=self._holder,
                    now_ms=self._now_ms(),
                    hold_ms=HOLD_MS,
                )
                await outbox.note(
                    connection, row.outbox_id, holder=self._holder, progress=f"{sessions} sessions confirmed"
                )

        return seen

    async def _unblocked(self, row: OutboxRow) -> bool:
        """Let a client id in again, if the broker has nothing of its old owner any more (decision 9)."""
        client_id = row.payload["client_id"]
        if await self._roster.of_clients([client_id]) or await self._acls.standing(client_id):
            return False
        async with self._database.change(WORKER, self._now_ms()) as change:
            await blocks.remove(change, client_id, row.version or 0)
        return True

    async def _again(self, rows: Sequence[OutboxRow], after_ms: int = AGAIN_MS) -> None:
        if not rows:
            return
        ids = [row.outbox_id for row in rows]
        async with self._database.write() as connection:
            await outbox.look_again(connection, ids, holder=self._holder, at_ms=self._now_ms() + after_ms)

    async def _finish(self, rows: Sequence[OutboxRow]) -> None:
        if not rows:
            return
        now_ms = self._now_ms()
        async with self._database.write() as connection:
            done = await outbox.finish(
                connection, [row.outbox_id for row in rows], holder=self._holder, now_ms=now_ms
            )
        for row in rows:
            self._spread.forget(row.outbox_id)
            if row.outbox_id in done:
                self._ledger.confirmed(row.kind, now_ms - row.created_at)
