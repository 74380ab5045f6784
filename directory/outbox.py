"""Work that a transaction left for a worker outside the database: done at least once, in order by subject."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, and_, delete, exists, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from directory.schema import outbox


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """A piece of work; `Change.enqueue` makes it.

    Attributes:
        outbox_id: Its number.
        worker: Who does it.
        kind: What it is.
        subject: What it is about; work of one worker on one subject is done in order.
        payload: What the worker needs to know.
        version: The feed version of the change that it belongs to, if the change has one.
        created_at: Milliseconds since the epoch.
        attempts: How often it was claimed.
    """

    outbox_id: int
    worker: str
    kind: str
    subject: str
    payload: Mapping[str, Any]
    version: int | None
    created_at: int
    attempts: int


_COLUMNS = tuple(outbox.c[name] for name in OutboxRow.__slots__)


async def claim(
    connection: AsyncConnection, worker: str, *, holder: str, now_ms: int, hold_ms: int, limit: int = 100
) -> Sequence[OutboxRow]:
    """Take work that nobody else holds, oldest first, one piece a subject.

    Whoever dies with it loses it after `hold_ms`, and it is done again: work must be repeatable.

    Args:
        connection: From `Database.write()`: claiming gives nobody rights.
        worker: Whose work.
        holder: Who takes it, one name a process.
        now_ms: The time, milliseconds since the epoch.
        hold_ms: For how long.
        limit: The most pieces.
    """
    earlier = outbox.alias()
    found = await connection.execute(
        select(*_COLUMNS)
        .where(
            outbox.c.worker == worker,
            outbox.c.done_at.is_(None),
            outbox.c.available_at <= now_ms,
            or_(outbox.c.claimed_until.is_(None), outbox.c.claimed_until <= now_ms),
            ~exists().where(
                and_(
                    earlier.c.worker == outbox.c.worker,
                    earlier.c.subject == outbox.c.subject,
                    earlier.c.done_at.is_(None),
                    earlier.c.outbox_id < outbox.c.outbox_id,
                )
            ),
        )
        .order_by(outbox.c.outbox_id)
        .limit(limit)
        .with_for_update(skip_locked=True, of=outbox)
    )
    rows = found.all()
    if rows:
        await connection.execute(
            update(outbox)
            .where(outbox.c.outbox_id.in_([row.outbox_id for row in rows]))
            .values(claimed_by=holder, claimed_until=now_ms + hold_ms, attempts=outbox.c.attempts + 1)
        )
    return [_claimed(row) for row in rows]


async def finish(connection: AsyncConnection, outbox_id: int, *, holder: str, now_ms: int) -> bool:
    """Note that work is done; tells whether `holder` still held it."""
    done = await connection.execute(
        update(outbox)
        .where(outbox.c.outbox_id == outbox_id, outbox.c.claimed_by == holder, outbox.c.done_at.is_(None))
        .values(done_at=now_ms, claimed_until=None, last_error="")
    )
    return done.rowcount == 1


async def postpone(
    connection: AsyncConnection, outbox_id: int, *, holder: str, until_ms: int, error: str
) -> bool:
    """Give work back until `until_ms`, with what went wrong; tells whether `holder` still held it."""
    given_back = await connection.execute(
        update(outbox)
        .where(outbox.c.outbox_id == outbox_id, outbox.c.claimed_by == holder, outbox.c.done_at.is_(None))
        .values(available_at=until_ms, claimed_by=None, claimed_until=None, last_error=error[:1_000])
    )
    return given_back.rowcount == 1


async def pending(connection: AsyncConnection, worker: str, limit: int = 500) -> Sequence[OutboxRow]:
    """List work that is not done, held or not, oldest first."""
    rows = await connection.execute(
        select(*_COLUMNS)
        .where(outbox.c.worker == worker, outbox.c.done_at.is_(None))
        .order_by(outbox.c.outbox_id)
        .limit(limit)
    )
    return [_row(row) for row in rows]


async def prune(connection: AsyncConnection, before_ms: int, limit: int = 5_000) -> int:
    """Delete work that was done before `before_ms`, the oldest `limit` pieces at most; returns how many.

    A step of bounded length: call it in a transaction each, until it returns less than `limit`.
    """
    oldest = (
        select(outbox.c.outbox_id)
        .where(outbox.c.done_at < before_ms)
        .order_by(outbox.c.done_at, outbox.c.outbox_id)
        .limit(limit)
    )
    gone = await connection.execute(delete(outbox).where(outbox.c.outbox_id.in_(oldest)))
    return gone.rowcount


def _row(row: Row[*tuple[Any, ...]]) -> OutboxRow:
    return OutboxRow(**row._mapping)


def _claimed(row: Row[*tuple[Any, ...]]) -> OutboxRow:
    return OutboxRow(**{**row._mapping, "attempts": row.attempts + 1})
