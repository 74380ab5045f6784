"""Tables of who may what: exceptions, policies, registered and blocked client ids."""

from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, Table, false
from sqlalchemy import text as sql

from directory.schema.columns import client_key, key, metadata, moment, number, one_of, text

RULE_SUBJECTS: Final = ("client", "employee", "group", "department", "role", "everyone")
EFFECTS: Final = ("allow", "deny")
ACTIONS: Final = ("publish", "subscribe", "all")
REGISTRATION_KINDS: Final = ("exact", "prefix")

acl_rule = Table(
    "acl_rule",
    metadata,
    Column("rule_id", number(), primary_key=True, autoincrement=True),
    Column("subject_kind", key(16), nullable=False),
    Column("subject_id", client_key(), nullable=False, server_default=sql("''")),
    Column("effect", key(8), nullable=False),
    Column("action", key(16), nullable=False),
    text("filter"),
    Column("qos", key(8)),
    Column("retain", Boolean),
    Column("priority", Integer, nullable=False, server_default="0"),
    Column("zone", key()),
    text("reason"),
    text("author"),
    moment("valid_from_at", nullable=True),
    moment("valid_until_at", nullable=True),
    moment("created_at"),
    one_of("subject_kind", RULE_SUBJECTS),
    one_of("effect", EFFECTS),
    one_of("action", ACTIONS),
    Index("ix_acl_rule_subject", "subject_kind", "subject_id"),
    Index("ix_acl_rule_valid_from_at", "valid_from_at"),
    Index("ix_acl_rule_valid_until_at", "valid_until_at"),
    sqlite_autoincrement=True,
)

policy_version = Table(
    "policy_version",
    metadata,
    Column("version", number(), primary_key=True, autoincrement=True),
    text("name"),
    text("document"),
    text("author"),
    text("reason"),
    moment("created_at"),
    moment("activated_at", nullable=True),
    Column("active", Boolean, nullable=False, server_default=false()),
    Index(
        "uq_policy_version_active",
        "active",
        unique=True,
        sqlite_where=sql("active"),
        postgresql_where=sql("active"),
    ),
    sqlite_autoincrement=True,
)

client_registration = Table(
    "client_registration",
    metadata,
    Column("pattern", client_key(), primary_key=True),
    Column("kind", key(16), nullable=False),
    Column("employee_id", key(), ForeignKey("employee.employee_id"), nullable=False, index=True),
    text("author"),
    moment("created_at"),
    one_of("kind", REGISTRATION_KINDS),
)

# Rows stand until the enforcer has seen the old owner's session and rules gone (decision 9).
client_block = Table(
    "client_block",
    metadata,
    Column("client_id", client_key(), primary_key=True),
    Column("old_owner", key()),
    Column("new_owner", key()),
    moment("created_at"),
    Column("version", BigInteger, nullable=False),
)
