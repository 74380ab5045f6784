"""The admin API's route table: each route with the roles that may use it. A test walks it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from acl_service.admin.access import ANYBODY, PUBLIC, Access, Caller, Guard
from acl_service.verdict import Refusal

PublicHandler = Callable[[Request], Awaitable[Response]]
Handler = Callable[[Request, Caller], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class AdminRoute:
    """One route: a public one has a ``PublicHandler``, any other gets its caller."""

    method: str
    path: str
    access: Access
    handler: Handler | PublicHandler


async def me(request: Request, caller: Caller) -> Response:
    """Who the token belongs to, with the role and groups of this moment."""
    person = caller.person
    return JSONResponse(
        {
            "employee_id": person.employee_id,
            "role": person.role,
            "groups": sorted(person.groups),
            "departments": sorted(person.departments),
        }
    )


@dataclass(frozen=True, slots=True)
class PresenceHandlers:
    """Who answers about presence; each looks by itself at whom its caller may see (presence.md, rule 15)."""

    people: Handler
    person: Handler
    stream: Handler


def admin_routes(
    log_in: PublicHandler,
    live: PublicHandler,
    ready: PublicHandler,
    metrics: PublicHandler,
    presence: PresenceHandlers,
) -> list[AdminRoute]:
    """Every route of the admin listener; of two that fit, the first answers."""
    return [
        AdminRoute("GET", "/health/live", PUBLIC, live),
        AdminRoute("GET", "/health/ready", PUBLIC, ready),
        AdminRoute("GET", "/metrics", PUBLIC, metrics),
        AdminRoute("POST", "/admin/login", PUBLIC, log_in),
        AdminRoute("GET", "/admin/me", ANYBODY, me),
        AdminRoute("GET", "/admin/presence", ANYBODY, presence.people),
        AdminRoute("GET", "/admin/presence/stream", ANYBODY, presence.stream),
        AdminRoute("GET", "/admin/presence/{employee}", ANYBODY, presence.person),
    ]


def mounted(routes: list[AdminRoute], guard: Guard) -> list[Route]:
    """The table as Starlette routes, each behind its guard."""
    return [
        Route(route.path, _guarded(route, guard), methods=[route.method], name=f"{route.method} {route.path}")
        for route in routes
    ]


def _guarded(route: AdminRoute, guard: Guard) -> PublicHandler:
    handler = route.handler

    async def public(request: Request) -> Response:
        return await handler(request)  # type: ignore[call-arg]

    async def guarded(request: Request) -> Response:
        caller = await guard.caller(request.headers.get("authorization"))
        if isinstance(caller, Refusal):
            return JSONResponse(
                {"error": caller.reason}, status_code=401, headers={"www-authenticate": "Bearer"}
            )
        if caller.role not in route.access.roles:
            roles = ", ".join(sorted(route.access.roles))
            return JSONResponse(
                {"error": f"role {caller.role} may not: needs one of {roles}"}, status_code=403
            )
        return await handler(request, caller)  # type: ignore[call-arg]

    return public if route.access.public else guarded
