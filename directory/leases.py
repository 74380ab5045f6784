"""Leases: what one process at a time does, for a time, until it says so again."""

from sqlalchemy import delete, or_
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from directory.schema import lease


async def acquire(connection: AsyncConnection, name: str, *, holder: str, now_ms: int, hold_ms: int) -> bool:
    """Take or renew a lease; tells whether `holder` has it until `now_ms + hold_ms`.

    Clocks of processes differ: hold much longer than they do, and stop well before the end.
    """
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    adding = dialect.insert(lease).values(name=name, holder=holder, expires_at=now_ms + hold_ms)
    taken = await connection.execute(
        adding.on_conflict_do_update(
            index_elements=[lease.c.name],
            set_={"holder": adding.excluded.holder, "expires_at": adding.excluded.expires_at},
            where=or_(lease.c.holder == holder, lease.c.expires_at <= now_ms),
        ).returning(lease.c.holder)
    )
    return taken.one_or_none() is not None


async def release(connection: AsyncConnection, name: str, *, holder: str) -> bool:
    """Give a lease back; tells whether `holder` had it."""
    gone = await connection.execute(delete(lease).where(lease.c.name == name, lease.c.holder == holder))
    return gone.rowcount == 1
