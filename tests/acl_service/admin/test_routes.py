"""The admin API: who may use which route, over a real socket."""

import asyncio
import base64
import json
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from acl_service.admin.access import ANYBODY, PUBLIC, Access, Caller, Guard
from acl_service.admin.routes import AdminRoute, PresenceHandlers, admin_routes, mounted
from acl_service.admin.tokens import Bearer, TokenMint
from directory import credentials, people
from directory.database import Database
from directory.schema.people import ROLES
from tests.acl_service.serving import Served, now_ms, serving

OPEN = {"/health/live", "/health/ready", "/metrics", "/admin/login"}


async def page(request: Request) -> Response:
    return Response()


async def known(request: Request, caller: Caller) -> Response:
    return Response()


def test_every_route_names_the_roles_that_it_needs() -> None:
    routes = admin_routes(page, page, page, page, PresenceHandlers(known, known, known))
    assert len(routes) >= 8
    for route in routes:
        assert isinstance(route, AdminRoute)
        assert isinstance(route.access, Access)
        assert route.access.roles <= set(ROLES)
        assert route.access.public == (route.path in OPEN), f"{route.path}: say who may"
    assert PUBLIC.public
    assert not ANYBODY.public


async def log_in(served: Served, username: str, secret: str) -> tuple[int, dict[str, Any]]:
    response = await served.admin.post("/admin/login", json={"username": username, "password": secret})
    return response.status_code, response.json()


async def me(served: Served, token: str | None) -> tuple[int, dict[str, Any]]:
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    response = await served.admin.get("/admin/me", headers=headers)
    return response.status_code, response.json()


async def test_a_person_logs_in_and_is_known_by_the_token(served: Served) -> None:
    status, answer = await log_in(served, "bob", served.tokens["bob"])
    assert status == 200
    assert answer["token_type"] == "bearer"
    assert answer["expires_in"] == 900
    assert await me(served, answer["access_token"]) == (
        200,
        {"employee_id": "bob", "role": "employee", "groups": ["team"], "departments": []},
    )


@pytest.mark.parametrize(
    ("username", "secret"), [("bob", "wrong wrong"), ("nobody", "wrong wrong"), ("", "x"), ("bob", "")]
)
async def test_whatever_is_wrong_looks_the_same(served: Served, username: str, secret: str) -> None:
    status, answer = await log_in(served, username, secret)
    assert (status, answer) == (401, {"error": "user name or secret is wrong"})


async def test_a_body_that_is_none_is_400(served: Served) -> None:
    for content in (b"", b"[]", b'{"username": "bob"}', b'{"username": 1, "password": 2}', b"x" * 10_000):
        assert (await served.admin.post("/admin/login", content=content)).status_code == 400


async def test_a_route_is_closed_without_a_token_of_ours(served: Served) -> None:
    _, answer = await log_in(served, "bob", served.tokens["bob"])
    token = answer["access_token"]
    head, claims, signature = token.split(".")
    none = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').decode().rstrip("=")
    changed = json.loads(base64.urlsafe_b64decode(claims + "=="))
    changed["sub"] = "root"
    forged = base64.urlsafe_b64encode(json.dumps(changed).encode()).decode().rstrip("=")
    mint = TokenMint(b"another key of thirty-two bytes!", lifetime_s=900, now_s=lambda: now_ms() / 1000)
    wrong = [
        None,
        "x.y.z",
        served.tokens["bob"],
        f"{none}.{claims}.",
        f"{head}.{forged}.{signature}",
        mint.issue(Bearer("bob", "cred")),
    ]
    for one in wrong:
        status, _ = await me(served, one)
        assert status == 401, one
    assert (await me(served, token))[0] == 200


async def test_a_token_ends_by_itself(database: Database, company: dict[str, str]) -> None:
    async with serving(database, admin_token_seconds=30) as served:
        _, answer = await log_in(served, "bob", company["bob"])
        assert (await me(served, answer["access_token"]))[0] == 200
        service = served.service
        mint = TokenMint(b"k" * 32, lifetime_s=30, now_s=lambda: 1_000.0)
        late = TokenMint(b"k" * 32, lifetime_s=30, now_s=lambda: 1_030.0)
        token = mint.issue(Bearer("bob", "cred"))
        assert mint.read(token) == Bearer("bob", "cred")
        assert late.read(token) is None
        assert service.settings.admin_token_seconds == 30


async def test_a_token_ends_with_its_credential_and_with_its_person(
    served: Served, database: Database
) -> None:
    tokens = {}
    for name in ("alice", "bob"):
        _, answer = await log_in(served, name, served.tokens[name])
        tokens[name] = answer["access_token"]
    async with database.change("test", now_ms()) as change:
        await people.set_status(change, "alice", "disabled")
        for one in await credentials.list_(change.connection, "bob"):
            await credentials.revoke(change, one.credential_id)
    async with asyncio.timeout(2):
        for name, token in tokens.items():
            while (await me(served, token))[0] != 401:
                await asyncio.sleep(0.01)
            assert (await log_in(served, name, served.tokens[name]))[0] == 401
    assert (await log_in(served, "carol", served.tokens["carol"]))[0] == 200


async def test_a_role_that_may_not_is_403_and_the_role_is_that_of_the_directory(
    served: Served, database: Database
) -> None:
    async def handler(request: Request, caller: Caller) -> Response:
        return JSONResponse({"who": caller.employee_id})

    mint = TokenMint(b"k" * 32, lifetime_s=900, now_s=lambda: now_ms() / 1000)
    service = served.service
    guard = Guard(service.memory, service.freshness, mint, service.now_ms)
    route = AdminRoute("GET", "/x", Access(frozenset({"security"})), handler)
    app = Starlette(routes=mounted([route], guard))
    bob = await service.memory.find("bob")
    assert bob is not None
    headers = {"authorization": f"Bearer {mint.issue(Bearer('bob', next(iter(bob.credentials))))}"}

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
        assert (await client.get("/x", headers=headers)).status_code == 403
        assert (await client.get("/x")).status_code == 401
        async with database.change("test", now_ms()) as change:
            await people.set_role(change, "bob", "security")
        async with asyncio.timeout(2):
            while (await client.get("/x", headers=headers)).status_code != 200:
                await asyncio.sleep(0.01)


async def test_health_and_metrics(served: Served) -> None:
    assert (await served.admin.get("/health/live")).text == "ok\n"
    ready = await served.admin.get("/health/ready")
    assert (ready.status_code, ready.json()) == (
        200,
        {"ready": True, "checks": {"database": "ok", "feed": "ok"}},
    )
    await served.authz("bob_pc", "subscribe", "mchat/inbox/bob")
    await served.authz("bob_pc", "subscribe", "mchat/inbox/alice")
    metrics = (await served.admin.get("/metrics")).text
    assert 'mchat_hook_answers_total{hook="authz",kind="",result="allow"} 1.0' in metrics
    assert 'mchat_hook_answers_total{hook="authz",kind="policy",result="deny"} 1.0' in metrics
    assert "mchat_feed_age_seconds" in metrics


async def test_the_hooks_listener_shows_health_to_all_and_metrics_to_who_has_its_secret(
    served: Served,
) -> None:
    assert (await served.hooks.get("/health/ready")).status_code == 200
    assert (await served.hooks.get("/metrics")).status_code == 200
    assert (await served.hooks.get("/metrics", headers={"authorization": "Bearer x"})).status_code == 401
    assert (await served.hooks.get("/elsewhere")).status_code == 404


async def test_ready_tells_what_is_wrong(served: Served) -> None:
    await served.service.feed.stop()
    ready = await served.admin.get("/health/ready")
    assert ready.status_code == 503
    assert ready.json()["ready"] is False
    assert "change feed" in ready.json()["checks"]["database"]
    assert (await served.admin.get("/health/live")).status_code == 200
