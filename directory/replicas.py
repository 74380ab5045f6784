"""Which processes answer by rights in memory, and up to which version each has applied changes (decision 8)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from directory.schema import replica

ANSWERING: Final = ("hooks", "gateway")
"""Kinds of processes that let somebody do something by what they remember: a revocation waits for each of them."""


@dataclass(frozen=True, slots=True)
class Replica:
    """A process.

    Attributes:
        replica_id: Its name, another one after each start.
        kind: What it does, like those of `ANSWERING`.
        applied_version: The feed version up to which it answers.
        started_at: Milliseconds since the epoch.
        seen_at: When it last said so, milliseconds since the epoch.
    """

    replica_id: str
    kind: str
    applied_version: int
    started_at: int
    seen_at: int


async def beat(connection: AsyncConnection, one: Replica) -> None:
    """Say that a process lives, and what it has applied; neither ever goes back."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    adding = dialect.insert(replica).values(
        replica_id=one.replica_id,
        kind=one.kind,
        applied_version=one.applied_version,
        started_at=one.started_at,
        seen_at=one.seen_at,
    )
    await connection.execute(
        adding.on_conflict_do_update(
            index_elements=[replica.c.replica_id],
            set_={"applied_version": adding.excluded.applied_version, "seen_at": adding.excluded.seen_at},
            where=(adding.excluded.seen_at >= replica.c.seen_at)
            & (adding.excluded.applied_version >= replica.c.applied_version),
        )
    )


async def list_(connection: AsyncConnection, *kinds: str) -> Sequence[Replica]:
    """List the processes of these kinds, or of all, that were not forgotten, silent ones too."""
    query = select(replica).order_by(replica.c.replica_id)
    if kinds:
        query = query.where(replica.c.kind.in_(kinds))
    return [Replica(**row._mapping) for row in await connection.execute(query)]


async def leave(connection: AsyncConnection, replica_id: str) -> None:
    """Forget a process that stops and answers nobody any more."""
    await connection.execute(delete(replica).where(replica.c.replica_id == replica_id))


async def forget_silent(connection: AsyncConnection, before_ms: int) -> int:
    """Forget the processes that were last seen before `before_ms`, and return their number."""
    gone = await connection.execute(delete(replica).where(replica.c.seen_at < before_ms))
    return gone.rowcount
