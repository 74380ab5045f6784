"""What sessions are subscribed to, as far as events told: a hint; the broker's own list is the truth (decision 8)."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256

from sqlalchemy import and_, bindparam, delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from directory import bulk
from directory.schema import subscription
from directory.sets import among


@dataclass(frozen=True, slots=True, kw_only=True)
class SubscriptionRow:
    """A subscription, or its end.

    Attributes:
        client_id: Of the session.
        filter: With its `$share/…` or other prefix, and mounted, as events tell it.
        qos: 0, 1 or 2.
        updated_at: When it began or ended by the broker's clock, milliseconds since the epoch.
        live: False: it ended.
    """

    client_id: str
    filter: str
    qos: int
    updated_at: int
    live: bool


async def store(connection: AsyncConnection, rows: Sequence[SubscriptionRow]) -> None:
    """Take in beginnings and ends, in any order and with repetitions: of each filter the newest counts.

    Of a beginning and an end at the same millisecond the beginning counts: one too many is looked at, one too
    few is not.
    """
    newest: dict[tuple[str, str], SubscriptionRow] = {}
    for row in rows:
        known = newest.get((row.client_id, row.filter))
        if known is None or (row.updated_at, row.live) >= (known.updated_at, known.live):
            newest[row.client_id, row.filter] = row
    values = [
        {
            "client_id": row.client_id,
            "filter_hash": sha256(row.filter.encode()).hexdigest(),
            "filter": row.filter,
            "qos": row.qos,
            # Orders what is told: the end of the same millisecond is the lesser.
            "epoch": 2 * row.updated_at + row.live,
            "updated_at": row.updated_at,
            "live": row.live,
        }
        for row in newest.values()
    ]
    await bulk.upsert(
        connection,
        subscription,
        values,
        keys=("client_id", "filter_hash"),
        replaced=("qos", "epoch", "updated_at", "live"),
        unless_newer="epoch",
    )


async def of_clients(
    connection: AsyncConnection, client_ids: Collection[str]
) -> Mapping[str, Sequence[SubscriptionRow]]:
    """List the live subscriptions of client ids, by filter; client ids without any are left out."""
    found = await connection.execute(
        select(subscription)
        .where(among(connection, subscription.c.client_id, client_ids), subscription.c.live)
        .order_by(subscription.c.client_id, subscription.c.filter)
    )
    listed: dict[str, list[SubscriptionRow]] = {}
    for row in found:
        listed.setdefault(row.client_id, []).append(
            SubscriptionRow(
                client_id=row.client_id,
                filter=row.filter,
                qos=row.qos,
                updated_at=row.updated_at,
                live=row.live,
            )
        )
    return listed


async def client_ids_after(
    connection: AsyncConnection, client_id: str = "", limit: int = 1_000
) -> Sequence[str]:
    """List the client ids with subscriptions that come after `client_id`, in order."""
    found = await connection.scalars(
        select(subscription.c.client_id)
        .where(subscription.c.client_id > client_id)
        .distinct()
        .order_by(subscription.c.client_id)
        .limit(limit)
    )
    return found.all()


async def end_before(connection: AsyncConnection, moments: Mapping[str, int]) -> int:
    """Forget the subscriptions of client ids that are older than a moment each: their sessions ended; how many.

    Args:
        connection: From `Database.write()`.
        moments: By client id, milliseconds since the epoch by the broker's clock.
    """
    if not moments:
        return 0
    found = await connection.execute(
        select(subscription.c.client_id, subscription.c.filter_hash, subscription.c.updated_at).where(
            among(connection, subscription.c.client_id, moments)
        )
    )
    gone = [
        {"of": row.client_id, "hash": row.filter_hash}
        for row in found
        if row.updated_at < moments[row.client_id]
    ]
    if gone:
        await connection.execute(
            delete(subscription).where(
                subscription.c.client_id == bindparam("of"), subscription.c.filter_hash == bindparam("hash")
            ),
            gone,
        )
    return len(gone)


async def prune(connection: AsyncConnection, before_ms: int, limit: int = 5_000) -> int:
    """Delete ended subscriptions that ended before `before_ms`, `limit` at most; returns how many."""
    old = (
        select(subscription.c.client_id, subscription.c.filter_hash)
        .where(subscription.c.live.is_(False), subscription.c.updated_at < before_ms)
        .limit(limit)
    ).subquery()
    gone = await connection.execute(
        delete(subscription).where(
            select(old.c.client_id)
            .where(
                and_(
                    old.c.client_id == subscription.c.client_id,
                    old.c.filter_hash == subscription.c.filter_hash,
                )
            )
            .exists()
        )
    )
    return gone.rowcount
