"""Work that a transaction left for a worker outside the database: done at least once, in order by subject.

Work may come in effect before it is done: `enforced`, it holds up no later work of its subject, and whoever asks
with `claim_enforced` looks at it again until it can be finished (decision 8: enforced, then confirmed).
"""

from collections.abc import Collection, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, Select, and_, delete, exists, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from directory.errors import InvalidValue
from directory.schema import outbox
from directory.work import COLUMNS, Backlog, OutboxRow, backlog, in_effect, outbox_row, pending, recent, some

__all__ = [
    "MAX_PROGRESS",
    "Backlog",
    "OutboxRow",
    "backlog",
    "claim",
    "claim_enforced",
    "enforced",
    "finish",
    "in_effect",
    "look_again",
    "note",
    "pending",
    "postpone",
    "prune",
    "recent",
    "renew",
    "some",
]

MAX_PROGRESS: Final = 4_000
"""Characters in `OutboxRow.progress`."""


async def claim(
    connection: AsyncConnection,
    worker: str,
    *,
    holder: str,
    now_ms: int,
    hold_ms: int,
    limit: int = 100,
    newest: bool = False,
    kind: str | None = None,
) -> Sequence[OutboxRow]:
    """Take work that is not in effect and that nobody else holds, oldest first, one piece a subject.

    Whoever dies with it loses it after `hold_ms`, and it is done again: work must be repeatable.

    Args:
        connection: From `Database.write()`: claiming gives nobody rights.
        worker: Whose work.
        holder: Who takes it, one name a process.
        now_ms: The time, milliseconds since the epoch.
        hold_ms: For how long.
        limit: The most pieces.
        newest: Newest first instead; of one subject the oldest piece still comes first.
        kind: Of this kind only; a worker's kinds have subjects of their own then.
    """
    earlier = outbox.alias()
    first = ~exists().where(
        and_(
            earlier.c.worker == outbox.c.worker,
            earlier.c.subject == outbox.c.subject,
            earlier.c.done_at.is_(None),
            earlier.c.enforced_at.is_(None),
            earlier.c.outbox_id < outbox.c.outbox_id,
        )
    )
    order = outbox.c.outbox_id.desc() if newest else outbox.c.outbox_id
    wanted = outbox.c.enforced_at.is_(None) & first
    if kind is not None:
        wanted &= outbox.c.kind == kind
    rows = await _due(connection, worker, now_ms, wanted, (order,), limit)
    await _take(connection, rows, holder, now_ms + hold_ms, attempts=outbox.c.attempts + 1)
    return [_claimed(row) for row in rows]


async def claim_enforced(
    connection: AsyncConnection, worker: str, *, holder: str, now_ms: int, hold_ms: int, limit: int = 100
) -> Sequence[OutboxRow]:
    """Take work that is in effect and due to be looked at again, the longest due first, in no order by subject.

    It does not count as an attempt. Give it back with `enforced` (look again later), `postpone` or `finish`.

    Args:
        connection: From `Database.write()`: claiming gives nobody rights.
        worker: Whose work.
        holder: Who takes it, one name a process.
        now_ms: The time, milliseconds since the epoch.
        hold_ms: For how long.
        limit: The most pieces.
    """
    order = (outbox.c.available_at, outbox.c.outbox_id)
    rows = await _due(connection, worker, now_ms, outbox.c.enforced_at.is_not(None), order, limit)
    await _take(connection, rows, holder, now_ms + hold_ms)
    return [outbox_row(row) for row in rows]


async def enforced(
    connection: AsyncConnection,
    outbox_ids: Collection[int],
    *,
    holder: str,
    now_ms: int,
    confirm_at_ms: int,
) -> set[int]:
    """Note that work is in effect, and give it back to be looked at again; returns what `holder` held of it.

    The first such note stays: `enforced_at` is when it came in effect, however often it is looked at.

    Args:
        connection: From `Database.write()`.
        outbox_ids: Which work.
        holder: Who has it.
        now_ms: The time, milliseconds since the epoch.
        confirm_at_ms: From when it is due again.
    """
    if not outbox_ids:
        return set()
    noted = await connection.execute(
        update(outbox)
        .where(outbox.c.outbox_id.in_(_held(outbox_ids, holder)))
        .values(
            enforced_at=func.coalesce(outbox.c.enforced_at, now_ms),
            available_at=confirm_at_ms,
            claimed_by=None,
            claimed_until=None,
            last_error="",
        )
        .returning(outbox.c.outbox_id)
    )
    return set(noted.scalars())


async def look_again(
    connection: AsyncConnection, outbox_ids: Collection[int], *, holder: str, at_ms: int
) -> None:
    """Give back work that is in effect, many pieces at a time, to be looked at again from `at_ms` on.

    Pieces that `holder` has not any more are left alone.
    """
    if outbox_ids:
        await connection.execute(
            update(outbox)
            .where(outbox.c.outbox_id.in_(_held(outbox_ids, holder).where(outbox.c.enforced_at.is_not(None))))
            .values(available_at=at_ms, claimed_by=None, claimed_until=None, last_error="")
        )


async def renew(
    connection: AsyncConnection, outbox_ids: Collection[int], *, holder: str, now_ms: int, hold_ms: int
) -> set[int]:
    """Hold work for `hold_ms` more, and return what `holder` still had: it is to let go of the rest.

    A claim that ran out is renewed as long as nobody else has taken the work.
    """
    if not outbox_ids:
        return set()
    renewed = await connection.execute(
        update(outbox)
        .where(outbox.c.outbox_id.in_(_held(outbox_ids, holder)))
        .values(claimed_until=now_ms + hold_ms)
        .returning(outbox.c.outbox_id)
    )
    return set(renewed.scalars())


async def note(connection: AsyncConnection, outbox_id: int, *, holder: str, progress: str) -> bool:
    """Note how far work has come, for whoever watches it or takes it over; tells whether `holder` held it.

    Raises:
        InvalidValue: It is longer than `MAX_PROGRESS`; cut, it might not be readable any more.
    """
    if len(progress) > MAX_PROGRESS:
        raise InvalidValue(f"progress of {len(progress)} characters: at most {MAX_PROGRESS}")
    mine = _held([outbox_id], holder)
    noted = await connection.execute(
        update(outbox).where(outbox.c.outbox_id.in_(mine)).values(progress=progress)
    )
    return noted.rowcount == 1


async def finish(
    connection: AsyncConnection, outbox_ids: Collection[int], *, holder: str, now_ms: int
) -> set[int]:
    """Note that work is done; returns what `holder` still held of it."""
    if not outbox_ids:
        return set()
    done = await connection.execute(
        update(outbox)
        .where(outbox.c.outbox_id.in_(_held(outbox_ids, holder)))
        .values(done_at=now_ms, claimed_until=None, last_error="")
        .returning(outbox.c.outbox_id)
    )
    return set(done.scalars())


async def postpone(
    connection: AsyncConnection, outbox_id: int, *, holder: str, until_ms: int, error: str
) -> bool:
    """Give work back until `until_ms`, with what went wrong; tells whether `holder` still held it."""
    given_back = await connection.execute(
        update(outbox)
        .where(outbox.c.outbox_id.in_(_held([outbox_id], holder)))
        .values(available_at=until_ms, claimed_by=None, claimed_until=None, last_error=error[:1_000])
    )
    return given_back.rowcount == 1


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


async def _due(
    connection: AsyncConnection,
    worker: str,
    now_ms: int,
    condition: ColumnElement[bool],
    order: Sequence[ColumnElement[Any]],
    limit: int,
) -> Sequence[Row[*tuple[Any, ...]]]:
    found = await connection.execute(
        select(*COLUMNS)
        .where(
            outbox.c.worker == worker,
            outbox.c.done_at.is_(None),
            outbox.c.available_at <= now_ms,
            or_(outbox.c.claimed_until.is_(None), outbox.c.claimed_until <= now_ms),
            condition,
        )
        .order_by(*order)
        .limit(limit)
        .with_for_update(skip_locked=True, of=outbox)
    )
    return found.all()


async def _take(
    connection: AsyncConnection,
    rows: Sequence[Row[*tuple[Any, ...]]],
    holder: str,
    until_ms: int,
    **more: ColumnElement[Any],
) -> None:
    if rows:
        await connection.execute(
            update(outbox)
            .where(outbox.c.outbox_id.in_([row.outbox_id for row in rows]))
            .values(claimed_by=holder, claimed_until=until_ms, **more)
        )


def _held(outbox_ids: Collection[int], holder: str) -> Select[tuple[int]]:
    """Choose, of some work, what `holder` has.

    In one order everywhere, so that two who write some of the same rows never wait for each other.
    """
    return (
        select(outbox.c.outbox_id)
        .where(
            outbox.c.outbox_id.in_(sorted(outbox_ids)),
            outbox.c.claimed_by == holder,
            outbox.c.done_at.is_(None),
        )
        .order_by(outbox.c.outbox_id)
        .with_for_update()
    )


def _claimed(row: Row[*tuple[Any, ...]]) -> OutboxRow:
    return OutboxRow(**{**row._mapping, "attempts": row.attempts + 1})
