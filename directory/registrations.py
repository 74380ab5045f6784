"""Client ids that belong to somebody by registration: devices and shared accounts (decision 9)."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Row, delete, false, insert, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from directory import takeover
from directory.changes import Change, Subject
from directory.errors import Conflict, InvalidId, InvalidValue, NotFound
from directory.ids import MAX_ID_LENGTH, check_client_id
from directory.owners import PREFIX_ENDS, candidates
from directory.schema import client_registration, employee
from directory.schema.rights import REGISTRATION_KINDS
from directory.sets import among

RegistrationKind = Literal["exact", "prefix"]


@dataclass(frozen=True, slots=True)
class Registration:
    """A registration.

    Attributes:
        pattern: A client id, or what client ids begin with.
        kind: `exact` or `prefix`.
        employee_id: Whose they are.
        author: Who registered it.
        created_at: Milliseconds since the epoch.
    """

    pattern: str
    kind: RegistrationKind
    employee_id: str
    author: str
    created_at: int


async def add(change: Change, pattern: str, kind: str, employee_id: str) -> None:
    """Register a client id, or all that begin with a prefix, for a person.

    Registrations of one person may overlap each other. Overlapping anybody's own client ids is refused,
    the same person's too: it would never take effect, since employee ids win.

    Raises:
        InvalidValue: The pattern or the kind is not allowed; a prefix ends in `_` or `-` and has at most
            64 characters.
        NotFound: There is no such person.
        Conflict: It exists, the person is deleted, or it overlaps a person's ids or another's registration.
    """
    _check_pattern(pattern, kind)
    await change.lock("client_ids")
    status = await change.connection.scalar(
        select(employee.c.status).where(employee.c.employee_id == employee_id)
    )
    if status is None:
        raise NotFound(f"employee {employee_id!r} does not exist: add the person first")
    if status == "deleted":
        raise Conflict(f"employee {employee_id!r} is deleted: nothing is registered for it")
    people = await takeover.people_within(change, pattern, kind)
    if people:
        raise Conflict(
            f"{kind} {pattern!r} overlaps the client ids of {', '.join(people[:10])}: choose another pattern"
        )
    for other in await _overlapping(change, pattern, kind):
        if other.pattern == pattern:
            raise Conflict(f"{pattern!r} is registered for {other.employee_id!r}: remove that first")
        if other.employee_id != employee_id:
            raise Conflict(
                f"{kind} {pattern!r} overlaps {other.kind} {other.pattern!r} of {other.employee_id!r}: "
                "choose another pattern, or remove that first"
            )
    before = await takeover.known_owners(change, pattern, pattern if kind == "prefix" else None)
    await change.connection.execute(
        insert(client_registration).values(
            pattern=pattern,
            kind=kind,
            employee_id=employee_id,
            author=change.author,
            created_at=change.now_ms,
        )
    )
    await takeover.block_moved(change, before)
    _tell(change, "registration_added", pattern, kind, employee_id)


async def remove(change: Change, pattern: str) -> Registration:
    """Remove a registration and return what it was; its known client ids are blocked till they are ended.

    Raises:
        NotFound: There is no such registration.
    """
    await change.lock("client_ids")
    found = await get(change.connection, pattern)
    before = await takeover.known_owners(change, pattern, pattern if found.kind == "prefix" else None)
    await change.connection.execute(
        delete(client_registration).where(client_registration.c.pattern == pattern)
    )
    await takeover.block_moved(change, before)
    _tell(change, "registration_removed", pattern, found.kind, found.employee_id)
    return found


async def get(connection: AsyncConnection, pattern: str) -> Registration:
    """Read a registration.

    Raises:
        NotFound: There is no such registration.
    """
    found = await connection.execute(
        select(client_registration).where(client_registration.c.pattern == pattern)
    )
    row = found.one_or_none()
    if row is None:
        raise NotFound(f"{pattern!r} is not registered: see the list of registrations")
    return _registration(row)


async def list_(
    connection: AsyncConnection, *, employee_id: str | None = None, after: str = "", limit: int = 500
) -> Sequence[Registration]:
    """List registrations by pattern: those after `after`, of one person if one is named."""
    query = (
        select(client_registration)
        .where(client_registration.c.pattern > after)
        .order_by(client_registration.c.pattern)
        .limit(limit)
    )
    if employee_id is not None:
        query = query.where(client_registration.c.employee_id == employee_id)
    return [_registration(row) for row in await connection.execute(query)]


async def of_employees(connection: AsyncConnection, employee_ids: Collection[str]) -> Sequence[Registration]:
    """List the registrations of many people, in one query, by pattern."""
    rows = await connection.execute(
        select(client_registration)
        .where(among(connection, client_registration.c.employee_id, employee_ids))
        .order_by(client_registration.c.pattern)
    )
    return [_registration(row) for row in rows]


def _registration(row: Row[*tuple[Any, ...]]) -> Registration:
    return Registration(**row._mapping)


def _check_pattern(pattern: str, kind: str) -> None:
    if kind not in REGISTRATION_KINDS:
        raise InvalidValue(f"kind {kind!r} is not allowed: use one of {', '.join(REGISTRATION_KINDS)}")
    check_client_id(pattern)
    if kind == "prefix" and (not pattern.endswith(PREFIX_ENDS) or len(pattern) < 2):
        raise InvalidId(f"prefix {pattern[:80]!r} is not allowed: at least two characters, the last _ or -")
    if kind == "prefix" and len(pattern) > MAX_ID_LENGTH:
        raise InvalidId(
            f"prefix {pattern[:80]!r} has {len(pattern)} characters, more than {MAX_ID_LENGTH}: choose a "
            "shorter one, or register the client ids themselves"
        )


async def _overlapping(change: Change, pattern: str, kind: str) -> list[Registration]:
    column = client_registration.c.pattern
    # Wider prefixes than this pattern, and the pattern itself, whatever its kind.
    above = {pattern, *candidates(pattern).prefixes}
    wider = among(change.connection, column, above) & or_(
        client_registration.c.kind == "prefix", column == pattern
    )
    narrower = takeover.begins_with(column, pattern) if kind == "prefix" else false()
    rows = await change.connection.execute(
        select(client_registration).where(or_(wider, narrower)).order_by(column)
    )
    return [_registration(row) for row in rows]


def _tell(change: Change, what: str, pattern: str, kind: str, employee_id: str) -> None:
    change.touch(Subject("owner", pattern))
    if kind == "exact":
        change.touch(Subject("client", pattern))
    ids = {"pattern": pattern, "kind": kind, "employee_id": employee_id}
    change.enqueue("enforcer", what, pattern, ids)
    change.audit(what.replace("_", "."), pattern, ids)
