"""Follows the events that the hooks stored, in order, and takes them in: batches, each in one transaction.

Numbers of two writers may be committed out of order on PostgreSQL. A number that is missing between others is
looked for again for a while; the place that is kept in the database never passes it, so that a reader that takes
over reads it too. What is read twice is harmless: the fold takes it as one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from acl_service.presence.counters import Counters
from acl_service.presence.excess import DEVICES, HISTORY, Excess
from acl_service.presence.hearing import Batch, Hearing, Said
from acl_service.presence.taking import Taken, take
from directory import events, presence, sessions, standing, subscriptions
from directory.database import Database
from directory.errors import DirectoryError
from directory.events import EventRow
from directory.standing import PersonRow

log = structlog.get_logger(__name__)

READ: Final = 1_000
"""Events of one transaction at most."""

LATE_MS: Final = 30_000
"""For how long a missing number is looked for: longer than any transaction that stores events lasts."""

MOST_MISSING: Final = 5_000
"""Missing numbers looked for at most. A greater gap is one of deleted rows, or of a sequence that was set."""

_EVERY_S: Final = 0.15
_AGAIN_S: Final = 1.0
_ROW_LATE_MS: Final = 250
"""After how long a session row that was not there is looked for again: it is written within 50 ms (design)."""

_ROW_TRIES: Final = 4
_MOST_ROWS: Final = 100_000


@dataclass(slots=True)
class _Awaited:
    """A session row that is looked for: when next, and how often that was said."""

    at: int
    tries: int = 1


class Following:
    """Takes in events; one worker at a time, and no harm is done if there are two for a moment.

    Args:
        database: where the hooks put the events.
        hearing: reads them.
        contradicts: tells whether what was said contradicts a person's projection.
        counters: what is counted.
        now_ms: wall clock, milliseconds since the epoch.
        sleep: waits that many seconds.
    """

    def __init__(
        self,
        database: Database,
        hearing: Hearing,
        contradicts: Callable[[PersonRow, Said], bool],
        counters: Counters,
        *,
        now_ms: Callable[[], int],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._database = database
        self._hearing = hearing
        self._contradicts = contradicts
        self._counters = counters
        self._now_ms = now_ms
        self._sleep = sleep
        self._kept: int | None = None
        self._read_to = 0
        self._missing: dict[int, int] = {}
        self._rows: dict[str, _Awaited] = {}
        self._excess = Excess()

    async def run(self) -> None:
        """Work until cancelled; the place is read anew, since another may have moved it."""
        self._kept = None
        while True:
            pause = _EVERY_S
            try:
                if await self.step() >= READ:
                    pause = 0.0
            except DirectoryError as error:
                self._counters.failed("following")
                log.warning("events wait for the database", error=str(error))
                self._kept = None
                pause = _AGAIN_S
            await self._sleep(pause)

    async def step(self) -> int:
        """Take in the next events; returns how many were read.

        Raises:
            directory.errors.DirectoryError: the database did not answer; nothing of them was taken in.
        """
        now_ms = self._now_ms()
        self._missing = {number: at for number, at in self._missing.items() if now_ms - at < LATE_MS}
        async with self._database.read() as connection:
            if self._kept is None:
                self._kept = self._read_to = await presence.place(connection)
                self._missing.clear()
            late = await events.numbered(connection, sorted(self._missing)) if self._missing else []
            found = await events.after(connection, self._read_to, READ)
        missing = self._passed(found, now_ms)
        for row in late:
            missing.pop(row.event_id, None)
        read_to = found[-1].event_id if found else self._read_to
        keep = min(missing, default=read_to + 1) - 1
        if found or late:
            batch = self._hearing.of([*late, *found])
            if not await self._take(batch, self._kept, keep, now_ms):
                log.warning("another worker takes in events too", place=self._kept)
                self._kept = None
                return 0
            self._counters.events(len(found) + len(late), batch.unread, len(late))
        elif keep != self._kept:
            async with self._database.write() as connection:
                if not await presence.move(connection, self._kept, keep):
                    self._kept = None
                    return 0
        self._missing, self._read_to, self._kept = missing, read_to, keep
        await self._correct_late_rows(now_ms)
        return len(found)

    def _passed(self, found: Sequence[EventRow], now_ms: int) -> dict[int, int]:
        """The numbers to look for: those known before, and those that are missing among what was found."""
        missing = dict(self._missing)
        last = self._read_to
        for row in found:
            gap = row.event_id - last - 1
            # Before the first event there is nothing to wait for.
            if last and 0 < gap <= MOST_MISSING - len(missing):
                missing.update(dict.fromkeys(range(last + 1, row.event_id), now_ms))
            last = row.event_id
        return missing

    async def _take(self, batch: Batch, before: int, after: int, now_ms: int) -> bool:
        async with self._database.write() as connection:
            if not await presence.move(connection, before, after):
                return False
            taken = await take(connection, batch.heard, now_ms, source="event")
            await subscriptions.store(connection, batch.subscriptions)
            await subscriptions.end_before(connection, batch.fresh)
            said = {one.employee_id for one in batch.said}
            people = await standing.people(connection, said) if said else {}
            contradicting = [
                one
                for one in batch.said
                if one.employee_id in people and self._contradicts(people[one.employee_id], one)
            ]
            await standing.contradict(connection, {one.employee_id for one in contradicting}, now_ms)
        self._counters.facts(taken.kinds)
        self._counters.contradictions(len(contradicting))
        self._await_rows(taken, now_ms)
        await self._trim(self._excess.add(taken.recorded))
        return True

    async def _trim(self, employee_ids: Sequence[str]) -> None:
        for employee_id in employee_ids:
            async with self._database.write() as connection:
                await presence.alone(connection)
                gone = await presence.trim(connection, employee_id, devices=DEVICES, history=HISTORY)
            if gone:
                log.warning(
                    "more came and went for a person than is kept: see which clients connect so often",
                    employee_id=employee_id,
                    deleted=gone,
                )

    def _await_rows(self, taken: Taken, now_ms: int) -> None:
        for client_id in taken.unknown & taken.devices.keys():
            if len(self._rows) < _MOST_ROWS:
                self._rows[client_id] = _Awaited(now_ms + _ROW_LATE_MS)

    async def _correct_late_rows(self, now_ms: int) -> None:
        """Correct sessions whose row was written after their event was taken in; reconciliation finds the rest."""
        due = {client_id: one for client_id, one in self._rows.items() if one.at <= now_ms}
        if not due:
            return
        async with self._database.write() as connection:
            await presence.alone(connection)
            there = await sessions.of_clients(connection, due)
            now = await presence.devices(connection, there)
            await presence.correct_sessions(connection, list(now.values()))
        for client_id, one in due.items():
            one.at, one.tries = now_ms + _ROW_LATE_MS * 2**one.tries, one.tries + 1
            if client_id in there or one.tries > _ROW_TRIES:
                self._rows.pop(client_id, None)
