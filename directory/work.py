"""Work in the outbox as readers see it: its pieces, what is not done yet, what was done lately.

Callers outside the directory find these functions in `outbox`.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Row, and_, func, or_, select
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
        attempts: How often it was claimed before it was in effect; looking at it again does not count.
        enforced_at: Since when it is in effect, milliseconds since the epoch; None = it is not, or it was
            finished without that step.
        progress: How far a long piece has come, in its worker's own words.
        last_error: What went wrong last; empty after the next success.
        done_at: Since when it is done, milliseconds since the epoch; None = it is not.
    """

    outbox_id: int
    worker: str
    kind: str
    subject: str
    payload: Mapping[str, Any]
    version: int | None
    created_at: int
    attempts: int
    enforced_at: int | None
    progress: str
    last_error: str
    done_at: int | None


@dataclass(frozen=True, slots=True)
class Backlog:
    """What a worker has not done yet, for health and metrics.

    Attributes:
        unenforced: Pieces that are not in effect.
        unconfirmed: Pieces that are in effect and not done.
        oldest_unenforced_at: When the oldest piece that is not in effect was made, milliseconds since the
            epoch; None if there is none.
        oldest_error: What went wrong with the oldest open piece with which something did; else empty.
    """

    unenforced: int
    unconfirmed: int
    oldest_unenforced_at: int | None
    oldest_error: str


COLUMNS: Final = tuple(outbox.c[name] for name in OutboxRow.__slots__)


def outbox_row(row: Row[*tuple[Any, ...]]) -> OutboxRow:
    """Make an `OutboxRow` of a row that holds `COLUMNS`."""
    return OutboxRow(**row._mapping)


async def pending(connection: AsyncConnection, worker: str, limit: int = 500) -> Sequence[OutboxRow]:
    """List work that is not done, held or not, in effect or not, oldest first."""
    rows = await connection.execute(
        select(*COLUMNS)
        .where(outbox.c.worker == worker, outbox.c.done_at.is_(None))
        .order_by(outbox.c.outbox_id)
        .limit(limit)
    )
    return [outbox_row(row) for row in rows]


async def recent(
    connection: AsyncConnection, worker: str, limit: int = 100, since_ms: int | None = None
) -> Sequence[OutboxRow]:
    """List work that is done, the newest first: at most `limit`, and only what was done from `since_ms` on."""
    query = (
        select(*COLUMNS)
        .where(outbox.c.worker == worker, outbox.c.done_at.is_not(None))
        .order_by(outbox.c.done_at.desc(), outbox.c.outbox_id.desc())
        .limit(limit)
    )
    if since_ms is not None:
        query = query.where(outbox.c.done_at >= since_ms)
    return [outbox_row(row) for row in await connection.execute(query)]


async def some(connection: AsyncConnection, worker: str, now_ms: int, *, in_effect: bool) -> bool:
    """Tell whether there is work to be claimed by now, or perhaps held: of that in effect, or of the other."""
    enforced_at = outbox.c.enforced_at
    wanted = (
        select(outbox.c.outbox_id)
        .where(
            outbox.c.worker == worker,
            outbox.c.done_at.is_(None),
            outbox.c.available_at <= now_ms,
            enforced_at.is_not(None) if in_effect else enforced_at.is_(None),
        )
        .limit(1)
    )
    return await connection.scalar(wanted) is not None


async def in_effect(connection: AsyncConnection, outbox_id: int) -> bool:
    """Tell whether a piece of work is in effect, and all that its change left for the same worker beside it.

    Work that is not there any more was done long ago.
    """
    return outbox_id in await of_these_in_effect(connection, [outbox_id])


async def of_these_in_effect(connection: AsyncConnection, outbox_ids: Collection[int]) -> set[int]:
    """Tell of which pieces of work `in_effect` is true, in one query."""
    piece = outbox.alias()
    beside = and_(
        outbox.c.worker == piece.c.worker,
        or_(outbox.c.outbox_id == piece.c.outbox_id, outbox.c.version == piece.c.version),
        outbox.c.done_at.is_(None),
        outbox.c.enforced_at.is_(None),
    )
    waiting = select(piece.c.outbox_id).where(
        piece.c.outbox_id.in_(outbox_ids), select(outbox.c.outbox_id).where(beside).exists()
    )
    return set(outbox_ids) - set(await connection.scalars(waiting))


async def behind(connection: AsyncConnection, outbox_ids: Collection[int]) -> set[int]:
    """Tell which of these pieces of work have another of their subject before them that is not done."""
    earlier = outbox.alias()
    before = and_(
        earlier.c.worker == outbox.c.worker,
        earlier.c.subject == outbox.c.subject,
        earlier.c.done_at.is_(None),
        earlier.c.outbox_id < outbox.c.outbox_id,
        earlier.c.outbox_id.not_in(outbox_ids),
    )
    found = await connection.scalars(
        select(outbox.c.outbox_id).where(
            outbox.c.outbox_id.in_(outbox_ids), select(earlier.c.outbox_id).where(before).exists()
        )
    )
    return set(found)


async def backlog(connection: AsyncConnection, worker: str) -> Backlog:
    """Count what is not done, in one query that reads open work only."""
    open_ = and_(outbox.c.worker == worker, outbox.c.done_at.is_(None))
    unenforced = and_(open_, outbox.c.enforced_at.is_(None))
    oldest = select(outbox.c.created_at).where(unenforced).order_by(outbox.c.outbox_id).limit(1)
    failing = (
        select(outbox.c.last_error)
        .where(open_, outbox.c.last_error != "")
        .order_by(outbox.c.outbox_id)
        .limit(1)
    )
    number = select(func.count()).select_from(outbox)
    found = await connection.execute(
        select(
            number.where(unenforced).scalar_subquery().label("unenforced"),
            number.where(open_, outbox.c.enforced_at.is_not(None)).scalar_subquery().label("unconfirmed"),
            oldest.scalar_subquery().label("oldest_unenforced_at"),
            func.coalesce(failing.scalar_subquery(), "").label("oldest_error"),
        )
    )
    return Backlog(**found.one()._mapping)
