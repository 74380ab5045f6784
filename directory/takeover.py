"""What happens to known client ids when their owner changes (decision 9): refused, or blocked and told."""

from collections.abc import Mapping

from sqlalchemy import ColumnElement, and_, or_, select, union

from directory.changes import Change
from directory.errors import Conflict
from directory.owners import Owner, candidates, owners
from directory.schema import client_acl, client_registration, client_session, employee
from directory.sets import among

_NAMED = 10


async def by_employee(change: Change, employee_id: str, *, force: bool) -> None:
    """Find the client ids that a new employee id takes over, and block them if forced.

    Call it before the row is written, and with the lock on client ids.

    Raises:
        Conflict: There are some, or a registration would be overlapped, and `force` is not set.
    """
    before = await known_owners(change, employee_id, f"{employee_id}_")
    # A longer employee id wins, so its clients stay with it.
    moving = {
        client_id: owner
        for client_id, owner in before.items()
        if not (owner is not None and owner.via == "employee" and len(owner.employee_id) > len(employee_id))
    }
    overlapped = await _overlapped_registrations(change, employee_id)
    if (moving or overlapped) and not force:
        whose = [f"{one} (of {_name(owner)})" for one, owner in sorted(moving.items())]
        whose += [f"the registration {pattern} (of {owner})" for pattern, owner in sorted(overlapped.items())]
        more = f" and {len(whose) - _NAMED} more" if len(whose) > _NAMED else ""
        raise Conflict(
            f"employee id {employee_id!r} would take over {', '.join(whose[:_NAMED])}{more}: "
            "choose another id, or force it, which ends their sessions"
        )
    for client_id in sorted(moving):
        change.block(client_id, _id(moving[client_id]), employee_id)


async def known_owners(change: Change, exact: str, prefix: str | None) -> Mapping[str, Owner | None]:
    """Find the owners of the known client ids that are `exact` or begin with `prefix`.

    Known is what has or had a session or rules in the broker; a registration alone connects nobody.
    """
    found = union(
        *(
            select(column).where(_named(column, exact, prefix))
            for column in (client_session.c.client_id, client_acl.c.client_id)
        )
    )
    return await owners(change.connection, list(await change.connection.scalars(found)))


async def block_moved(change: Change, before: Mapping[str, Owner | None]) -> None:
    """Block those of the client ids whose owner is another now than `before`."""
    after = await owners(change.connection, list(before))
    for client_id in sorted(before):
        if _id(before[client_id]) != _id(after[client_id]):
            change.block(client_id, _id(before[client_id]), _id(after[client_id]))


async def people_within(change: Change, pattern: str, kind: str) -> list[str]:
    """List the employee ids whose client ids a registration would overlap."""
    found = candidates(pattern)
    column = employee.c.employee_id
    condition = among(change.connection, column, set(found.employee_ids))
    if kind == "prefix":
        # A person within the prefix, besides those who own all that the prefix stands for.
        condition = or_(condition, and_(column > pattern, column < _after(pattern)))
    return sorted(await change.connection.scalars(select(column).where(condition)))


def begins_with(column: ColumnElement[str], prefix: str) -> ColumnElement[bool]:
    """Make the condition that `column` begins with `prefix`, ending in `_` or `-`: a range, never LIKE."""
    return and_(column >= prefix, column < _after(prefix))


async def _overlapped_registrations(change: Change, employee_id: str) -> dict[str, str]:
    pattern, kind = client_registration.c.pattern, client_registration.c.kind
    rows = await change.connection.execute(
        select(pattern, client_registration.c.employee_id).where(
            or_(
                _named(pattern, employee_id, f"{employee_id}_"),
                and_(
                    kind == "prefix",
                    among(change.connection, pattern, set(candidates(employee_id).prefixes)),
                ),
            )
        )
    )
    return {row.pattern: row.employee_id for row in rows}


def _named(column: ColumnElement[str], exact: str, prefix: str | None) -> ColumnElement[bool]:
    return column == exact if prefix is None else or_(column == exact, begins_with(column, prefix))


def _after(prefix: str) -> str:
    # The first text after all that begin so: the last character is `_` or `-`, and bytes are compared.
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)


def _id(owner: Owner | None) -> str | None:
    return None if owner is None else owner.employee_id


def _name(owner: Owner | None) -> str:
    return "nobody" if owner is None else owner.employee_id
