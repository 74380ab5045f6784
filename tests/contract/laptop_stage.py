"""A laptop broker as bare as a fresh EMQX, with its REST API, a service that allows everything, and clients."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from emqx.laptop.server import LaptopBroker
from tests.emqx.api.conftest import KEY, SECRET
from tests.emqx.conftest import laptop_settings
from tests.emqx.mchat import FakeMChat, allow, serving
from tests.emqx.mqtt import Clients, MqttClient, clients_of

_OURS = (
    "/authentication/password_based%3Ahttp",
    "/authorization/sources/http",
    "/authorization/sources/built_in_database",
    "/rules/mchat_events",
    "/rules/mchat_status",
    "/actions/http:mchat_events",
    "/connectors/http:mchat",
)


WITH_ATTRIBUTES = frozenset({"m1", "m2", "m3", "e1-phone", "e2-pc"})


class Stage:
    """Clients of that broker, and the way to its API."""

    def __init__(self, http: httpx.AsyncClient, clients: Clients, mchat: FakeMChat, port: int) -> None:
        self.http = http
        self.mchat = mchat
        self.port = port
        self._clients = clients
        self._made: dict[str, MqttClient] = {}

    async def online(
        self, client_id: str, *filters: str, username: str | None = "e1", keep: bool = False
    ) -> None:
        client = self._clients.make(client_id, clean_session=not keep, username=username, password="ok")
        self._made[client_id] = client
        assert await client.connect() == 0
        if filters:
            assert await client.subscribe(*filters) == [1] * len(filters)

    async def leave(self, client_id: str) -> None:
        self._made[client_id].paho.disconnect()
        await self._gone(client_id)

    async def cut(self, client_id: str) -> None:
        self._made[client_id].cut()
        await self._gone(client_id)

    async def _gone(self, client_id: str) -> None:
        async with asyncio.timeout(10):
            while (await self.http.get(f"/clients/{client_id}")).json().get("connected", False):
                await asyncio.sleep(0.01)


@asynccontextmanager
async def bare_stage() -> AsyncIterator[Stage]:
    attributes = {"employee_id": "e1", "role": "employee"}
    mchat = FakeMChat(
        authn=lambda body: allow(client_attrs=attributes if body["clientid"] in WITH_ATTRIBUTES else {})
    )
    values: dict[str, Any] = {"cache_excludes": (), "api_bind": "127.0.0.1:0", "node": "emqx@127.0.0.1"}
    async with serving(mchat):
        settings = laptop_settings(mchat.url, api_key=KEY, api_secret=SECRET, **values)
        async with LaptopBroker(settings) as broker:
            url = f"http://127.0.0.1:{broker.api_port}/api/v5"
            async with httpx.AsyncClient(
                base_url=url, auth=(KEY, SECRET), trust_env=False, timeout=30
            ) as http:
                for path in _OURS:
                    assert (await http.delete(path)).status_code == 204, path
                beside = {"no_match": "allow", "cache": {}}
                assert (await http.put("/authorization/settings", json=beside)).status_code == 200
                with clients_of(broker.tcp_port) as clients:
                    yield Stage(http, clients, mchat, broker.tcp_port)
