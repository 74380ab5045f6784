"""The tables (design, "Data"), by what they are about; `metadata` holds them all.

Times are whole milliseconds since the epoch, UTC, in columns named `*_at`: they compare alike on both
databases, and ISO 8601 is a matter of the wire.
"""

from directory.schema.columns import metadata
from directory.schema.people import (
    agent_secret,
    credential,
    department,
    employee,
    group,
    group_member,
    sealed_secret,
)
from directory.schema.records import audit_log, audit_seal, challenge, decision, request
from directory.schema.rights import acl_rule, client_block, client_registration, policy_version
from directory.schema.sessions import (
    client_acl,
    client_session,
    presence,
    presence_event,
    presence_history,
    presence_person,
    subscription,
)
from directory.schema.work import change, feed, lease, outbox, replica, watermark

__all__ = [
    "acl_rule",
    "agent_secret",
    "audit_log",
    "audit_seal",
    "challenge",
    "change",
    "client_acl",
    "client_block",
    "client_registration",
    "client_session",
    "credential",
    "decision",
    "department",
    "employee",
    "feed",
    "group",
    "group_member",
    "lease",
    "metadata",
    "outbox",
    "policy_version",
    "presence",
    "presence_event",
    "presence_history",
    "presence_person",
    "replica",
    "request",
    "sealed_secret",
    "subscription",
    "watermark",
]
