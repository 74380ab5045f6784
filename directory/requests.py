"""Requests that were carried out, and what they were answered with (decision 12): each has one effect."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from directory.schema import request


@dataclass(frozen=True, slots=True)
class Key:
    """A request, as its client names it.

    Attributes:
        client_id: The client.
        seq_id: Its number for the request.
    """

    client_id: str
    seq_id: str


@dataclass(frozen=True, slots=True)
class Answered:
    """A request that was carried out.

    Attributes:
        employee_id: Who asked.
        payload_hash: SHA-256 of the payload, 64 hex digits.
        action: What was asked for.
        response: The answer, without secrets.
        outbox_id: The last piece of the revocation that it caused; None if none.
        created_at: Milliseconds since the epoch.
    """

    employee_id: str
    payload_hash: str
    action: str
    response: str
    outbox_id: int | None
    created_at: int


async def claim(
    connection: AsyncConnection, key: Key, *, employee_id: str, payload_hash: str, action: str, now_ms: int
) -> Answered | None:
    """Take a request for this transaction, or say what it was answered with.

    Another transaction that has taken it is waited for; if it is undone, the request is ours.

    Args:
        connection: Inside the action's transaction, before anything that the action writes.
        key: The request.
        employee_id: Who asks.
        payload_hash: SHA-256 of the payload, 64 hex digits.
        action: What is asked for.
        now_ms: The time, milliseconds since the epoch.
    """
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    taking = (
        dialect.insert(request)
        .values(
            client_id=key.client_id,
            seq_id=key.seq_id,
            employee_id=employee_id,
            payload_hash=payload_hash,
            action=action,
            created_at=now_ms,
        )
        .on_conflict_do_nothing()
        .returning(request.c.seq_id)
    )
    known = select(*(request.c[name] for name in Answered.__slots__)).where(_is(key))
    # One that is pruned between the two is free again: each statement sees what is committed when it begins.
    while (await connection.execute(taking)).one_or_none() is None:
        row = (await connection.execute(known)).one_or_none()
        if row is not None:
            return Answered(**row._mapping)
    return None


async def answer(connection: AsyncConnection, key: Key, response: str) -> None:
    """Store the answer of a request that this transaction has taken; never a secret."""
    await connection.execute(update(request).where(_is(key)).values(response=response))


async def revokes(connection: AsyncConnection, key: Key, outbox_id: int) -> None:
    """Note which piece of work a request's answer depends on: the last that its transaction left."""
    await connection.execute(update(request).where(_is(key)).values(outbox_id=outbox_id))


async def prune(connection: AsyncConnection, before_ms: int, limit: int = 5_000) -> int:
    """Delete requests that came before `before_ms`, the oldest `limit` at most; returns how many.

    A step of bounded length: call it in a transaction each, until it returns less than `limit`.
    """
    oldest = (
        select(request.c.client_id, request.c.seq_id)
        .where(request.c.created_at < before_ms)
        .order_by(request.c.created_at)
        .limit(limit)
        .subquery()
    )
    those = and_(request.c.client_id == oldest.c.client_id, request.c.seq_id == oldest.c.seq_id)
    gone = await connection.execute(delete(request).where(select(oldest.c.seq_id).where(those).exists()))
    return gone.rowcount


def _is(key: Key) -> ColumnElement[bool]:
    return and_(request.c.client_id == key.client_id, request.c.seq_id == key.seq_id)
