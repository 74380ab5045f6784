"""What the broker was given as the dynamic ACL of each client id, and who may give it more.

A row serialises what is written for one client id: `claim` it, tell the broker, say so with `written`. Its version
only rises, so that older rights never replace newer ones here; a writer that lost its claim, in `written`'s answer,
may have told the broker something older and marks the row stale. Nothing here gives anybody rights: all of it runs
in `Database.write()`.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, and_, bindparam, case, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from directory.schema import client_acl
from directory.sets import among


@dataclass(frozen=True, slots=True)
class ClientAcl:
    """A client id and what the broker has for it.

    Attributes:
        client_id: The client id.
        employee_id: Whose rights they are.
        rules: The rules as JSON text, as they were written.
        left_out: What was left out and why, as JSON text.
        version: The feed version of the grants that they were made of; 0 = none yet.
        written_at: When the broker took these rules, milliseconds since the epoch, however often they were found
            to be right since; 0 = never.
        stale: Whether the broker may have something else.
        claimed_by: Who writes at present; None = nobody.
        claimed_until: Until when, milliseconds since the epoch.
    """

    client_id: str
    employee_id: str
    rules: str
    left_out: str
    version: int
    written_at: int
    stale: bool
    claimed_by: str | None
    claimed_until: int | None


@dataclass(frozen=True, slots=True)
class Claim:
    """The wish to write a client id's rules.

    Attributes:
        client_id: The client id.
        employee_id: Whose rights they will be; kept only if the row is new, else `written` says it.
        version: The feed version of the grants that they are made of.
    """

    client_id: str
    employee_id: str
    version: int


@dataclass(frozen=True, slots=True)
class Written:
    """What the broker took for a client id; the attributes are those of `ClientAcl`."""

    client_id: str
    employee_id: str
    version: int
    rules: str
    left_out: str


async def claim(
    connection: AsyncConnection, claims: Collection[Claim], *, holder: str, now_ms: int, hold_ms: int
) -> set[str]:
    """Take client ids to write their rules, and return those that were granted.

    Granted is what nobody else holds and what has no rules of a newer version. Rows that are not there are made,
    with version 0: they are known client ids from then on (decision 9).

    Args:
        connection: From `Database.write()`.
        claims: At most one a client id.
        holder: Who takes them, one name a process.
        now_ms: The time, milliseconds since the epoch.
        hold_ms: For how long.
    """
    if not claims:
        return set()
    wanted = {one.client_id: one for one in claims}
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    await connection.execute(
        dialect.insert(client_acl).on_conflict_do_nothing(index_elements=[client_acl.c.client_id]),
        [
            {"client_id": one, "employee_id": wanted[one].employee_id, "version": 0, "written_at": 0}
            for one in sorted(wanted)
        ],
    )
    granted = {
        row.client_id
        for row in await _locked(connection, wanted)
        if row.version <= wanted[row.client_id].version
        and (row.claimed_by in (None, holder) or (row.claimed_until or 0) <= now_ms)
    }
    if granted:
        await connection.execute(
            update(client_acl)
            .where(among(connection, client_acl.c.client_id, granted))
            .values(claimed_by=holder, claimed_until=now_ms + hold_ms)
        )
    return granted


async def written(
    connection: AsyncConnection, rows: Collection[Written], *, holder: str, now_ms: int
) -> set[str]:
    """Note what the broker took, release the claims, and return the client ids that `holder` still had.

    The others were lost to another writer, which may have told the broker something newer before: mark them
    stale, and do not write again.

    Args:
        connection: From `Database.write()`.
        rows: At most one a client id.
        holder: Who claimed them.
        now_ms: The time, milliseconds since the epoch.
    """
    taken = {one.client_id: one for one in rows}
    kept = [
        row.client_id
        for row in await _locked(connection, taken)
        if row.claimed_by == holder and row.version <= taken[row.client_id].version
    ]
    unchanged = and_(
        client_acl.c.rules == bindparam("given"), client_acl.c.stale.is_(False), client_acl.c.written_at > 0
    )
    if kept:
        await connection.execute(
            update(client_acl)
            .where(client_acl.c.client_id == bindparam("id"))
            .values(
                employee_id=bindparam("of"),
                version=bindparam("at"),
                rules=bindparam("given"),
                left_out=bindparam("without"),
                written_at=case((unchanged, client_acl.c.written_at), else_=now_ms),
                stale=False,
                claimed_by=None,
                claimed_until=None,
            ),
            [
                {
                    "id": one,
                    "of": taken[one].employee_id,
                    "at": taken[one].version,
                    "given": taken[one].rules,
                    "without": taken[one].left_out,
                }
                for one in kept
            ],
        )
    return set(kept)


async def release(connection: AsyncConnection, client_ids: Collection[str], *, holder: str) -> None:
    """Give claims back without having written; those that `holder` has not are left alone."""
    mine = [row.client_id for row in await _locked(connection, client_ids) if row.claimed_by == holder]
    if mine:
        await connection.execute(
            update(client_acl)
            .where(among(connection, client_acl.c.client_id, mine))
            .values(claimed_by=None, claimed_until=None)
        )


async def forget(connection: AsyncConnection, client_ids: Collection[str], *, holder: str) -> set[str]:
    """Delete rows whose rules are gone from the broker, and return those that `holder` still had."""
    mine = {row.client_id for row in await _locked(connection, client_ids) if row.claimed_by == holder}
    if mine:
        await connection.execute(delete(client_acl).where(among(connection, client_acl.c.client_id, mine)))
    return mine


async def mark_stale(connection: AsyncConnection, client_ids: Collection[str]) -> None:
    """Note that the broker may have something else than the rows say; the next `written` ends it.

    Claims on them are taken away: who is writing at this moment may have been overtaken, and would say that all is
    well.
    """
    there = [row.client_id for row in await _locked(connection, client_ids)]
    if there:
        await connection.execute(
            update(client_acl)
            .where(among(connection, client_acl.c.client_id, there))
            .values(stale=True, claimed_by=None, claimed_until=None)
        )


async def of_clients(connection: AsyncConnection, client_ids: Collection[str]) -> Mapping[str, ClientAcl]:
    """Read the rows of client ids; unknown ones are left out."""
    rows = await connection.execute(
        select(client_acl).where(among(connection, client_acl.c.client_id, client_ids))
    )
    return {row.client_id: _client_acl(row) for row in rows.all()}


async def of_employees(connection: AsyncConnection, employee_ids: Collection[str]) -> Sequence[ClientAcl]:
    """List the rows of people's client ids, in one query, by client id."""
    rows = await connection.execute(
        select(client_acl)
        .where(among(connection, client_acl.c.employee_id, employee_ids))
        .order_by(client_acl.c.client_id)
    )
    return [_client_acl(row) for row in rows]


async def page(connection: AsyncConnection, after: str = "", limit: int = 500) -> Sequence[ClientAcl]:
    """List rows by client id: those after `after`, at most `limit`."""
    rows = await connection.execute(
        select(client_acl).where(client_acl.c.client_id > after).order_by(client_acl.c.client_id).limit(limit)
    )
    return [_client_acl(row) for row in rows]


async def count(connection: AsyncConnection) -> int:
    """Count the rows."""
    return await connection.scalar(select(func.count()).select_from(client_acl)) or 0


async def _locked(
    connection: AsyncConnection, client_ids: Collection[str]
) -> Sequence[Row[*tuple[Any, ...]]]:
    """Read rows as they are committed and hold them to the end of the transaction.

    In one order everywhere, so that two who want some of the same rows never wait for each other.
    """
    if not client_ids:
        return []
    rows = await connection.execute(
        select(
            client_acl.c.client_id,
            client_acl.c.version,
            client_acl.c.claimed_by,
            client_acl.c.claimed_until,
        )
        .where(among(connection, client_acl.c.client_id, client_ids))
        .order_by(client_acl.c.client_id)
        .with_for_update()
    )
    return rows.all()


def _client_acl(row: Row[*tuple[Any, ...]]) -> ClientAcl:
    return ClientAcl(**row._mapping)
