"""Tables of what the broker has and had: sessions, subscriptions, rules given to it, presence."""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, Table, Text, false

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
