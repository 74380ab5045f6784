"""``GET /admin/presence`` and ``GET /admin/presence/{employee}``: who is there, by page, and one person in full.

Staff see everybody. Anybody else sees oneself and those who share a group or the department, all where presence is
public (presence.md, rule 15); whom a caller may not see is not there, for the list as for the person.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from acl_service.admin.access import Caller
from acl_service.admin.query import BadParameter, Query
from acl_service.errors import Overloaded
from acl_service.memory import Memory
from directory import attendance, presence
from directory.attendance import MOST, STATUSES, Attendance, Viewer, Wanted
from directory.database import Database
from directory.errors import NotFound, Unavailable
from directory.ids import is_id
from directory.instants import iso, iso_or_none
from directory.presence import DeviceRow, HistoryRow

STAFF: Final = frozenset(("admin", "ops", "security"))
"""Who looks after the place: the roles that see everybody, and addresses of clients."""

PAGE: Final = 100
"""Rows of a page when the caller does not say how many."""

Handler = Callable[[Any, Request, Caller], Awaitable[Response]]


def answered(handler: Handler) -> Handler:
    """Answer 400 for what the caller got wrong, and 503 while the database does not answer."""

    @wraps(handler)
    async def answer(self: Any, request: Request, caller: Caller) -> Response:
        try:
            return await handler(self, request, caller)
        except BadParameter as error:
            return JSONResponse({"error": str(error), "field": error.field}, status_code=400)
        except (Unavailable, Overloaded):
            return unavailable()

    return answer


def unavailable() -> Response:
    """The answer while the database does not give one."""
    return JSONResponse(
        {"error": "the database does not answer: try again"}, status_code=503, headers={"retry-after": "2"}
    )


async def viewer_of(caller: Caller, memory: Memory) -> Viewer | None:
    """What a caller may see; None: everything.

    Raises:
        acl_service.errors.Overloaded: the policy changes faster than it is read.
        directory.errors.DirectoryError: the database did not answer.
    """
    if caller.role in STAFF:
        return None
    policy = await memory.active_policy()
    return Viewer(employee_id=caller.employee_id, public=policy.presence_public)


def shown(one: Attendance) -> dict[str, Any]:
    """A person's standing as the API writes it."""
    return {
        "employee_id": one.employee_id,
        "name": one.name,
        "status": one.status,
        "devices": one.devices,
        "since": iso_or_none(one.since_at),
        "last_seen": iso_or_none(one.last_seen_at),
    }


class PresencePages:
    """The two routes.

    Args:
        database: the directory.
        memory: knows the policy.
    """

    def __init__(self, database: Database, memory: Memory) -> None:
        self._database = database
        self._memory = memory

    @answered
    async def people(self, request: Request, caller: Caller) -> Response:
        """List people by employee id: ``department``, ``group``, ``status``, ``after``, ``limit``."""
        query = Query(request, ("department", "group", "status", "after", "limit"))
        wanted = Wanted(
            department_id=query.id("department"),
            group_id=query.id("group"),
            status=query.choice("status", STATUSES),
        )
        after = query.id("after") or ""
        limit = query.number("limit", least=1, most=MOST) or PAGE
        viewer = await viewer_of(caller, self._memory)
        async with self._database.snapshot() as connection:
            if viewer is None:
                await _check(connection, wanted)
            found = await attendance.page(connection, wanted, viewer=viewer, after=after, limit=limit)
        return JSONResponse(
            {
                "people": [shown(one) for one in found],
                "after": found[-1].employee_id if len(found) == limit else None,
            },
            headers={"cache-control": "no-store"},
        )

    @answered
    async def person(self, request: Request, caller: Caller) -> Response:
        """One person: the standing, the devices that are known, and a page of history (``before``, ``limit``)."""
        query = Query(request, ("before", "limit"))
        before = query.number("before", least=1)
        limit = query.number("limit", least=1, most=MOST) or PAGE
        employee_id = request.path_params["employee"]
        viewer = await viewer_of(caller, self._memory)
        async with self._database.snapshot() as connection:
            # What has not the form of an id is nobody, and no value for a database.
            one = is_id(employee_id) and await attendance.one(connection, employee_id, viewer=viewer)
            if not one:
                return JSONResponse({"error": "there is nobody of that id whom you may see"}, status_code=404)
            devices = await attendance.devices(connection, employee_id)
            history = await presence.history_of(connection, employee_id, before=before, limit=limit)
        peers = viewer is None
        return JSONResponse(
            {
                **shown(one),
                "known_devices": [device_data(each, peers=peers) for each in devices],
                "history": [transition_data(each, peers=peers) for each in history],
                "before": history[-1].history_id if len(history) == limit else None,
            },
            headers={"cache-control": "no-store"},
        )


async def _check(connection: AsyncConnection, wanted: Wanted) -> None:
    """Tell staff of a slip of the pen; to others a group that there is not is one that they are not in."""
    for field, only in (
        ("department", Wanted(department_id=wanted.department_id)),
        ("group", Wanted(group_id=wanted.group_id)),
    ):
        try:
            await attendance.check(connection, only)
        except NotFound as error:
            raise BadParameter(field, str(error)) from error


def device_data(row: DeviceRow, *, peers: bool) -> dict[str, Any]:
    """A device as the API writes it; its address is for those who look after the place (`peers`)."""
    known = {
        "client_id": row.client_id,
        "online": row.online,
        "since": iso(row.since_at),
        "last_seen": iso(row.last_seen_at),
        "node": row.node,
        "reason": row.reason,
    }
    return known | {"peer": row.peer} if peers else known


def transition_data(row: HistoryRow, *, peers: bool) -> dict[str, Any]:
    """A transition as the API writes it; with the address of the device if `peers`."""
    known = {
        "at": iso(row.happened_at),
        "kind": row.kind,
        "client_id": row.client_id,
        "node": row.node,
        "reason": row.reason,
    }
    return known | {"peer": row.peer} if peers else known
