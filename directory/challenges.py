"""Challenges: a second word that a sensitive action needs, for one use, one person, one client, one target."""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from directory.ids import new_id
from directory.schema import challenge

MAX_OPEN: Final = 20
"""Challenges of one person that are neither spent nor expired; making one more ends the oldest."""


@dataclass(frozen=True, slots=True)
class Purpose:
    """What a challenge is for.

    Attributes:
        employee_id: Whose it is.
        client_id: By which client it was asked for, and must be used.
        action: For which action.
        target: On what.
    """

    employee_id: str
    client_id: str
    action: str
    target: str


async def make(
    connection: AsyncConnection, purpose: Purpose, token_hash: str, *, now_ms: int, expires_at: int
) -> str:
    """Write a challenge and return its id.

    Args:
        connection: From `Database.write()` or of a change: it gives nobody rights by itself.
        purpose: What it is for.
        token_hash: SHA-256 of its token, 64 hex digits (`secret.token_digest`); the token is shown once.
        now_ms: The time, milliseconds since the epoch.
        expires_at: From when it is not taken any more, milliseconds since the epoch.
    """
    beyond = (
        select(challenge.c.challenge_id)
        .where(challenge.c.employee_id == purpose.employee_id)
        .order_by(challenge.c.created_at.desc(), challenge.c.challenge_id.desc())
        .offset(MAX_OPEN - 1)
    )
    await connection.execute(
        delete(challenge).where(challenge.c.challenge_id.in_(list(await connection.scalars(beyond))))
    )
    challenge_id = new_id("ch_", now_ms)
    await connection.execute(
        insert(challenge).values(
            challenge_id=challenge_id,
            employee_id=purpose.employee_id,
            client_id=purpose.client_id,
            action=purpose.action,
            target=purpose.target,
            hash=token_hash,
            created_at=now_ms,
            expires_at=expires_at,
        )
    )
    return challenge_id


async def spend(
    connection: AsyncConnection, challenge_id: str, purpose: Purpose, token_hash: str, *, now_ms: int
) -> bool:
    """Use a challenge up; tells whether it was one for this purpose, with this token, unspent and not expired.

    Of two at the same time one has it. In the transaction of the action: it is spent only if that is done.
    """
    spent = await connection.execute(
        update(challenge)
        .where(
            challenge.c.challenge_id == challenge_id,
            challenge.c.employee_id == purpose.employee_id,
            challenge.c.client_id == purpose.client_id,
            challenge.c.action == purpose.action,
            challenge.c.target == purpose.target,
            challenge.c.hash == token_hash,
            challenge.c.spent_at.is_(None),
            challenge.c.expires_at > now_ms,
        )
        .values(spent_at=now_ms)
    )
    return spent.rowcount == 1


async def prune(connection: AsyncConnection, before_ms: int, limit: int = 5_000) -> int:
    """Delete challenges that expired before `before_ms`, `limit` at most; returns how many.

    A step of bounded length: call it in a transaction each, until it returns less than `limit`.
    """
    gone = select(challenge.c.challenge_id).where(challenge.c.expires_at < before_ms).limit(limit)
    deleted = await connection.execute(delete(challenge).where(challenge.c.challenge_id.in_(gone)))
    return deleted.rowcount
