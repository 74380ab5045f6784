"""Who did what."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from msgspec import Meta, Struct, json

from directory import audit
from directory.audit import AuditRow
from directory.instants import iso
from directory.instants import read as read_instant
from gateway.caller import Caller
from gateway.parameters import Cursor, Id, Limit, bad
from gateway.permissions import AUDITORS
from gateway.reads import Reads
from gateway.router import action

_MAX_BYTES: Final = 400 * 1024
"""Bytes of JSON on a page, about."""

_NUMBER: Final = re.compile(r"[0-9]{1,18}", re.ASCII)

Moment = Annotated[str, Meta(max_length=40)]


class Query(Struct, kw_only=True, rename={"from_": "from"}):
    """Parameters of audit.query.

    Attributes:
        from_: Only what was done from this moment on: ISO 8601 with its zone.
        to: Only what was done before this moment.
        operator: Only what this person, or process, did.
        for_action: Only entries of this action (`action` names this one).
        limit: How many at most.
        cursor: Where to go on: `next_cursor` of the answer before.
    """

    from_: Moment | None = None
    to: Moment | None = None
    operator: Id | None = None
    for_action: Annotated[str, Meta(max_length=64)] | None = None
    limit: Limit = 500
    cursor: Cursor | None = None


@action("audit.query", AUDITORS, kind="reading")
async def query(caller: Caller, params: Query, reads: Reads) -> dict[str, Any]:
    """Show who did what, the newest first.

    Returns:
        entries[{audit_id, created_at, operator, client_id, action, target, code, trace_id, detail}]; next_cursor
        while there are more.
    """
    if params.cursor is not None and _NUMBER.fullmatch(params.cursor) is None:
        raise bad("cursor", "is none: send next_cursor of the answer before")
    async with reads.means.database.read() as connection:
        found = await audit.list_(
            connection,
            from_ms=_moment("from", params.from_),
            until_ms=_moment("to", params.to),
            author=params.operator,
            action=params.for_action,
            before=None if params.cursor is None else int(params.cursor),
            limit=params.limit + 1,
        )
    entries, size = list[dict[str, Any]](), 0
    for row in found[: params.limit]:
        entry = _shown(row)
        size += len(json.encode(entry)) + 1
        if entries and size > _MAX_BYTES:
            break
        entries.append(entry)
    more = {"next_cursor": str(entries[-1]["audit_id"])} if len(found) > len(entries) else {}
    return {"entries": entries} | more


def _moment(field: str, text: str | None) -> int | None:
    if text is None:
        return None
    at_ms = read_instant(text)
    if at_ms is None:
        raise bad(field, "is no moment: send ISO 8601 with its zone, like 2026-01-31T08:00:00.000Z")
    return at_ms


def _shown(row: AuditRow) -> dict[str, Any]:
    detail = dict(row.detail)
    trace_id = detail.pop("trace_id", None)
    return {
        "audit_id": row.audit_id,
        "created_at": iso(row.created_at),
        "operator": row.author,
        "client_id": row.client_id,
        "action": row.action,
        "target": row.target,
        "code": row.code,
        "trace_id": trace_id,
        "detail": detail,
    }
