"""Tables of what the broker has and had: sessions, subscriptions, rules given to it, presence."""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, Table, Text, UniqueConstraint, false, true
from sqlalchemy import text as sql

from directory.schema.columns import client_key, key, metadata, moment, number, text

# Written behind and without foreign keys: a row is a hint (decision 8) and must never fail a batch.
client_session = Table(
    "client_session",
    metadata,
    Column("client_id", client_key(), primary_key=True),
    Column("employee_id", key(), nullable=False, index=True),
    Column("credential_id", key()),
    Column("grants_version", BigInteger, nullable=False),
    text("node"),
    text("peer"),
    text("protocol"),
    text("zone"),
    text("device_info"),
    moment("connected_at"),
    Column("online", Boolean, nullable=False, server_default=false(), index=True),
    text("reason"),
    moment("expires_at", nullable=True),
    moment("updated_at"),
)

subscription = Table(
    "subscription",
    metadata,
    Column("client_id", client_key(), primary_key=True),
    # The SHA-256 of the filter: a filter may be longer than an index entry.
    Column("filter_hash", key(64), primary_key=True),
    text("filter"),
    Column("qos", Integer, nullable=False, server_default="0"),
    Column("epoch", BigInteger, nullable=False, server_default="0"),
    moment("updated_at"),
    # An ended one stays for a while: its beginning may be told after its end.
    Column("live", Boolean, nullable=False, server_default=true()),
)

# `written_at` is 0 while nothing has been written: a row is made before the broker is told, so that what it was
# told is never without one. Who holds the claim writes; `stale`: the broker may have something else.
client_acl = Table(
    "client_acl",
    metadata,
    Column("client_id", client_key(), primary_key=True),
    Column("employee_id", key(), nullable=False, index=True),
    text("rules", "[]"),
    text("left_out", "[]"),
    Column("version", BigInteger, nullable=False),
    moment("written_at"),
    Column("stale", Boolean, nullable=False, server_default=false()),
    Column("claimed_by", key()),
    moment("claimed_until", nullable=True),
)

presence = Table(
    "presence",
    metadata,
    Column("client_id", client_key(), primary_key=True),
    Column("employee_id", key(), index=True),
    Column("epoch", BigInteger, nullable=False),
    Column("online", Boolean, nullable=False, server_default=false()),
    text("node"),
    text("peer"),
    text("reason"),
    text("source"),
    moment("last_seen_at"),
    moment("updated_at"),
    Column("since_at", BigInteger, nullable=False, server_default="0"),
    Index("ix_presence_updated_at", "updated_at"),
)

# One row a transition: the same event twice is one (presence, rule 4).
presence_history = Table(
    "presence_history",
    metadata,
    Column("history_id", number(), primary_key=True, autoincrement=True),
    Column("client_id", client_key(), nullable=False),
    Column("employee_id", key()),
    Column("epoch", BigInteger, nullable=False),
    Column("kind", key(16), nullable=False),
    moment("happened_at"),
    text("node"),
    text("peer"),
    text("reason"),
    moment("recorded_at"),
    UniqueConstraint("client_id", "epoch", "kind"),
    Index("ix_presence_history_employee_id_history_id", "employee_id", "history_id"),
    Index("ix_presence_history_recorded_at", "recorded_at"),
    sqlite_autoincrement=True,
)

# A person's standing, derived from the devices. `payload` is the last projection, `published` whether the broker
# has it; whoever changes what it is derived from adds one to `heard` and sets `due_at`, when it is looked at again.
# `change_number` rises over all people with each stored change of `status` or `devices`, in commit order.
presence_person = Table(
    "presence_person",
    metadata,
    Column("employee_id", key(), primary_key=True),
    Column("status", key(16), nullable=False, server_default=sql("''")),
    Column("devices", Integer, nullable=False, server_default="0"),
    Column("last_seen_at", BigInteger, nullable=False, server_default="0"),
    Column("version", BigInteger, nullable=False, server_default="0"),
    text("payload"),
    Column("published", Boolean, nullable=False, server_default=false()),
    Column("published_at", BigInteger, nullable=False, server_default="0"),
    Column("changed_at", BigInteger, nullable=False, server_default="0"),
    Column("heard", BigInteger, nullable=False, server_default="0"),
    moment("due_at", nullable=True),
    moment("contradicted_at", nullable=True),
    Column("change_number", BigInteger, nullable=False, server_default="0"),
    Index("ix_presence_person_due_at", "due_at"),
    Index("ix_presence_person_status", "status", "employee_id"),
    Index("ix_presence_person_change_number", "change_number"),
)

# `epoch` is EMQX's `connected_at` (presence, rule 2), null in events of brokers before 5.8.6.
presence_event = Table(
    "presence_event",
    metadata,
    Column("event_id", number(), primary_key=True, autoincrement=True),
    moment("received_at"),
    Column("kind", key(64), nullable=False),
    Column("client_id", client_key(), nullable=False),
    text("username"),
    Column("employee_id", key()),
    Column("epoch", BigInteger),
    moment("disconnected_at", nullable=True),
    Column("reason", key(256)),
    Column("topic", Text),
    Column("node", key(256)),
    Column("peer", key(256)),
    text("body", "{}"),
    Index("ix_presence_event_client_id_epoch", "client_id", "epoch"),
    Index("ix_presence_event_received_at", "received_at"),
    sqlite_autoincrement=True,
)
