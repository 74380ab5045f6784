"""Exceptions from the policy: rows with an author, a reason and an end."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

from sqlalchemy import Row, delete, insert, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from directory.changes import Change, Subject
from directory.errors import InvalidValue, NotFound
from directory.ids import check_client_id, check_id, check_text
from directory.schema import acl_rule, department, employee, group
from directory.schema.people import ROLES
from directory.schema.rights import ACTIONS, EFFECTS, RULE_SUBJECTS

RuleSubject = Literal["client", "employee", "group", "department", "role", "everyone"]

MAX_PRIORITY: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class RuleRow:
    """An exception.

    Attributes:
        rule_id: Its number; later ones are larger.
        subject_kind: What it is on.
        subject_id: On which one; empty for `everyone`.
        effect: `allow` or `deny`.
        action: `publish`, `subscribe` or `all`.
        filter: The topic filter, as the policy writes it; placeholders are allowed.
        qos: The only qualities of service that it speaks of; None = any.
        retain: What it says of retained publishes; None = nothing.
        priority: The highest wins (decision 4).
        zone: The only zone of listeners that it speaks of; None = any.
        reason: Why it is there.
        author: Who made it.
        valid_from_at: From when it holds, milliseconds since the epoch; None = since ever.
        valid_until_at: From when it does not hold any more; None = for ever.
        created_at: When it was made.
    """

    rule_id: int
    subject_kind: RuleSubject
    subject_id: str
    effect: Literal["allow", "deny"]
    action: Literal["publish", "subscribe", "all"]
    filter: str
    qos: frozenset[int] | None
    retain: bool | None
    priority: int
    zone: str | None
    reason: str
    author: str
    valid_from_at: int | None
    valid_until_at: int | None
    created_at: int


RULE_COLUMNS: Final = tuple(acl_rule.c)


def rule_row(row: Row[Any]) -> RuleRow:
    """Make a `RuleRow` of a row that holds at least `RULE_COLUMNS`."""
    values = {column.name: row._mapping[column] for column in RULE_COLUMNS}
    qos = values.pop("qos")
    return RuleRow(**values, qos=None if qos is None else frozenset(int(one) for one in qos.split(",")))


async def add(
    change: Change,
    *,
    subject_kind: str,
    subject_id: str = "",
    effect: str,
    action: str,
    filter: str,  # noqa: A002 - the word of MQTT
    reason: str,
    qos: Collection[int] | None = None,
    retain: bool | None = None,
    priority: int = 0,
    zone: str | None = None,
    valid_from_at: int | None = None,
    valid_until_at: int | None = None,
) -> int:
    """Add an exception and return its number.

    Whether the filter is one of MQTT is for the policy to say, before it comes here.

    Raises:
        InvalidValue: A value that no rule has, or an end that is not in the future.
        NotFound: The person, group or department does not exist.
    """
    _check_words(subject_kind, effect, action)
    await _check_subject(change.connection, subject_kind, subject_id)
    check_text("filter", filter, 65_535)
    check_text("reason", reason, 1_000)
    if zone is not None:
        check_id("zone", zone)
    if qos is not None and (not qos or not set(qos) <= {0, 1, 2}):
        raise InvalidValue(f"qos {sorted(qos)} is not allowed: some of 0, 1, 2, or none at all for any")
    if abs(priority) > MAX_PRIORITY:
        raise InvalidValue(f"priority {priority} is not allowed: at most {MAX_PRIORITY} either way")
    if valid_until_at is not None and valid_until_at <= max(change.now_ms, valid_from_at or 0):
        raise InvalidValue(f"the end {valid_until_at} is not after now and the beginning: choose a later one")
    added = await change.connection.execute(
        insert(acl_rule)
        .values(
            subject_kind=subject_kind,
            subject_id=subject_id,
            effect=effect,
            action=action,
            filter=filter,
            qos=None if qos is None else ",".join(str(one) for one in sorted(set(qos))),
            retain=retain,
            priority=priority,
            zone=zone,
            reason=reason,
            author=change.author,
            valid_from_at=valid_from_at,
            valid_until_at=valid_until_at,
            created_at=change.now_ms,
        )
        .returning(acl_rule.c.rule_id)
    )
    rule_id: int = added.scalar_one()
    _tell(change, "rule_added", rule_id, subject_kind, subject_id)
    return rule_id


async def remove(change: Change, rule_id: int) -> RuleRow:
    """Remove an exception and return what it was.

    Raises:
        NotFound: There is no such exception.
    """
    removed = await change.connection.execute(
        delete(acl_rule).where(acl_rule.c.rule_id == rule_id).returning(*RULE_COLUMNS)
    )
    row = removed.one_or_none()
    if row is None:
        raise NotFound(f"rule {rule_id} does not exist: see the list of rules")
    _tell(change, "rule_removed", rule_id, row.subject_kind, row.subject_id)
    return rule_row(row)


async def remove_of(change: Change, subject_kind: RuleSubject, subject_id: str) -> int:
    """Remove all exceptions of a subject that ceases to exist; returns their number."""
    removed = await change.connection.execute(
        delete(acl_rule)
        .where(acl_rule.c.subject_kind == subject_kind, acl_rule.c.subject_id == subject_id)
        .returning(acl_rule.c.rule_id)
    )
    gone = sorted(removed.scalars())
    for rule_id in gone:
        _tell(change, "rule_removed", rule_id, subject_kind, subject_id)
    return len(gone)


async def get(connection: AsyncConnection, rule_id: int) -> RuleRow:
    """Read an exception.

    Raises:
        NotFound: There is no such exception.
    """
    row = (await connection.execute(select(acl_rule).where(acl_rule.c.rule_id == rule_id))).one_or_none()
    if row is None:
        raise NotFound(f"rule {rule_id} does not exist: see the list of rules")
    return rule_row(row)


async def list_(
    connection: AsyncConnection,
    *,
    subject_kind: str | None = None,
    subject_id: str | None = None,
    after: int = 0,
    limit: int = 500,
) -> Sequence[RuleRow]:
    """List exceptions by number, those after `after` and of the subject if one is named."""
    query = select(acl_rule).where(acl_rule.c.rule_id > after).order_by(acl_rule.c.rule_id).limit(limit)
    if subject_kind is not None:
        query = query.where(acl_rule.c.subject_kind == subject_kind)
    if subject_id is not None:
        query = query.where(acl_rule.c.subject_id == subject_id)
    return [rule_row(row) for row in await connection.execute(query)]


async def about(
    connection: AsyncConnection, subjects: Collection[tuple[RuleSubject, str]]
) -> tuple[RuleRow, ...]:
    """List the exceptions on any of some subjects, by rule id; those whose time is over or to come too.

    Args:
        connection: To read with.
        subjects: Kinds and ids, known or not; at most a few hundred.
    """
    if not subjects:
        return ()
    named = tuple_(acl_rule.c.subject_kind, acl_rule.c.subject_id)
    rows = await connection.execute(
        select(*RULE_COLUMNS).where(named.in_(sorted(subjects))).order_by(acl_rule.c.rule_id)
    )
    return tuple(rule_row(row) for row in rows)


async def mentions(connection: AsyncConnection, text: str) -> bool:
    """Tell whether any exception's filter has a text in it, such as a placeholder."""
    found = await connection.scalar(
        select(acl_rule.c.rule_id).where(acl_rule.c.filter.contains(text, autoescape=True)).limit(1)
    )
    return found is not None


def _check_words(subject_kind: str, effect: str, action: str) -> None:
    for word, value, allowed in (
        ("subject", subject_kind, RULE_SUBJECTS),
        ("effect", effect, EFFECTS),
        ("action", action, ACTIONS),
    ):
        if value not in allowed:
            raise InvalidValue(f"{word} {value!r} is not allowed: use one of {', '.join(allowed)}")


async def _check_subject(connection: AsyncConnection, kind: str, subject_id: str) -> None:
    tables = {
        "employee": employee.c.employee_id,
        "group": group.c.group_id,
        "department": department.c.department_id,
    }
    if kind == "everyone" and subject_id:
        raise InvalidValue(f"a rule on everyone is on nobody else: leave {subject_id!r} out")
    if kind == "client":
        check_client_id(subject_id)
    if kind == "role" and subject_id not in ROLES:
        raise InvalidValue(f"role {subject_id!r} is not allowed: use one of {', '.join(ROLES)}")
    column = tables.get(kind)
    if column is not None and await connection.scalar(select(column).where(column == subject_id)) is None:
        raise NotFound(f"{kind} {subject_id!r} does not exist: a rule on nobody would do nothing")


def _tell(change: Change, kind: str, rule_id: int, subject_kind: str, subject_id: str) -> None:
    change.touch(Subject(cast(RuleSubject, subject_kind), subject_id))
    ids = leave_work(change, kind, rule_id, subject_kind, subject_id)
    change.audit(f"rule.{kind.removeprefix('rule_')}", str(rule_id), ids)


def leave_work(change: Change, kind: str, rule_id: int, subject_kind: str, subject_id: str) -> dict[str, Any]:
    """Leave work about an exception for the enforcer, in order with all about the same subject; returns its payload.

    For this package: `endings` leaves it too, when an exception begins or ends by itself.
    """
    ids = {"rule_id": rule_id, "subject_kind": subject_kind, "subject_id": subject_id}
    change.enqueue("enforcer", kind, f"{subject_kind}:{subject_id}"[:256], ids)
    return ids
