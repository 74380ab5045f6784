"""What hooks know of sessions: hints, written behind in batches (decision 8: the broker knows the truth)."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

from sqlalchemy import Row, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from directory.schema import client_session
from directory.sets import among

# What an answered connect knows; the fold of events knows the rest, and must not lose it to a later row.
_OF_CONNECT: Final = (
    "employee_id",
    "credential_id",
    "grants_version",
    "peer",
    "protocol",
    "zone",
    "expires_at",
    "updated_at",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRow:
    """A session of a client id, live or kept by the broker.

    Attributes:
        client_id: The client id.
        employee_id: Who connected.
        credential_id: By which credential, if it is one of ours.
        grants_version: The feed version of the rights that the connect was answered with.
        peer: The address it came from.
        protocol: As the broker calls it.
        zone: The listener's zone, if it is known.
        expires_at: When its right to be connected ends, milliseconds since the epoch; None = never.
        updated_at: When this was last known, milliseconds since the epoch.
        node: The broker's node (from events).
        device_info: What the client says of its device.
        connected_at: The broker's epoch of the connection (from events); 0 = not known yet.
        online: Whether it is connected (from events).
        reason: Why it ended (from events).
    """

    client_id: str
    employee_id: str
    grants_version: int
    updated_at: int
    credential_id: str | None = None
    peer: str = ""
    protocol: str = ""
    zone: str = ""
    expires_at: int | None = None
    node: str = ""
    device_info: str = ""
    connected_at: int = 0
    online: bool = False
    reason: str = ""


_ALL: Final = tuple(field.name for field in fields(SessionRow))


async def store(connection: AsyncConnection, rows: Collection[SessionRow]) -> None:
    """Store what answered connects know; an older row never replaces a newer one.

    Args:
        connection: From `Database.write()`: it gives nobody rights.
        rows: At most one a client id.
    """
    if not rows:
        return
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    adding = dialect.insert(client_session)
    replacing = adding.on_conflict_do_update(
        index_elements=[client_session.c.client_id],
        set_={name: adding.excluded[name] for name in _OF_CONNECT},
        where=adding.excluded.updated_at >= client_session.c.updated_at,
    )
    # In one order everywhere, so that two writers never wait for each other.
    ordered = sorted(rows, key=lambda row: row.client_id)
    # Not `asdict`, which copies each value and takes ten times as long.
    await connection.execute(replacing, [{name: getattr(row, name) for name in _ALL} for row in ordered])


async def of_clients(connection: AsyncConnection, client_ids: Collection[str]) -> Mapping[str, SessionRow]:
    """Read the sessions of client ids; unknown ones are left out."""
    rows = await connection.execute(
        select(client_session).where(among(connection, client_session.c.client_id, client_ids))
    )
    return {row.client_id: _session(row) for row in rows.all()}


async def of_employee(connection: AsyncConnection, employee_id: str) -> Sequence[SessionRow]:
    """List a person's sessions by client id."""
    rows = await connection.execute(
        select(client_session)
        .where(client_session.c.employee_id == employee_id)
        .order_by(client_session.c.client_id)
    )
    return [_session(row) for row in rows]


def _session(row: Row[*tuple[Any, ...]]) -> SessionRow:
    return SessionRow(**row._mapping)
