"""Tables of who exists: departments, people, their credentials, groups."""

from typing import Final

from sqlalchemy import JSON, Boolean, Column, ForeignKey, Index, Integer, Table, false
from sqlalchemy import text as sql

from directory.schema.columns import key, metadata, moment, one_of, text

ROLES: Final = ("employee", "agent", "admin", "security", "ops", "service")
STATUSES: Final = ("active", "disabled", "deleted")
MEMBER_ROLES: Final = ("owner", "admin", "member")
CREDENTIAL_KINDS: Final = ("token", "password", "certificate")

department = Table(
    "department",
    metadata,
    Column("department_id", key(), primary_key=True),
    text("name"),
    Column("parent_id", key(), ForeignKey("department.department_id"), index=True),
    Column("sort_order", Integer, nullable=False, server_default="0"),
    moment("created_at"),
    moment("updated_at"),
)

# Ids are never reused (decision 9), so nobody is ever deleted: `deleted` is a status, and it is final.
employee = Table(
    "employee",
    metadata,
    Column("employee_id", key(), primary_key=True),
    text("name"),
    Column("role", key(16), nullable=False),
    Column("status", key(16), nullable=False),
    Column("department_id", key(), ForeignKey("department.department_id")),
    Column("manager_id", key(), ForeignKey("employee.employee_id"), index=True),
    Column("is_ai_agent", Boolean, nullable=False, server_default=false()),
    Column("agent_profile", JSON(none_as_null=True)),
    Column("skills_badge", JSON(none_as_null=True)),
    moment("created_at"),
    moment("updated_at"),
    one_of("role", ROLES),
    one_of("status", STATUSES),
    Index("ix_employee_role_status", "role", "status"),
    Index("ix_employee_department_id_employee_id", "department_id", "employee_id"),
)

credential = Table(
    "credential",
    metadata,
    Column("credential_id", key(), primary_key=True),
    Column("employee_id", key(), ForeignKey("employee.employee_id"), nullable=False, index=True),
    Column("kind", key(16), nullable=False),
    Column("hash", key(512), nullable=False),
    text("label"),
    moment("expires_at", nullable=True),
    moment("revoked_at", nullable=True),
    moment("created_at"),
    moment("last_used_at", nullable=True),
    one_of("kind", CREDENTIAL_KINDS),
    Index("ix_credential_expires_at", "expires_at"),
    # Two people with one token or certificate would make "who" a matter of chance.
    Index(
        "uq_credential_hash",
        "kind",
        "hash",
        unique=True,
        sqlite_where=sql("kind <> 'password'"),
        postgresql_where=sql("kind <> 'password'"),
    ),
)

group = Table(
    "group",
    metadata,
    Column("group_id", key(), primary_key=True),
    text("name"),
    Column("creator_employee_id", key(), ForeignKey("employee.employee_id"), nullable=False, index=True),
    text("description"),
    text("avatar"),
    moment("created_at"),
    moment("updated_at"),
    moment("dismissed_at", nullable=True),
)

group_member = Table(
    "group_member",
    metadata,
    Column("group_id", key(), ForeignKey("group.group_id"), primary_key=True),
    Column("employee_id", key(), ForeignKey("employee.employee_id"), primary_key=True, index=True),
    Column("role", key(16), nullable=False),
    moment("joined_at"),
    one_of("role", MEMBER_ROLES),
    Index(
        "uq_group_member_owner",
        "group_id",
        unique=True,
        sqlite_where=sql("role = 'owner'"),
        postgresql_where=sql("role = 'owner'"),
    ),
)

# Secrets that must be read back are sealed with MCHAT_SECRET_KEY (decision 10), never stored bare.
agent_secret = Table(
    "agent_secret",
    metadata,
    Column("employee_id", key(), ForeignKey("employee.employee_id"), primary_key=True),
    Column("name", key(), primary_key=True),
    Column("key_id", key(), nullable=False),
    text("sealed"),
    moment("updated_at"),
)

# Secrets of the installation that must be read back, sealed likewise; each is made by the first process that needs it.
sealed_secret = Table(
    "sealed_secret",
    metadata,
    Column("name", key(), primary_key=True),
    Column("key_id", key(), nullable=False),
    text("sealed"),
    moment("updated_at"),
)
