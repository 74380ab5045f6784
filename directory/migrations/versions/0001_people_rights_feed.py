"""People, rights and the change feed."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.types import TypeEngine

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def _key(length: int) -> TypeEngine[str]:
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def _number() -> TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables of people, rights and the feed, and the one row of the feed."""
    op.create_table(
        "department",
        sa.Column("department_id", _key(64), nullable=False),
        sa.Column("name", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("parent_id", _key(64), nullable=True),
        sa.Column("sort_order", sa.Integer(), server_default="0", nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["parent_id"], ["department.department_id"], name=op.f("fk_department_parent_id")
        ),
        sa.PrimaryKeyConstraint("department_id", name=op.f("pk_department")),
    )
    op.create_index(op.f("ix_department_parent_id"), "department", ["parent_id"], unique=False)
    op.create_table(
        "employee",
        sa.Column("employee_id", _key(64), nullable=False),
        sa.Column("name", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("role", _key(16), nullable=False),
        sa.Column("status", _key(16), nullable=False),
        sa.Column("department_id", _key(64), nullable=True),
        sa.Column("manager_id", _key(64), nullable=True),
        sa.Column("is_ai_agent", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("agent_profile", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("skills_badge", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "role IN ('employee', 'agent', 'admin', 'security', 'ops', 'service')",
            name=op.f("ck_employee_role"),
        ),
        sa.CheckConstraint("status IN ('active', 'disabled', 'deleted')", name=op.f("ck_employee_status")),
        sa.ForeignKeyConstraint(
            ["department_id"], ["department.department_id"], name=op.f("fk_employee_department_id")
        ),
        sa.ForeignKeyConstraint(
            ["manager_id"], ["employee.employee_id"], name=op.f("fk_employee_manager_id")
        ),
        sa.PrimaryKeyConstraint("employee_id", name=op.f("pk_employee")),
    )
    op.create_index(op.f("ix_employee_department_id"), "employee", ["department_id"], unique=False)
    op.create_index(op.f("ix_employee_manager_id"), "employee", ["manager_id"], unique=False)
    op.create_index("ix_employee_role_status", "employee", ["role", "status"], unique=False)
    op.create_table(
        "credential",
        sa.Column("credential_id", _key(64), nullable=False),
        sa.Column("employee_id", _key(64), nullable=False),
        sa.Column("kind", _key(16), nullable=False),
        sa.Column("hash", _key(512), nullable=False),
        sa.Column("label", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("last_used_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("kind IN ('token', 'password', 'certificate')", name=op.f("ck_credential_kind")),
        sa.ForeignKeyConstraint(
            ["employee_id"], ["employee.employee_id"], name=op.f("fk_credential_employee_id")
        ),
        sa.PrimaryKeyConstraint("credential_id", name=op.f("pk_credential")),
    )
    op.create_index(op.f("ix_credential_employee_id"), "credential", ["employee_id"], unique=False)
    op.create_index(
        "uq_credential_hash",
        "credential",
        ["kind", "hash"],
        unique=True,
        sqlite_where=sa.text("kind <> 'password'"),
        postgresql_where=sa.text("kind <> 'password'"),
    )
    op.create_table(
        "group",
        sa.Column("group_id", _key(64), nullable=False),
        sa.Column("name", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("creator_employee_id", _key(64), nullable=False),
        sa.Column("description", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("avatar", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("dismissed_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["creator_employee_id"], ["employee.employee_id"], name=op.f("fk_group_creator_employee_id")
        ),
        sa.PrimaryKeyConstraint("group_id", name=op.f("pk_group")),
    )
    op.create_index(op.f("ix_group_creator_employee_id"), "group", ["creator_employee_id"], unique=False)
    op.create_table(
        "group_member",
        sa.Column("group_id", _key(64), nullable=False),
        sa.Column("employee_id", _key(64), nullable=False),
        sa.Column("role", _key(16), nullable=False),
        sa.Column("joined_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("role IN ('owner', 'admin', 'member')", name=op.f("ck_group_member_role")),
        sa.ForeignKeyConstraint(
            ["employee_id"], ["employee.employee_id"], name=op.f("fk_group_member_employee_id")
        ),
        sa.ForeignKeyConstraint(["group_id"], ["group.group_id"], name=op.f("fk_group_member_group_id")),
        sa.PrimaryKeyConstraint("group_id", "employee_id", name=op.f("pk_group_member")),
    )
    op.create_index(op.f("ix_group_member_employee_id"), "group_member", ["employee_id"], unique=False)
    op.create_index(
        "uq_group_member_owner",
        "group_member",
        ["group_id"],
        unique=True,
        sqlite_where=sa.text("role = 'owner'"),
        postgresql_where=sa.text("role = 'owner'"),
    )
    op.create_table(
        "agent_secret",
        sa.Column("employee_id", _key(64), nullable=False),
        sa.Column("name", _key(64), nullable=False),
        sa.Column("key_id", _key(64), nullable=False),
        sa.Column("sealed", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["employee_id"], ["employee.employee_id"], name=op.f("fk_agent_secret_employee_id")
        ),
        sa.PrimaryKeyConstraint("employee_id", "name", name=op.f("pk_agent_secret")),
    )
    op.create_table(
        "acl_rule",
        sa.Column("rule_id", _number(), autoincrement=True, nullable=False),
        sa.Column("subject_kind", _key(16), nullable=False),
        sa.Column("subject_id", _key(256), server_default=sa.text("''"), nullable=False),
        sa.Column("effect", _key(8), nullable=False),
        sa.Column("action", _key(16), nullable=False),
        sa.Column("filter", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("qos", _key(8), nullable=True),
        sa.Column("retain", sa.Boolean(), nullable=True),
        sa.Column("priority", sa.Integer(), server_default="0", nullable=False),
        sa.Column("zone", _key(64), nullable=True),
        sa.Column("reason", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("author", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("valid_from_at", sa.BigInteger(), nullable=True),
        sa.Column("valid_until_at", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("action IN ('publish', 'subscribe', 'all')", name=op.f("ck_acl_rule_action")),
        sa.CheckConstraint("effect IN ('allow', 'deny')", name=op.f("ck_acl_rule_effect")),
        sa.CheckConstraint(
            "subject_kind IN ('client', 'employee', 'group', 'department', 'role', 'everyone')",
            name=op.f("ck_acl_rule_subject_kind"),
        ),
        sa.PrimaryKeyConstraint("rule_id", name=op.f("pk_acl_rule")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_acl_rule_subject", "acl_rule", ["subject_kind", "subject_id"], unique=False)
    op.create_table(
        "policy_version",
        sa.Column("version", _number(), autoincrement=True, nullable=False),
        sa.Column("name", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("document", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("author", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("reason", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("activated_at", sa.BigInteger(), nullable=True),
        sa.Column("active", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.PrimaryKeyConstraint("version", name=op.f("pk_policy_version")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "uq_policy_version_active",
        "policy_version",
        ["active"],
        unique=True,
        sqlite_where=sa.text("active"),
        postgresql_where=sa.text("active"),
    )
    op.create_table(
        "client_registration",
        sa.Column("pattern", _key(256), nullable=False),
        sa.Column("kind", _key(16), nullable=False),
        sa.Column("employee_id", _key(64), nullable=False),
        sa.Column("author", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("kind IN ('exact', 'prefix')", name=op.f("ck_client_registration_kind")),
        sa.ForeignKeyConstraint(
            ["employee_id"], ["employee.employee_id"], name=op.f("fk_client_registration_employee_id")
        ),
        sa.PrimaryKeyConstraint("pattern", name=op.f("pk_client_registration")),
    )
    op.create_index(
        op.f("ix_client_registration_employee_id"), "client_registration", ["employee_id"], unique=False
    )
    op.create_table(
        "client_block",
        sa.Column("client_id", _key(256), nullable=False),
        sa.Column("old_owner", _key(64), nullable=True),
        sa.Column("new_owner", _key(64), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("client_id", name=op.f("pk_client_block")),
    )
    op.create_table(
        "feed",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("pruned_version", sa.BigInteger(), server_default="0", nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_feed_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_feed")),
    )
    op.create_table(
        "change",
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("subject_kind", _key(16), nullable=False),
        sa.Column("subject_id", _key(256), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("version", "seq", name=op.f("pk_change")),
    )
    op.create_index("ix_change_created_at", "change", ["created_at"], unique=False)
    op.create_table(
        "outbox",
        sa.Column("outbox_id", _number(), autoincrement=True, nullable=False),
        sa.Column("worker", _key(32), nullable=False),
        sa.Column("kind", _key(64), nullable=False),
        sa.Column("subject", _key(256), nullable=False),
        sa.Column("payload", sa.JSON(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("available_at", sa.BigInteger(), nullable=False),
        sa.Column("claimed_by", _key(64), nullable=True),
        sa.Column("claimed_until", sa.BigInteger(), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("done_at", sa.BigInteger(), nullable=True),
        sa.Column("last_error", sa.Text(), server_default=sa.text("''"), nullable=False),
        sa.PrimaryKeyConstraint("outbox_id", name=op.f("pk_outbox")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_outbox_done_at", "outbox", ["done_at"], unique=False)
    op.create_index(
        "ix_outbox_open",
        "outbox",
        ["worker", "outbox_id"],
        unique=False,
        sqlite_where=sa.text("done_at IS NULL"),
        postgresql_where=sa.text("done_at IS NULL"),
    )
    op.create_index(
        "ix_outbox_open_subject",
        "outbox",
        ["worker", "subject", "outbox_id"],
        unique=False,
        sqlite_where=sa.text("done_at IS NULL"),
        postgresql_where=sa.text("done_at IS NULL"),
    )
    op.create_table(
        "lease",
        sa.Column("name", _key(64), nullable=False),
        sa.Column("holder", _key(64), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_lease")),
    )
    op.create_table(
        "replica",
        sa.Column("replica_id", _key(64), nullable=False),
        sa.Column("kind", _key(16), nullable=False),
        sa.Column("applied_version", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("replica_id", name=op.f("pk_replica")),
    )
    op.execute("INSERT INTO feed (id, version, pruned_version) VALUES (1, 0, 0)")


def downgrade() -> None:
    """Remove them, with all that they hold."""
    for table in (
        "replica",
        "lease",
        "outbox",
        "change",
        "feed",
        "client_block",
        "client_registration",
        "policy_version",
        "acl_rule",
        "agent_secret",
        "group_member",
        "group",
        "credential",
        "employee",
        "department",
    ):
        op.drop_table(table)
