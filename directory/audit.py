"""The audit log: who did what; rows are written by `Change.audit` in the action's own transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from directory.schema import audit_log


@dataclass(frozen=True, slots=True)
class AuditRow:
    """An entry.

    Attributes:
        audit_id: Its number.
        created_at: Milliseconds since the epoch.
        author: Who did it.
        client_id: From which client, if from one.
        action: What was done.
        target: To what.
        detail: What else matters; never a secret.
        code: How it ended; 0 = well.
        seal_id: The seal that chains it, once there is one.
    """

    audit_id: int
    created_at: int
    author: str
    client_id: str | None
    action: str
    target: str
    detail: Mapping[str, Any]
    code: int
    seal_id: int | None


async def list_(
    connection: AsyncConnection,
    *,
    from_ms: int | None = None,
    until_ms: int | None = None,
    author: str | None = None,
    action: str | None = None,
    before: int | None = None,
    limit: int = 500,
) -> Sequence[AuditRow]:
    """List entries, newest first: those before the number `before`, in a time, of an author or action."""
    query = select(audit_log).order_by(audit_log.c.audit_id.desc()).limit(limit)
    if from_ms is not None:
        query = query.where(audit_log.c.created_at >= from_ms)
    if until_ms is not None:
        query = query.where(audit_log.c.created_at < until_ms)
    if author is not None:
        query = query.where(audit_log.c.author == author)
    if action is not None:
        query = query.where(audit_log.c.action == action)
    if before is not None:
        query = query.where(audit_log.c.audit_id < before)
    return [AuditRow(**row._mapping) for row in await connection.execute(query)]
