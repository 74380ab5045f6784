"""What the enforcer has in hand and what it did lately, from the rows: for `mchat revocations` and the admin API.

Any process may ask, with a worker running or without one. What stands in a worker's memory only, such as the people
beside a change who wait for their turn, is in its metrics.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, Final

from acl_service.enforcement.drains import GATEWAY, WORKER
from acl_service.enforcement.replicas import Applied
from directory import client_acls, outbox, replicas
from directory.changes import newest_version
from directory.database import Database
from directory.outbox import OutboxRow
from directory.replicas import Replica

MOST_OPEN: Final = 500
"""Open pieces of work that are listed at most, the oldest; all are counted."""


@dataclass(frozen=True, slots=True)
class Behind:
    """A process that answers the broker or clients and has not applied every change that work waits for.

    Attributes:
        replica_id: its name.
        applied_version: the feed version up to which it answers.
        since_ms: when the first open change that it lacks was committed, milliseconds since the epoch.
        seen_ms: when it was last heard of, milliseconds since the epoch.
        counts_at_ms: when its silence counts as having applied everything, should it last.
    """

    replica_id: str
    applied_version: int
    since_ms: int
    seen_ms: int
    counts_at_ms: int


@dataclass(frozen=True, slots=True)
class Open:
    """A piece of work that is not done.

    Attributes:
        row: as the outbox has it.
        behind: names of the processes that it waits for; it cannot be confirmed before they have applied it.
        draining: client ids of the gateway that were told to reconnect on its behalf (decision 11); whether they
            did, a worker knows.
    """

    row: OutboxRow
    behind: tuple[str, ...]
    draining: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Times:
    """How long things took, milliseconds; None while there are none.

    Attributes:
        count: of how many.
        p50: half of them took no longer.
        p99: of a hundred, one took longer.
    """

    count: int
    p50: int | None
    p99: int | None

    @classmethod
    def of(cls, milliseconds: Sequence[int]) -> Times:
        """Work out the percentiles, each a time that was measured (nearest rank)."""
        ranked = sorted(milliseconds)

        def rank(share: float) -> int | None:
            return ranked[ceil(share * len(ranked)) - 1] if ranked else None

        return cls(len(ranked), rank(0.5), rank(0.99))


@dataclass(frozen=True, slots=True)
class Overview:
    """What the enforcer has in hand and what it did.

    Attributes:
        now_ms: of which moment, milliseconds since the epoch.
        version: the newest change.
        unenforced: changes that are not in force in the broker.
        unconfirmed: those that are, and were not yet seen in force after every replica had applied them.
        open: both, the oldest first, `MOST_OPEN` at most.
        behind: who is being waited for.
        given: client ids that were given rules, about as many as sessions; None unless some work tells its progress.
        done: what was done lately, the newest first.
        enforced: from commit to in force, of `done`.
        confirmed: from commit to done, of `done`.
    """

    now_ms: int
    version: int
    unenforced: int
    unconfirmed: int
    open: tuple[Open, ...]
    behind: tuple[Behind, ...]
    given: int | None
    done: tuple[OutboxRow, ...]
    enforced: Times
    confirmed: Times


async def overview(database: Database, now_ms: int, silence_ms: int, last: int) -> Overview:
    """Read how things stand, in one snapshot.

    Args:
        database: the directory.
        now_ms: the time, milliseconds since the epoch.
        silence_ms: after how long a silent replica counts as having applied everything (MCHAT_FEED_STALE and
            MCHAT_OUTAGE_GRACE together).
        last: how many of those that are done.

    Raises:
        directory.errors.DirectoryError: the database did not answer.
    """
    async with database.snapshot() as connection:
        version = await newest_version(connection)
        backlog = await outbox.backlog(connection, WORKER)
        pending = await outbox.pending(connection, WORKER, MOST_OPEN)
        drains = await outbox.pending(connection, GATEWAY, MOST_OPEN) if pending else ()
        done = await outbox.recent(connection, WORKER, last)
        heard = await replicas.list_(connection, *replicas.ANSWERING)
        told = any(row.progress for row in pending)
        given = await client_acls.count(connection) if told else None
    applied = Applied(heard, now_ms, silence_ms)
    waiting = tuple(Open(row, applied.behind(row.version), _draining(row, drains)) for row in pending)
    return Overview(
        now_ms=now_ms,
        version=version,
        unenforced=backlog.unenforced,
        unconfirmed=backlog.unconfirmed,
        open=waiting,
        behind=tuple(_behind(waiting, heard, silence_ms)),
        given=given,
        done=tuple(done),
        enforced=Times.of([row.enforced_at - row.created_at for row in done if row.enforced_at is not None]),
        confirmed=Times.of([row.done_at - row.created_at for row in done if row.done_at is not None]),
    )


def _draining(row: OutboxRow, drains: Sequence[OutboxRow]) -> tuple[str, ...]:
    return tuple(
        one.subject for one in drains if row.version is not None and one.payload["version"] == row.version
    )


def _behind(waiting: Sequence[Open], heard: Sequence[Replica], silence_ms: int) -> list[Behind]:
    since: dict[str, int] = {}
    for one in waiting:
        for replica_id in one.behind:
            since[replica_id] = min(one.row.created_at, since.get(replica_id, one.row.created_at))
    return [
        Behind(
            one.replica_id, one.applied_version, since[one.replica_id], one.seen_at, one.seen_at + silence_ms
        )
        for one in heard
        if one.replica_id in since
    ]


def as_data(seen: Overview) -> dict[str, Any]:
    """An overview as JSON can hold it; times are milliseconds since the epoch, durations milliseconds."""
    return {
        "now": seen.now_ms,
        "version": seen.version,
        "unenforced": seen.unenforced,
        "unconfirmed": seen.unconfirmed,
        "open": [
            _row(one.row)
            | {
                "age": seen.now_ms - one.row.created_at,
                "attempts": one.row.attempts,
                "last_error": one.row.last_error,
                "progress": one.row.progress,
                "behind": list(one.behind),
                "draining": list(one.draining),
            }
            for one in seen.open
        ],
        "replicas_behind": [
            {
                "replica": one.replica_id,
                "applied_version": one.applied_version,
                "since": one.since_ms,
                "seen": one.seen_ms,
                "counts_at": one.counts_at_ms,
            }
            for one in seen.behind
        ],
        "clients_with_rules": seen.given,
        "done": [_row(row) | {"confirmed_at": row.done_at} for row in seen.done],
        "enforced": _times(seen.enforced),
        "confirmed": _times(seen.confirmed),
    }


def _row(row: OutboxRow) -> dict[str, Any]:
    return {
        "work": row.outbox_id,
        "kind": row.kind,
        "subject": row.subject,
        "about": about(row),
        "version": row.version,
        "committed_at": row.created_at,
        "enforced_at": row.enforced_at,
    }


def about(row: OutboxRow) -> dict[str, Any]:
    """What work says beside its subject; of a list only how long it is: a group may have had thousands."""
    return {
        name: len(value) if isinstance(value, list) else value
        for name, value in row.payload.items()
        if value != row.subject
    }


def _times(times: Times) -> dict[str, int | None]:
    return {"count": times.count, "p50": times.p50, "p99": times.p99}
