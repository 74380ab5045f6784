"""The unit of work of a rights-changing transaction, and what it leaves for readers (decision 5)."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, get_args

from sqlalchemy import and_, delete, false, func, insert, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from directory import schema
from directory.errors import InvalidValue, NotFound, SchemaMismatch
from directory.sets import among

SubjectKind = Literal["employee", "group", "department", "role", "everyone", "client", "owner", "policy"]
SUBJECT_KINDS: Final = frozenset(get_args(SubjectKind))

CHANNEL: Final = "mchat_feed"
"""The PostgreSQL channel that carries each new version."""

_LOCKS: Final = {"client_ids": 0x6D63_0001, "admins": 0x6D63_0002}


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose grants a change touches.

    `employee`: that person's memberships, role, status, department, credentials or exceptions. `group`,
    `department`, `role`, `everyone`: rules on them, or the group was dismissed: all who are in it.
    `client`: the client's exceptions or its block. `owner`: an employee id or a registration pattern that
    came or went: every client id whose Owner may be another now. `policy`: all grants.
    """

    kind: SubjectKind
    id: str = ""


@dataclass(frozen=True, slots=True)
class Work:
    """One outbox row to be: what must happen outside the database, and which worker does it."""

    worker: str
    kind: str
    subject: str
    payload: dict[str, Any]
    holder: str | None = None
    hold_ms: int = 0


@dataclass(slots=True)
class Change:
    """One rights-changing transaction; made by `Database.change`, which also ends it.

    Attributes:
        connection: The connection inside the transaction.
        author: Who asks, for rows and audit.
        now_ms: The time of the change, milliseconds since the epoch.
        version: The feed version, known when the block has ended; None if nothing was touched.
        outbox_ids: The numbers of the work that was left, in the order of leaving it; known then, too.
    """

    connection: AsyncConnection
    author: str
    now_ms: int
    version: int | None = None
    outbox_ids: tuple[int, ...] = ()
    _subjects: dict[Subject, None] = field(default_factory=dict)
    _work: list[Work] = field(default_factory=list)
    _blocks: dict[str, tuple[str | None, str | None]] = field(default_factory=dict)
    _audit: list[dict[str, Any]] = field(default_factory=list)

    def touch(self, *subjects: Subject) -> None:
        """Say whose grants change; each subject is told to readers once, in the order of touching."""
        for subject in subjects:
            if subject.kind not in SUBJECT_KINDS:
                raise InvalidValue(
                    f"subject kind {subject.kind!r} is unknown: use one of {sorted(SUBJECT_KINDS)}"
                )
            self._subjects[subject] = None

    def enqueue(
        self,
        worker: str,
        kind: str,
        subject: str,
        payload: dict[str, Any],
        *,
        holder: str | None = None,
        hold_ms: int = 0,
    ) -> None:
        """Leave work for `worker`; rows of one `subject` are done in order. Never put secrets into it.

        With a `holder` it is claimed already: whoever makes it does it, and others after `hold_ms` only.
        """
        self._work.append(Work(worker, kind, subject, payload, holder, hold_ms))

    def block(self, client_id: str, old_owner: str | None, new_owner: str | None) -> None:
        """Block a client id that changes owner until the enforcer has ended its session (decision 9)."""
        first = self._blocks.get(client_id, (old_owner, None))[0]
        self._blocks[client_id] = (first, new_owner)
        self.touch(Subject("client", client_id))
        self.enqueue(
            "enforcer",
            "client_block",
            client_id,
            {"client_id": client_id, "old_owner": old_owner, "new_owner": new_owner},
        )

    def audit(self, action: str, target: str, detail: dict[str, Any] | None = None) -> None:
        """Write an audit row in this transaction; never put secrets into `detail`."""
        self._audit.append({"action": action, "target": target, "detail": detail or {}})

    async def lock(self, name: Literal["client_ids", "admins"]) -> None:
        """Let one transaction at a time, of all processes, decide by what it reads about `name`.

        On SQLite a transaction is alone anyway. Take it before reading; it is released at the end.
        """
        if self.connection.dialect.name == "postgresql":
            await self.connection.execute(select(func.pg_advisory_xact_lock(_LOCKS[name])))

    async def finish(self) -> None:
        """Write what was gathered, the version last of all but the rows that carry it (decision 5)."""
        if self._audit:
            rows = [{"created_at": self.now_ms, "author": self.author, **row} for row in self._audit]
            await self.connection.execute(insert(schema.audit_log), rows)
        version = await self._allot() if self._subjects else None
        if self._blocks and version is not None:
            await self._write_blocks(version)
        if self._work:
            left = await self.connection.scalars(
                insert(schema.outbox).returning(schema.outbox.c.outbox_id, sort_by_parameter_order=True),
                self._outbox_rows(version),
            )
            self.outbox_ids = tuple(left)
        if version is not None and self.connection.dialect.name == "postgresql":
            await self.connection.execute(
                text("SELECT pg_notify(:channel, :version)"), {"channel": CHANNEL, "version": str(version)}
            )
        self.version = version

    async def _allot(self) -> int:
        allotted = await self.connection.execute(
            update(schema.feed).values(version=schema.feed.c.version + 1).returning(schema.feed.c.version)
        )
        version: int | None = allotted.scalar_one_or_none()
        if version is None:
            raise SchemaMismatch(
                "the feed row is missing: restore the database, or make it anew (mchat init)"
            )
        await self.connection.execute(
            insert(schema.change),
            [
                {
                    "version": version,
                    "seq": seq,
                    "subject_kind": subject.kind,
                    "subject_id": subject.id,
                    "created_at": self.now_ms,
                }
                for seq, subject in enumerate(self._subjects)
            ],
        )
        return version

    async def _write_blocks(self, version: int) -> None:
        # A client id that is blocked already keeps its first old owner: that session is still to be ended.
        before = await self.connection.execute(
            delete(schema.client_block)
            .where(schema.client_block.c.client_id.in_(self._blocks))
            .returning(schema.client_block.c.client_id, schema.client_block.c.old_owner)
        )
        first_owner = {row.client_id: row.old_owner for row in before}
        await self.connection.execute(
            insert(schema.client_block),
            [
                {
                    "client_id": client_id,
                    "old_owner": first_owner.get(client_id, old_owner),
                    "new_owner": new_owner,
                    "created_at": self.now_ms,
                    "version": version,
                }
                for client_id, (old_owner, new_owner) in self._blocks.items()
            ],
        )

    def _outbox_rows(self, version: int | None) -> list[dict[str, Any]]:
        return [
            {
                "worker": work.worker,
                "kind": work.kind,
                "subject": work.subject,
                "payload": work.payload,
                "version": version,
                "created_at": self.now_ms,
                "available_at": self.now_ms,
                "claimed_by": work.holder,
                "claimed_until": None if work.holder is None else self.now_ms + work.hold_ms,
                "attempts": 0 if work.holder is None else 1,
            }
            for work in self._work
        ]


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
