"""What hooks know of sessions: hints, written behind in batches (decision 8: the broker knows the truth)."""

from collections.abc import Collection, Mapping, Sequence
from operator import attrgetter
from typing import Any, Final

from msgspec import Struct, json
from sqlalchemy import Row, Text, bindparam, cast, column, func, select, update
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


class SessionRow(Struct, frozen=True, kw_only=True):
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


_ALL: Final = tuple(column.name for column in client_session.c)


async def store(connection: AsyncConnection, rows: Collection[SessionRow]) -> None:
    """Store what answered connects know; an older row never replaces a newer one.

    Args:
        connection: From `Database.write()`: it gives nobody rights.
        rows: At most one a client id.
    """
    if not rows:
        return
    # In one order everywhere, so that two writers never wait for each other.
    ordered = sorted(rows, key=attrgetter("client_id"))
    # Both ways leave out SQLAlchemy's binding of each column of each row, which costs more than all else that a
    # connect needs: SQLite's driver is given tuples, PostgreSQL takes all rows apart itself.
    if connection.dialect.name == "sqlite":
        await connection.exec_driver_sql(_SQLITE, [_VALUES(row) for row in ordered])
    else:
        await connection.execute(_POSTGRESQL, {"rows": json.encode(ordered).decode()})


def _replacing(adding: Any) -> Any:
    """The INSERT, which updates rows that are there and not newer."""
    return adding.on_conflict_do_update(
        index_elements=[client_session.c.client_id],
        set_={name: adding.excluded[name] for name in _OF_CONNECT},
        where=adding.excluded.updated_at >= client_session.c.updated_at,
    )


def _of_tuples() -> str:
    adding = sqlite.insert(client_session).values({name: bindparam(name) for name in _ALL})
    compiled = _replacing(adding).compile(dialect=sqlite.dialect())
    assert tuple(compiled.positiontup) == _ALL  # noqa: S101 - the order of the columns is the order of the values
    return str(compiled)


def _of_json() -> Any:
    columns = [column(name, client_session.c[name].type) for name in _ALL]
    rows = cast(bindparam("rows", type_=Text), postgresql.JSON)
    given = func.json_to_recordset(rows).table_valued(*columns).render_derived(name="given", with_types=True)
    return _replacing(postgresql.insert(client_session).from_select(_ALL, select(given)))


_VALUES: Final = attrgetter(*_ALL)
_SQLITE: Final = _of_tuples()
_POSTGRESQL: Final = _of_json()


async def describe(connection: AsyncConnection, client_id: str, device_info: str) -> bool:
    """Store what a client says of its device; tells whether its session has a row.

    Args:
        connection: Of any transaction: it gives nobody rights.
        client_id: The client.
        device_info: Its own words, without NUL.
    """
    described = await connection.execute(
        update(client_session).where(client_session.c.client_id == client_id).values(device_info=device_info)
    )
    return described.rowcount == 1


async def of_clients(connection: AsyncConnection, client_ids: Collection[str]) -> Mapping[str, SessionRow]:
    """Read the sessions of client ids; unknown ones are left out."""
    rows = await connection.execute(
        select(client_session).where(among(connection, client_session.c.client_id, client_ids))
    )
    return {row.client_id: _session(row) for row in rows.all()}


async def of_employee(connection: AsyncConnection, employee_id: str) -> Sequence[SessionRow]:
    """List a person's sessions by client id."""
    return await of_employees(connection, [employee_id])


async def of_employees(connection: AsyncConnection, employee_ids: Collection[str]) -> Sequence[SessionRow]:
    """List the sessions of many people, in one query, by client id."""
    rows = await connection.execute(
        select(client_session)
        .where(among(connection, client_session.c.employee_id, employee_ids))
        .order_by(client_session.c.client_id)
    )
    return [_session(row) for row in rows]


def _session(row: Row[*tuple[Any, ...]]) -> SessionRow:
    return SessionRow(**row._mapping)
