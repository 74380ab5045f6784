"""The access service on real sockets, for tests: the same parts and listeners that ``mchat serve`` wires."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from pydantic_settings import SettingsConfigDict

from acl_service.policy import profiles
from acl_service.service import AccessService
from acl_service.settings import AccessSettings
from directory import credentials, groups, people, policies
from directory.database import Database
from directory.secret import new_token, token_digest
from mchat.listeners import Listener, bind, serve

HOOK_SECRET = "hook-secret-of-the-tests"
BEARER = {"authorization": f"Bearer {HOOK_SECRET}"}


class UntouchedSettings(AccessSettings):
    """The settings without what the environment of a developer says."""

    model_config = SettingsConfigDict(env_prefix="MCHAT_TEST_ONLY_", env_file=None)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass(slots=True)
class Served:
    """A running service and a client of its hooks."""

    service: AccessService
    hooks: httpx.AsyncClient
    admin: httpx.AsyncClient
    tokens: dict[str, str] = field(default_factory=dict)

    async def authn(
        self,
        client_id: str,
        username: str,
        secret: str,
        *,
        peer: str = "10.0.0.1",
        zone: str = "default",
        **certificate: str,
    ) -> dict[str, Any]:
        """Ask as EMQX 5.8.9 was recorded to ask; ``certificate``: what it says of one, ``cert_…``."""
        body = {
            "zone": zone,
            "username": username,
            "peerhost": peer,
            "password": secret,
            "clientid": client_id,
            "cert_subject": "",
            "cert_common_name": "",
            **certificate,
        }
        return await self.answer("/emqx/authn", body)

    async def authz(
        self,
        client_id: str,
        action: str,
        topic: str,
        *,
        qos: str = "1",
        retain: str = "false",
        **attributes: str,
    ) -> bool:
        """Ask as EMQX 5.8.9 was recorded to ask; ``attributes`` are the session's ``client_attrs``."""
        body = {
            "username": "",
            "topic": topic,
            "retain": retain,
            "qos": qos,
            "proto_name": "mqtt",
            "peerhost": "10.0.0.1",
            "mountpoint": "",
            "clientid": client_id,
            "cert_common_name": "",
            "action": action,
            **attributes,
        }
        answer = await self.answer("/emqx/authz", body)
        assert answer in ({"result": "allow"}, {"result": "deny"})
        return bool(answer["result"] == "allow")

    async def answer(self, path: str, body: Any) -> dict[str, Any]:
        response = await self.hooks.post(path, json=body)
        assert response.status_code == 200, response.text
        assert response.headers["content-type"] == "application/json"
        answer: dict[str, Any] = response.json()
        return answer


@asynccontextmanager
async def serving(database: Database, **settings: Any) -> AsyncIterator[Served]:
    """Hooks and admin API on free ports of 127.0.0.1."""
    feed_stale_s = settings.pop("feed_stale_s", 2.0)
    access = UntouchedSettings(
        # Patient: what is tested is what is decided, on a machine of any load.
        **{"hook_secrets": HOOK_SECRET, "patience": 4.0, **settings}
    )
    async with AsyncExitStack() as stack:
        service = await stack.enter_async_context(
            AccessService.running(database, access, feed_stale_s=feed_stale_s)
        )
        hooks_app = service.hooks()
        sockets = [stack.enter_context(bind("127.0.0.1:0", "TEST")) for _ in range(2)]
        stop = asyncio.Event()
        task = asyncio.create_task(
            serve([Listener(hooks_app, sockets[0]), Listener(service.admin(), sockets[1])], stop)
        )

        async def stopped() -> None:
            stop.set()
            await task

        stack.push_async_callback(stopped)
        urls = [f"http://127.0.0.1:{one.getsockname()[1]}" for one in sockets]
        hooks = await stack.enter_async_context(
            httpx.AsyncClient(base_url=urls[0], headers=BEARER, timeout=60)
        )
        admin = await stack.enter_async_context(httpx.AsyncClient(base_url=urls[1], timeout=10))
        yield Served(service, hooks, admin)


async def activate_profile(database: Database, name: str = "mchat", text: str | None = None) -> int:
    """Make a shipped profile, or a text, the active policy."""
    async with database.change("test", now_ms()) as change:
        version = await policies.add(change, name=name, document=text or profiles.read(name), reason="test")
        await policies.activate(change, version)
    return version


async def add_person(database: Database, employee_id: str, **values: Any) -> str:
    """Add a person and return a token of theirs."""
    token = new_token()
    async with database.change("test", now_ms()) as change:
        await people.add(change, name=employee_id, employee_id=employee_id, **values)
        await credentials.add_token(change, employee_id, token_digest(token))
    return token


async def add_group(database: Database, group_id: str, owner: str, members: Sequence[str] = ()) -> None:
    async with database.change("test", now_ms()) as change:
        await groups.create(
            change, name=group_id, creator=owner, group_id=group_id, member_ids=tuple(members)
        )


async def join(database: Database, group_id: str, employee_id: str) -> int:
    async with database.change("test", now_ms()) as change:
        assert await groups.add_members(change, group_id, [employee_id]) == [employee_id]
    assert change.version is not None
    return change.version


async def leave(database: Database, group_id: str, employee_id: str) -> int:
    async with database.change("test", now_ms()) as change:
        assert await groups.remove_members(change, group_id, [employee_id]) == [employee_id]
    assert change.version is not None
    return change.version


async def until(condition: Callable[[], bool], within_s: float = 5.0) -> None:
    """Wait for a condition, not for a time."""
    ends = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < ends, f"not within {within_s:g} s"
        await asyncio.sleep(0.002)
