"""Rights that begin and end by themselves: nobody changes a row at that moment, so this leaves the work for it.

What began or ended in the time since the last look is found by the columns themselves, and how far that look went is
a watermark, whose lock lets one process at a time look. No feed version is allotted: who decides reads these times
(`RuleRow`, `CredentialRow.usable`), so that no memory has to be dropped; only what the broker still has is to be
taken back.

An exception that ends before its own transaction is committed is never found here, and need not be: the work that
`rules.add` leaves is done after that commit, with the rights of that later moment.
"""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, Subquery, func, literal, select, union_all, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from directory import credentials, rules
from directory.changes import Change
from directory.schema import acl_rule, credential, watermark

STEP: Final = 1_000
"""Beginnings and endings of a kind that one call leaves work for; a moment that many share is not divided."""

SKEW_MS: Final = 2_000
"""By how much clocks of processes may differ, milliseconds, before what is over is gone through again."""

_RULES: Final = "rule_endings"
_CREDENTIALS: Final = "credential_endings"


async def pass_time(change: Change, now_ms: int) -> int:
    """Leave work for the enforcer for what began or ended by itself up to now; returns the pieces left.

    Each is left once, whoever calls and however often, and those of one subject in the order of their times:
    `rule_began` and `rule_ended` like `rule_added`, `credential_expired` like `credential_revoked`. After a long
    pause it goes through the time in steps: call it again while it returns `STEP` or more.

    Looks from a time that is more than `SKEW_MS` ahead of now came from a clock that was wrong: what they left was
    left too early, and will be left again when it is due. Work is repeatable; an end that is missed is not.

    The first call looks at all exceptions that ever ended, since hooks without a worker may have allowed
    subscriptions that still stand. Of credentials it looks at none: the broker itself ends each session at the time
    that its connect was answered with (`expire_at`).

    Args:
        change: The transaction; nothing is touched, so no version is allotted.
        now_ms: The time, milliseconds since the epoch.
    """
    connection = change.connection
    left = await _pass_rules(change, await _since(connection, _RULES, now_ms, first=0), now_ms)
    since = await _since(connection, _CREDENTIALS, now_ms, first=now_ms)
    return left + await _pass_credentials(change, since, now_ms)


async def next_ending(connection: AsyncConnection, after_ms: int) -> int | None:
    """Read the first moment after `after_ms` at which something begins or ends by itself; None if there is none."""
    begins, ends, expires = acl_rule.c.valid_from_at, acl_rule.c.valid_until_at, credential.c.expires_at
    firsts = union_all(
        select(func.min(begins).label("at")).where(begins > after_ms),
        select(func.min(ends)).where(ends > after_ms),
        select(func.min(expires)).where(expires > after_ms, credential.c.revoked_at.is_(None)),
    ).subquery()
    moment: int | None = await connection.scalar(select(func.min(firsts.c.at)))
    return moment


async def _pass_rules(change: Change, since: int, now_ms: int) -> int:
    columns = (acl_rule.c.rule_id, acl_rule.c.subject_kind, acl_rule.c.subject_id)
    began, ended = acl_rule.c.valid_from_at, acl_rule.c.valid_until_at
    moments = union_all(
        select(began.label("at"), literal("rule_began").label("kind"), *columns).where(began > since),
        select(ended, literal("rule_ended"), *columns).where(ended > since),
    ).subquery()
    rows = await _passed(change.connection, _RULES, moments, moments.c.rule_id, now_ms)
    for row in rows:
        rules.leave_work(change, row.kind, row.rule_id, row.subject_kind, row.subject_id)
    return len(rows)


async def _pass_credentials(change: Change, since: int, now_ms: int) -> int:
    moments = (
        select(credential.c.expires_at.label("at"), credential.c.employee_id, credential.c.credential_id)
        .where(credential.c.expires_at > since, credential.c.revoked_at.is_(None))
        .subquery()
    )
    rows = await _passed(change.connection, _CREDENTIALS, moments, moments.c.credential_id, now_ms)
    for row in rows:
        credentials.leave_work(change, "credential_expired", row.employee_id, row.credential_id)
    return len(rows)


async def _since(connection: AsyncConnection, name: str, now_ms: int, *, first: int) -> int:
    """Read a watermark, `first` if there is none yet, and hold it to the end of the transaction."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    await connection.execute(
        dialect.insert(watermark).values(name=name, value=first).on_conflict_do_nothing()
    )
    held = select(watermark.c.value).where(watermark.c.name == name).with_for_update()
    value = int((await connection.execute(held)).scalar_one())
    if value <= now_ms + SKEW_MS:
        return value
    await connection.execute(update(watermark).where(watermark.c.name == name).values(value=now_ms))
    return now_ms


async def _passed(
    connection: AsyncConnection, name: str, moments: Subquery, number: ColumnElement[Any], now_ms: int
) -> Sequence[Row[*tuple[Any, ...]]]:
    """Read the first moments up to now, in order, and move the watermark behind them."""
    up_to_now = select(moments.c.at).where(moments.c.at <= now_ms)
    last = await connection.scalar(up_to_now.order_by(moments.c.at).limit(1).offset(STEP - 1))
    until = now_ms if last is None else last
    found = await connection.execute(
        select(moments).where(moments.c.at <= until).order_by(moments.c.at, number)
    )
    await connection.execute(
        update(watermark).where(watermark.c.name == name, watermark.c.value < until).values(value=until)
    )
    return found.all()
