"""Enforcement: work that is in effect before it is done, claims on what clients were given, endings."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.types import TypeEngine

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_OPEN = sa.text("done_at IS NULL")
_UNENFORCED = sa.text("done_at IS NULL AND enforced_at IS NULL")
_UNCONFIRMED = sa.text("done_at IS NULL AND enforced_at IS NOT NULL")


def _key(length: int) -> TypeEngine[str]:
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    """Add the columns of outbox and client_acl, the watermark, and the indexes of what ends by itself."""
    op.add_column("outbox", sa.Column("enforced_at", sa.BigInteger(), nullable=True))
    op.add_column("outbox", sa.Column("progress", sa.Text(), server_default=sa.text("''"), nullable=False))
    op.drop_index("ix_outbox_open_subject", "outbox")
    for name, columns, which in (
        ("ix_outbox_unenforced", ["worker", "outbox_id"], _UNENFORCED),
        ("ix_outbox_unenforced_subject", ["worker", "subject", "outbox_id"], _UNENFORCED),
        ("ix_outbox_unconfirmed", ["worker", "available_at"], _UNCONFIRMED),
    ):
        op.create_index(name, "outbox", columns, sqlite_where=which, postgresql_where=which)
    for column in (
        sa.Column("left_out", sa.Text(), server_default=sa.text("'[]'"), nullable=False),
        sa.Column("stale", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("claimed_by", _key(64), nullable=True),
        sa.Column("claimed_until", sa.BigInteger(), nullable=True),
    ):
        op.add_column("client_acl", column)
    op.create_table(
        "watermark",
        sa.Column("name", _key(64), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_watermark")),
    )
    op.create_index("ix_acl_rule_valid_from_at", "acl_rule", ["valid_from_at"])
    op.create_index("ix_acl_rule_valid_until_at", "acl_rule", ["valid_until_at"])
    op.create_index("ix_credential_expires_at", "credential", ["expires_at"])


def downgrade() -> None:
    """Remove them; work that is in effect and not confirmed becomes work to do, which may be repeated."""
    op.drop_index("ix_credential_expires_at", "credential")
    op.drop_index("ix_acl_rule_valid_until_at", "acl_rule")
    op.drop_index("ix_acl_rule_valid_from_at", "acl_rule")
    op.drop_table("watermark")
    for column in ("claimed_until", "claimed_by", "stale", "left_out"):
        op.drop_column("client_acl", column)
    for index in ("ix_outbox_unconfirmed", "ix_outbox_unenforced_subject", "ix_outbox_unenforced"):
        op.drop_index(index, "outbox")
    op.create_index(
        "ix_outbox_open_subject",
        "outbox",
        ["worker", "subject", "outbox_id"],
        sqlite_where=_OPEN,
        postgresql_where=_OPEN,
    )
    op.drop_column("outbox", "progress")
    op.drop_column("outbox", "enforced_at")
