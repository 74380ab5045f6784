"""Whose a client id is (decision 9): whoever connects with it inherits the session's subscriptions."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from sqlalchemy import and_, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from directory.ids import MAX_ID_LENGTH, client_id_fault, is_id
from directory.schema import client_registration, employee
from directory.sets import among

PREFIX_ENDS: Final = ("_", "-")
"""What the pattern of a prefix registration ends in."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """What could own a client id, each list from the strongest to the weakest.

    Attributes:
        employee_ids: Employee ids; any that exists wins over every registration.
        exact: The pattern of an exact registration.
        prefixes: The patterns of prefix registrations.
    """

    employee_ids: tuple[str, ...]
    exact: str | None
    prefixes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose a client id is, and by what.

    Attributes:
        employee_id: The owner; may be disabled or deleted, ids are never reused.
        via: By the employee id itself, or by a registration.
        pattern: The employee id, or the pattern of the registration.
    """

    employee_id: str
    via: Literal["employee", "registration"]
    pattern: str


def candidates(client_id: str) -> Candidates:
    """List what could own `client_id`; nothing, if decision 9 does not allow it as a client id.

    Ids and prefixes of at most `MAX_ID_LENGTH` characters are listed, so that a client id made of
    separators costs a bounded look-up.
    """
    if client_id_fault(client_id) is not None:
        return Candidates((), None, ())
    people = [client_id, *(client_id[:end] for end in _ends(client_id[: MAX_ID_LENGTH + 1], "_"))]
    prefixes = tuple(client_id[: end + 1] for end in _ends(client_id[:MAX_ID_LENGTH], *PREFIX_ENDS))
    return Candidates(tuple(one for one in people if is_id(one)), client_id, prefixes)


async def owners(connection: AsyncConnection, client_ids: Collection[str]) -> dict[str, Owner | None]:
    """Find the owners of client ids, in one query a table whatever their number.

    The longest employee id wins, active or not; else an exact registration, else that of the longest
    prefix; else nobody.
    """
    wanted = {client_id: candidates(client_id) for client_id in client_ids}
    employee_ids = {one for found in wanted.values() for one in found.employee_ids}
    exact = {found.exact for found in wanted.values() if found.exact is not None}
    prefixes = {one for found in wanted.values() for one in found.prefixes}
    if not exact:
        return dict.fromkeys(wanted)
    people = set(
        await connection.scalars(
            select(employee.c.employee_id).where(among(connection, employee.c.employee_id, employee_ids))
        )
    )
    pattern, kind = client_registration.c.pattern, client_registration.c.kind
    rows = await connection.execute(
        select(pattern, kind, client_registration.c.employee_id).where(
            or_(
                and_(kind == "exact", among(connection, pattern, exact)),
                and_(kind == "prefix", among(connection, pattern, prefixes)),
            )
        )
    )
    registered = {(row.kind, row.pattern): row.employee_id for row in rows}
    return {client_id: _strongest(found, people, registered) for client_id, found in wanted.items()}


async def owner_of(connection: AsyncConnection, client_id: str) -> Owner | None:
    """Find the owner of one client id."""
    return (await owners(connection, [client_id]))[client_id]


def _ends(text: str, *separators: str) -> Iterator[int]:
    return (at for at in range(len(text) - 1, -1, -1) if text[at] in separators)


def _strongest(
    found: Candidates, people: Collection[str], registered: dict[tuple[str, str], str]
) -> Owner | None:
    for employee_id in found.employee_ids:
        if employee_id in people:
            return Owner(employee_id, "employee", employee_id)
    patterns = [("exact", found.exact or ""), *(("prefix", prefix) for prefix in found.prefixes)]
    for kind, pattern in patterns:
        owner = registered.get((kind, pattern))
        if owner is not None:
            return Owner(owner, "registration", pattern)
    return None
