"""What the enforcement still has to do, as its rows tell."""

import asyncio
import time

from directory import work
from directory.database import Database
from directory.work import OutboxRow

WORKER = "enforcer"


async def in_force(database: Database, seconds: float = 30.0) -> None:
    """Wait until every committed change is carried out in the broker."""
    async with asyncio.timeout(seconds):
        while True:
            async with database.read() as connection:
                if not (await work.backlog(connection, WORKER)).unenforced:
                    return
            await asyncio.sleep(0.02)


async def enforced(database: Database, subject: str, seconds: float = 30.0) -> None:
    """Wait until all changes of one subject are carried out in the broker."""
    async with asyncio.timeout(seconds):
        while True:
            async with database.read() as connection:
                pending = await work.pending(connection, WORKER)
            if not any(row.subject == subject and row.enforced_at is None for row in pending):
                return
            await asyncio.sleep(0.02)


async def confirmed(database: Database, subject: str, since_ms: int = 0, seconds: float = 30.0) -> OutboxRow:
    """Wait until the newest change of a subject that was made since then is done, and give its row."""
    async with asyncio.timeout(seconds):
        while True:
            async with database.read() as connection:
                pending = await work.pending(connection, WORKER)
                done = await work.recent(connection, WORKER)
            waiting = any(row.subject == subject for row in pending)
            found = [row for row in done if row.subject == subject and row.created_at >= since_ms]
            if found and not waiting:
                return max(found, key=lambda row: row.outbox_id)
            await asyncio.sleep(0.05)


def wall_of(moment_s: float) -> float:
    """A moment of `time.perf_counter` by the clock of the rows, in milliseconds."""
    return (time.time() - (time.perf_counter() - moment_s)) * 1_000
