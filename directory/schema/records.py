"""Tables of what was done: decisions, audit and its seals, challenges, requests."""

from sqlalchemy import JSON, BigInteger, Boolean, Column, ForeignKey, Index, Integer, Table

from directory.schema.columns import client_key, key, metadata, moment, number, one_of, text
from directory.schema.rights import ACTIONS

decision = Table(
    "decision",
    metadata,
    Column("decision_id", number(), primary_key=True, autoincrement=True),
    moment("decided_at"),
    Column("client_id", client_key(), nullable=False),
    Column("employee_id", key()),
    Column("action", key(16), nullable=False),
    text("topic"),
    Column("allowed", Boolean, nullable=False),
    text("source"),
    text("reason"),
    Column("policy_version", BigInteger),
    Column("grants_version", BigInteger),
    one_of("action", (*(a for a in ACTIONS if a != "all"), "connect")),
    Index("ix_decision_decided_at", "decided_at"),
    Index("ix_decision_client_id_decided_at", "client_id", "decided_at"),
    sqlite_autoincrement=True,
)

# Written unchained in the action's transaction; the sealer chains committed rows in batches.
audit_log = Table(
    "audit_log",
    metadata,
    Column("audit_id", number(), primary_key=True, autoincrement=True),
    moment("created_at"),
    text("author"),
    Column("client_id", client_key()),
    Column("action", key(64), nullable=False),
    text("target"),
    Column("detail", JSON, nullable=False),
    Column("code", Integer, nullable=False, server_default="0"),
    Column("seal_id", BigInteger, ForeignKey("audit_seal.seal_id"), index=True),
    Index("ix_audit_log_created_at", "created_at"),
    Index("ix_audit_log_author_created_at", "author", "created_at"),
    sqlite_autoincrement=True,
)

audit_seal = Table(
    "audit_seal",
    metadata,
    Column("seal_id", BigInteger, primary_key=True, autoincrement=False),
    Column("entries", Integer, nullable=False),
    Column("previous_hash", key(64), nullable=False),
    Column("hash", key(64), nullable=False),
    moment("sealed_at"),
)

challenge = Table(
    "challenge",
    metadata,
    Column("challenge_id", key(), primary_key=True),
    Column("employee_id", key(), ForeignKey("employee.employee_id"), nullable=False, index=True),
    Column("client_id", client_key(), nullable=False),
    Column("action", key(64), nullable=False),
    text("target"),
    Column("hash", key(64), nullable=False),
    moment("created_at"),
    moment("expires_at"),
    moment("spent_at", nullable=True),
)

# (client_id, seq_id) is one request; another person or payload under that key is 409 (decision 12).
request = Table(
    "request",
    metadata,
    Column("client_id", client_key(), primary_key=True),
    Column("seq_id", key(256), primary_key=True),
    Column("employee_id", key(), nullable=False),
    Column("payload_hash", key(64), nullable=False),
    Column("action", key(64), nullable=False),
    text("response"),
    Column("outbox_id", BigInteger),
    moment("created_at"),
    Index("ix_request_created_at", "created_at"),
)
