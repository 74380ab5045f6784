"""The unit of work of a rights-changing transaction, and what it leaves for readers (decision 5)."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from sqlalchemy import delete, func, insert, select, text, update
from sqlalchemy.exc import IntegrityError, PendingRollbackError
from sqlalchemy.ext.asyncio import AsyncConnection

from directory import schema
from directory.errors import Conflict, InvalidValue, SchemaMismatch
from directory.subjects import SUBJECT_KINDS, Subject, SubjectKind
from directory.versions import changed_since, changes_since, newest_version, prune_changes, pruned_version

__all__ = [
    "CHANNEL",
    "SUBJECT_KINDS",
    "Change",
    "LockName",
    "Subject",
    "SubjectKind",
    "Work",
    "changed_since",
    "changes_since",
    "newest_version",
    "prune_changes",
    "pruned_version",
]

CHANNEL: Final = "mchat_feed"
"""The PostgreSQL channel that carries each new version."""

LockName = Literal["client_ids", "admins", "departments", "managers"]

_LOCKS: Final[dict[LockName, int]] = {
    "client_ids": 0x6D63_0001,
    "admins": 0x6D63_0002,
    # 0x6D63_0003 is that of migrations.
    "departments": 0x6D63_0004,
    "managers": 0x6D63_0005,
}


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
        client_id: From which client it is asked for, for audit; None if from none.
    """

    connection: AsyncConnection
    author: str
    now_ms: int
    version: int | None = None
    outbox_ids: tuple[int, ...] = ()
    client_id: str | None = None
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

    def audit_as_one(self, action: str, target: str, detail: dict[str, Any], code: int = 0) -> None:
        """Make one audit row of all so far: what was asked for, with what was done for it as `steps`.

        Args:
            action: What was asked for.
            target: Of what.
            detail: What else matters; never a secret.
            code: How it ended; 0 = well.
        """
        steps = {"steps": self._audit} if self._audit else {}
        self._audit = [{"action": action, "target": target, "detail": detail | steps, "code": code}]

    @asynccontextmanager
    async def attempt(self) -> AsyncGenerator[None]:
        """Run a part that may fail: if the block raises, what it wrote and gathered is undone, the rest stands.

        Raises:
            Conflict: A constraint refuses a row.
        """
        gathered = self._subjects, self._work, self._blocks, self._audit
        self._subjects, self._work = dict(self._subjects), list(self._work)
        self._blocks, self._audit = dict(self._blocks), list(self._audit)
        await self.connection.exec_driver_sql("SAVEPOINT attempt")
        try:
            yield
        except Exception as error:
            self._subjects, self._work, self._blocks, self._audit = gathered
            try:
                await self.connection.exec_driver_sql("ROLLBACK TO SAVEPOINT attempt")
            except PendingRollbackError:
                raise error from None  # The connection is lost, and all is undone: why, is the first error's to say.
            if isinstance(error, IntegrityError):
                raise Conflict("another change came first: read again, then ask anew") from error
            raise
        await self.connection.exec_driver_sql("RELEASE SAVEPOINT attempt")

    def left(self) -> Sequence[tuple[int, Work]]:
        """List the work that was left, with its numbers; nothing before the block has ended."""
        return list(zip(self.outbox_ids, self._work, strict=False))

    async def lock(self, name: LockName) -> None:
        """Let one transaction at a time, of all processes, decide by what it reads about `name`.

        On SQLite a transaction is alone anyway. Take it before reading; it is released at the end.
        """
        if self.connection.dialect.name == "postgresql":
            await self.connection.execute(select(func.pg_advisory_xact_lock(_LOCKS[name])))

    async def finish(self) -> None:
        """Write what was gathered, the version last of all but the rows that carry it (decision 5)."""
        if self._audit:
            common = {
                "created_at": self.now_ms,
                "author": self.author,
                "client_id": self.client_id,
                "code": 0,
            }
            rows = [common | row for row in self._audit]
            await self.connection.execute(insert(schema.audit_log), rows)
        version = await self._allot() if self._subjects else None
        if self._blocks and version is not None:
            await self._write_blocks(version)
        if self._work:
            self.outbox_ids = await self._leave(self._outbox_rows(version))
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

    async def _leave(self, rows: list[dict[str, Any]]) -> tuple[int, ...]:
        """Write outbox rows; returns their numbers, in order."""
        table = schema.outbox
        if self.connection.dialect.name == "postgresql":
            statement = insert(table).returning(table.c.outbox_id, sort_by_parameter_order=True)
            return tuple(await self.connection.scalars(statement, rows))
        # SQLite tells the numbers of rows one statement at a time only; alone as we are, we know the next ones.
        last = await self.connection.scalar(text("SELECT seq FROM sqlite_sequence WHERE name = 'outbox'"))
        numbers = tuple(range((last or 0) + 1, (last or 0) + 1 + len(rows)))
        numbered = [row | {"outbox_id": number} for row, number in zip(rows, numbers, strict=True)]
        await self.connection.execute(insert(table), numbered)
        return numbers

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
