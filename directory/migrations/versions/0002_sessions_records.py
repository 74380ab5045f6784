"""Sessions, presence and records."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.types import TypeEngine

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def _key(length: int) -> TypeEngine[str]:
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def _number() -> TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables of sessions, presence, decisions, audit and requests."""
    op.create_table(
        "client_session",
        sa.Column("client_id", _key(256), nullable=False),
        sa.Column("employee_id", _key(64), nullable=False),
        sa.Column("credential_id", _key(64), nullable=True),
        sa.Column("grants_version", sa.BigInteger(), nullable=False),
        sa.Column("node", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("peer", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("protocol", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("zone", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("device_info", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("connected_at", sa.BigInteger(), nullable=False),
        sa.Column("online", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("reason", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("client_id", name=op.f("pk_client_session")),
    )
    op.create_index(op.f("ix_client_session_employee_id"), "client_session", ["employee_id"], unique=False)
    op.create_index(op.f("ix_client_session_online"), "client_session", ["online"], unique=False)
    op.create_table(
        "subscription",
        sa.Column("client_id", _key(256), nullable=False),
        sa.Column("filter_hash", _key(64), nullable=False),
        sa.Column("filter", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("qos", sa.Integer(), server_default="0", nullable=False),
        sa.Column("epoch", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("client_id", "filter_hash", name=op.f("pk_subscription")),
    )
    op.create_table(
        "client_acl",
        sa.Column("client_id", _key(256), nullable=False),
        sa.Column("employee_id", _key(64), nullable=False),
        sa.Column("rules", sa.Text(), server_default=sa.text("'[]'"), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("written_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("client_id", name=op.f("pk_client_acl")),
    )
    op.create_index(op.f("ix_client_acl_employee_id"), "client_acl", ["employee_id"], unique=False)
    op.create_table(
        "presence",
        sa.Column("client_id", _key(256), nullable=False),
        sa.Column("employee_id", _key(64), nullable=True),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("online", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("node", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("peer", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("reason", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("source", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("last_seen_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("client_id", name=op.f("pk_presence")),
    )
    op.create_index(op.f("ix_presence_employee_id"), "presence", ["employee_id"], unique=False)
    op.create_table(
        "presence_event",
        sa.Column("event_id", _number(), autoincrement=True, nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("kind", _key(64), nullable=False),
        sa.Column("client_id", _key(256), nullable=False),
        sa.Column("username", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("employee_id", _key(64), nullable=True),
        sa.Column("epoch", sa.BigInteger(), nullable=True),
        sa.Column("disconnected_at", sa.BigInteger(), nullable=True),
        sa.Column("reason", _key(256), nullable=True),
        sa.Column("topic", sa.Text(), nullable=True),
        sa.Column("node", _key(256), nullable=True),
        sa.Column("peer", _key(256), nullable=True),
        sa.Column("body", sa.Text(), server_default=sa.text("'{}'"), nullable=False),
        sa.PrimaryKeyConstraint("event_id", name=op.f("pk_presence_event")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_presence_event_client_id_epoch", "presence_event", ["client_id", "epoch"], unique=False
    )
    op.create_index("ix_presence_event_received_at", "presence_event", ["received_at"], unique=False)
    op.create_table(
        "decision",
        sa.Column("decision_id", _number(), autoincrement=True, nullable=False),
        sa.Column("decided_at", sa.BigInteger(), nullable=False),
        sa.Column("client_id", _key(256), nullable=False),
        sa.Column("employee_id", _key(64), nullable=True),
        sa.Column("action", _key(16), nullable=False),
        sa.Column("topic", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("allowed", sa.Boolean(), nullable=False),
        sa.Column("source", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("reason", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("policy_version", sa.BigInteger(), nullable=True),
        sa.Column("grants_version", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("action IN ('publish', 'subscribe', 'connect')", name=op.f("ck_decision_action")),
        sa.PrimaryKeyConstraint("decision_id", name=op.f("pk_decision")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_decision_client_id_decided_at", "decision", ["client_id", "decided_at"], unique=False)
    op.create_index("ix_decision_decided_at", "decision", ["decided_at"], unique=False)
    op.create_table(
        "audit_seal",
        sa.Column("seal_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("entries", sa.Integer(), nullable=False),
        sa.Column("previous_hash", _key(64), nullable=False),
        sa.Column("hash", _key(64), nullable=False),
        sa.Column("sealed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("seal_id", name=op.f("pk_audit_seal")),
    )
    op.create_table(
        "audit_log",
        sa.Column("audit_id", _number(), autoincrement=True, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("author", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("client_id", _key(256), nullable=True),
        sa.Column("action", _key(64), nullable=False),
        sa.Column("target", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.Column("code", sa.Integer(), server_default="0", nullable=False),
        sa.Column("seal_id", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["seal_id"], ["audit_seal.seal_id"], name=op.f("fk_audit_log_seal_id")),
        sa.PrimaryKeyConstraint("audit_id", name=op.f("pk_audit_log")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_audit_log_author_created_at", "audit_log", ["author", "created_at"], unique=False)
    op.create_index("ix_audit_log_created_at", "audit_log", ["created_at"], unique=False)
    op.create_index(op.f("ix_audit_log_seal_id"), "audit_log", ["seal_id"], unique=False)
    op.create_table(
        "challenge",
        sa.Column("challenge_id", _key(64), nullable=False),
        sa.Column("employee_id", _key(64), nullable=False),
        sa.Column("client_id", _key(256), nullable=False),
        sa.Column("action", _key(64), nullable=False),
        sa.Column("target", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("hash", _key(64), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("spent_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["employee_id"], ["employee.employee_id"], name=op.f("fk_challenge_employee_id")
        ),
        sa.PrimaryKeyConstraint("challenge_id", name=op.f("pk_challenge")),
    )
    op.create_index(op.f("ix_challenge_employee_id"), "challenge", ["employee_id"], unique=False)
    op.create_table(
        "request",
        sa.Column("client_id", _key(256), nullable=False),
        sa.Column("seq_id", _key(256), nullable=False),
        sa.Column("employee_id", _key(64), nullable=False),
        sa.Column("payload_hash", _key(64), nullable=False),
        sa.Column("action", _key(64), nullable=False),
        sa.Column("response", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("outbox_id", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("client_id", "seq_id", name=op.f("pk_request")),
    )
    op.create_index("ix_request_created_at", "request", ["created_at"], unique=False)


def downgrade() -> None:
    """Remove them, with all that they hold."""
    for table in (
        "request",
        "challenge",
        "audit_log",
        "audit_seal",
        "decision",
        "presence_event",
        "presence",
        "client_acl",
        "subscription",
        "client_session",
    ):
        op.drop_table(table)
