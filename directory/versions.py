"""The versions of changes, as readers see them: what came after which, and what nobody can say any more.

Callers outside the directory find these functions in `changes`.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence

from sqlalchemy import and_, delete, false, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from directory import schema
from directory.errors import NotFound
from directory.sets import among
from directory.subjects import Subject


async def newest_version(connection: AsyncConnection) -> int:
    """Read the version of the last committed change; 0 before the first one."""
    version: int | None = await connection.scalar(select(schema.feed.c.version))
    if version is None:
        raise NotFound("the feed row is missing: restore the database, or make it anew (mchat init)")
    return version


async def pruned_version(connection: AsyncConnection) -> int:
    """Read the version up to which change rows are gone: a reader before it must drop everything."""
    version: int | None = await connection.scalar(select(schema.feed.c.pruned_version))
    return version or 0


async def changes_since(
    connection: AsyncConnection, version: int, limit: int = 1_000
) -> Sequence[tuple[int, Subject]]:
    """Read the subjects of the changes after `version`, in order, of at most `limit` versions.

    Versions have no holes, so that a reader sees by the numbers that rows were pruned.
    """
    rows = await connection.execute(
        select(schema.change.c.version, schema.change.c.subject_kind, schema.change.c.subject_id)
        .where(schema.change.c.version > version, schema.change.c.version <= version + limit)
        .order_by(schema.change.c.version, schema.change.c.seq)
    )
    return [(row.version, Subject(row.subject_kind, row.subject_id)) for row in rows]


async def prune_changes(connection: AsyncConnection, keep_from_ms: int) -> int:
    """Delete the change rows older than `keep_from_ms` and note up to where; returns the rows deleted.

    Run it inside `Database.write()`. Clocks of processes differ, so a version's age does not decide
    alone: what is deleted is everything up to the last version before the first that is kept.
    """
    first_kept = (
        select(func.min(schema.change.c.version))
        .where(schema.change.c.created_at >= keep_from_ms)
        .scalar_subquery()
    )
    newest = select(func.max(schema.change.c.version)).scalar_subquery()
    until = await connection.scalar(select(func.coalesce(first_kept - 1, newest, 0)))
    if not until:
        return 0
    # The note comes first: it takes the row's lock, so that no writer commits between it and the rows.
    await connection.execute(
        update(schema.feed).where(schema.feed.c.pruned_version < until).values(pruned_version=until)
    )
    gone = await connection.execute(delete(schema.change).where(schema.change.c.version <= until))
    return gone.rowcount


async def changed_since(connection: AsyncConnection, version: int, subjects: Collection[Subject]) -> bool:
    """Tell whether any of some subjects changed after `version`.

    True too if nobody can say any more, because the rows of that time are pruned.
    """
    change = schema.change
    if version < await pruned_version(connection):
        return True
    named: defaultdict[str, set[str]] = defaultdict(set)
    for subject in subjects:
        named[subject.kind].add(subject.id)
    touched = [
        and_(change.c.subject_kind == kind, among(connection, change.c.subject_id, ids))
        for kind, ids in named.items()
    ]
    found = await connection.scalar(
        select(change.c.version).where(change.c.version > version, or_(false(), *touched)).limit(1)
    )
    return found is not None
