"""Secrets of the installation that must be read back."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.types import TypeEngine

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def _key(length: int) -> TypeEngine[str]:
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    """Add the table of sealed secrets."""
    op.create_table(
        "sealed_secret",
        sa.Column("name", _key(64), nullable=False),
        sa.Column("key_id", _key(64), nullable=False),
        sa.Column("sealed", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_sealed_secret")),
    )


def downgrade() -> None:
    """Remove it; the secrets are made anew."""
    op.drop_table("sealed_secret")
