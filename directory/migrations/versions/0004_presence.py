"""Presence: since when a device is on or off, its history, people's standing, ended subscriptions."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.types import TypeEngine

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def _key(length: int) -> TypeEngine[str]:
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def _number() -> TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _text(name: str) -> "sa.Column[str]":
    return sa.Column(name, sa.Text(), server_default=sa.text("''"), nullable=False)


def upgrade() -> None:
    """Add the tables and columns of presence."""
    op.add_column("presence", sa.Column("since_at", sa.BigInteger(), server_default="0", nullable=False))
    op.create_index("ix_presence_updated_at", "presence", ["updated_at"])
    op.add_column("subscription", sa.Column("live", sa.Boolean(), server_default=sa.true(), nullable=False))
    op.create_table(
        "presence_history",
        sa.Column("history_id", _number(), autoincrement=True, nullable=False),
        sa.Column("client_id", _key(256), nullable=False),
        sa.Column("employee_id", _key(64), nullable=True),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("kind", _key(16), nullable=False),
        sa.Column("happened_at", sa.BigInteger(), nullable=False),
        _text("node"),
        _text("peer"),
        _text("reason"),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("history_id", name=op.f("pk_presence_history")),
        sa.UniqueConstraint(
            "client_id", "epoch", "kind", name=op.f("uq_presence_history_client_id_epoch_kind")
        ),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_presence_history_employee_id_history_id", "presence_history", ["employee_id", "history_id"]
    )
    op.create_index("ix_presence_history_recorded_at", "presence_history", ["recorded_at"])
    op.create_table(
        "presence_person",
        sa.Column("employee_id", _key(64), nullable=False),
        sa.Column("status", _key(16), server_default=sa.text("''"), nullable=False),
        sa.Column("devices", sa.Integer(), server_default="0", nullable=False),
        sa.Column("last_seen_at", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("version", sa.BigInteger(), server_default="0", nullable=False),
        _text("payload"),
        sa.Column("published", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("published_at", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("changed_at", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("heard", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=True),
        sa.Column("contradicted_at", sa.BigInteger(), nullable=True),
        sa.Column("change_number", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("employee_id", name=op.f("pk_presence_person")),
    )
    op.create_index("ix_presence_person_due_at", "presence_person", ["due_at"])
    op.create_index("ix_presence_person_status", "presence_person", ["status", "employee_id"])
    op.create_index("ix_presence_person_change_number", "presence_person", ["change_number"])
    # In the order in which people are listed, so that a page of a department needs no sorting.
    op.drop_index("ix_employee_department_id", "employee")
    op.create_index("ix_employee_department_id_employee_id", "employee", ["department_id", "employee_id"])


def downgrade() -> None:
    """Remove them; what is known of people is derived again from the events that are kept."""
    op.drop_index("ix_employee_department_id_employee_id", "employee")
    op.create_index("ix_employee_department_id", "employee", ["department_id"])
    op.drop_table("presence_person")
    op.drop_table("presence_history")
    op.drop_column("subscription", "live")
    op.drop_index("ix_presence_updated_at", "presence")
    op.drop_column("presence", "since_at")
