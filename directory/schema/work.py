"""Tables of what processes tell each other: the change feed, the outbox, leases, replicas."""

from sqlalchemy import JSON, BigInteger, CheckConstraint, Column, Index, Integer, Table
from sqlalchemy import text as sql

from directory.schema.columns import client_key, key, metadata, moment, number, text

# One row (decision 5): locked from the UPDATE to the commit, it allots versions in commit order.
# Changes up to `pruned_version` are gone: a reader that stands before it must drop everything.
feed = Table(
    "feed",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("version", BigInteger, nullable=False),
    Column("pruned_version", BigInteger, nullable=False, server_default="0"),
    CheckConstraint("id = 1", name="one_row"),
)

change = Table(
    "change",
    metadata,
    Column("version", BigInteger, primary_key=True, autoincrement=False),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("subject_kind", key(16), nullable=False),
    Column("subject_id", client_key(), nullable=False),
    moment("created_at"),
    Index("ix_change_created_at", "created_at"),
)

outbox = Table(
    "outbox",
    metadata,
    Column("outbox_id", number(), primary_key=True, autoincrement=True),
    Column("worker", key(32), nullable=False),
    Column("kind", key(64), nullable=False),
    Column("subject", client_key(), nullable=False),
    Column("payload", JSON, nullable=False),
    Column("version", BigInteger),
    moment("created_at"),
    moment("available_at"),
    Column("claimed_by", key()),
    moment("claimed_until", nullable=True),
    Column("attempts", Integer, nullable=False, server_default="0"),
    # In effect, but to be looked at again before it is done (decision 8); it holds up no later work any more.
    moment("enforced_at", nullable=True),
    moment("done_at", nullable=True),
    text("progress"),
    text("last_error"),
    Index(
        "ix_outbox_open",
        "worker",
        "outbox_id",
        sqlite_where=sql("done_at IS NULL"),
        postgresql_where=sql("done_at IS NULL"),
    ),
    Index(
        "ix_outbox_unenforced",
        "worker",
        "outbox_id",
        sqlite_where=sql("done_at IS NULL AND enforced_at IS NULL"),
        postgresql_where=sql("done_at IS NULL AND enforced_at IS NULL"),
    ),
    Index(
        "ix_outbox_unenforced_subject",
        "worker",
        "subject",
        "outbox_id",
        sqlite_where=sql("done_at IS NULL AND enforced_at IS NULL"),
        postgresql_where=sql("done_at IS NULL AND enforced_at IS NULL"),
    ),
    Index(
        "ix_outbox_unconfirmed",
        "worker",
        "available_at",
        sqlite_where=sql("done_at IS NULL AND enforced_at IS NOT NULL"),
        postgresql_where=sql("done_at IS NULL AND enforced_at IS NOT NULL"),
    ),
    Index("ix_outbox_done_at", "done_at"),
    sqlite_autoincrement=True,
)

# Up to which moment something was gone through that happens by itself, by name.
watermark = Table(
    "watermark",
    metadata,
    Column("name", key(), primary_key=True),
    Column("value", BigInteger, nullable=False),
)

lease = Table(
    "lease",
    metadata,
    Column("name", key(), primary_key=True),
    Column("holder", key(), nullable=False),
    moment("expires_at"),
)

replica = Table(
    "replica",
    metadata,
    Column("replica_id", key(), primary_key=True),
    Column("kind", key(16), nullable=False),
    Column("applied_version", BigInteger, nullable=False),
    moment("started_at"),
    moment("seen_at"),
)
