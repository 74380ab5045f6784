"""What the enforcer tells a gateway: to connect anew, since its rights changed (decision 11).

Rows of the outbox that nobody claims: only the gateway that is named can do it.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from directory.schema import outbox

WORKER: Final = "gateway"
"""Whose outbox rows these are."""

KIND: Final = "reconnect"
"""Which of them; the subject is the client id."""


async def told(connection: AsyncConnection, client_id: str) -> list[int]:
    """List the rows that tell this client to connect anew, and that it has not done yet."""
    found = await connection.scalars(
        select(outbox.c.outbox_id)
        .where(
            outbox.c.worker == WORKER,
            outbox.c.subject == client_id,
            outbox.c.kind == KIND,
            outbox.c.done_at.is_(None),
            outbox.c.enforced_at.is_(None),
        )
        .order_by(outbox.c.outbox_id)
        .limit(1_000)
    )
    return list(found)


async def heard(connection: AsyncConnection, outbox_ids: Collection[int], now_ms: int) -> None:
    """Note that a client connected anew after it was told so.

    Args:
        connection: From `Database.write()`.
        outbox_ids: What told it, as `told` gave it.
        now_ms: The time, milliseconds since the epoch.
    """
    await connection.execute(
        update(outbox)
        .where(outbox.c.outbox_id.in_(sorted(outbox_ids)), outbox.c.done_at.is_(None))
        .values(done_at=now_ms)
    )


async def give_up(connection: AsyncConnection, before_ms: int, now_ms: int) -> int:
    """Note as done what was told before `before_ms`, and return how much that was.

    Whoever has not heard it by then is not there any more: the enforcer has ended its session long ago.

    Args:
        connection: From `Database.write()`.
        before_ms: Milliseconds since the epoch.
        now_ms: The time, milliseconds since the epoch.
    """
    gone = await connection.execute(
        update(outbox)
        .where(
            outbox.c.worker == WORKER,
            outbox.c.kind == KIND,
            outbox.c.done_at.is_(None),
            outbox.c.enforced_at.is_(None),
            outbox.c.created_at < before_ms,
        )
        .values(done_at=now_ms, last_error="nobody heard it")
    )
    return gone.rowcount
