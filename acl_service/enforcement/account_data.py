"""An account of a client (`account`) in words and as JSON: the same for `mchat acl show` and the admin API."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from acl_service.enforcement.account import Account, Difference
from acl_service.policy.connect import ConnectRule
from acl_service.policy.pushed import LeftOut
from emqx.api.built_in_rules import BuiltInRule


def words(rule: BuiltInRule | ConnectRule) -> str:
    """One rule for a reader, in the words of `mchat explain`."""
    conditions = []
    if rule.qos not in (None, (0, 1, 2)):
        conditions.append(f"qos {', '.join(map(str, rule.qos or ()))}")
    if isinstance(rule.retain, bool):
        conditions.append("retained only" if rule.retain else "not retained")
    return ", ".join((f"{rule.permission} {rule.action} {rule.topic}", *conditions))


def as_data(account: Account) -> dict[str, Any]:
    """An account as JSON can hold it; times are milliseconds since the epoch."""
    given, session, client = account.given, account.session, account.asker.client
    return {
        "client_id": client.client_id,
        "employee_id": None if client.owner is None else client.owner.employee_id,
        "refusal": None if client.refusal is None else client.refusal.reason,
        "zone": account.zone,
        "broker": {
            "answered": not account.unanswered,
            "reason": account.unanswered or account.unsupported,
            "rules": msgspec.to_builtins(account.actual),
        },
        "session": None
        if session is None
        else {
            "employee_id": session.employee_id,
            "connected": session.connected,
            "version": session.version,
            "told": account.told,
            "outcome": account.judged.outcome,
            "refusal": None if account.judged.refusal is None else account.judged.refusal.reason,
        },
        "connect_rules": msgspec.to_builtins(account.connect_rules),
        "given": None
        if given is None
        else {
            "rules": msgspec.to_builtins(given.rules),
            "left_out": _left(given.left_out),
            "version": given.version,
            "written_at": given.written_at or None,
            "stale": given.stale,
            "claimed_by": given.claimed_by,
            "claimed_until": given.claimed_until,
        },
        "unpushed": account.unpushed,
        "wanted": {"rules": msgspec.to_builtins(account.wanted), "left_out": _left(account.left_out)},
        "same": None if account.actual is None else not account.drift,
        "drift": _named(account.drift),
        "overdue": _named(account.overdue),
        "leftover": account.leftover,
    }


def _left(left_out: Sequence[LeftOut]) -> list[dict[str, str]]:
    return [{"topic": one.topic, "reason": one.reason} for one in left_out]


def _named(found: Sequence[Difference]) -> list[dict[str, Any]]:
    return [{"kind": one.kind, "rule": msgspec.to_builtins(one.rule)} for one in found]
