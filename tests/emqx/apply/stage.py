"""A laptop broker in the state of a fresh EMQX, MChat's stand-in behind, and what a stranger may do there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from starlette.responses import Response

from emqx.api.broker import BrokerApi
from emqx.apply.present import Present, read
from emqx.desired.broker import Desired
from emqx.laptop.server import LaptopBroker
from tests.contract.recordings import lines
from tests.emqx.api.conftest import KEY, api_settings
from tests.emqx.api.conftest import SECRET as API_SECRET
from tests.emqx.conftest import laptop_settings
from tests.emqx.desired.wishes import SECRET, wish
from tests.emqx.mchat import Body, FakeMChat, allow, deny, serving
from tests.emqx.mqtt import Clients, clients_of
from tests.postgres import free_port

STRANGER, KNOWN = "stranger", "alice"
FORBIDDEN, GRANTED = "mchat/inbox/bob", "mchat/inbox/alice"


def authn(body: Body) -> Response:
    """Alice is let in, with what says so; everybody else is refused."""
    attributes = {"employee_id": KNOWN, "grants_version": "1", "credential_id": "1", "zone": "default"}
    return allow(client_attrs=attributes) if body["username"] == KNOWN else deny()


def authz(body: Body) -> Response:
    """Alice may have her inbox; who did not come in by MChat may have nothing."""
    return allow() if body.get("employee_id") == KNOWN and body["topic"] == GRANTED else deny()


@dataclass(frozen=True)
class Stage:
    """The broker, its REST API, MQTT clients, and MChat's stand-in."""

    broker: LaptopBroker
    api: BrokerApi
    clients: Clients
    mchat: FakeMChat
    wanted: Desired

    async def present(self) -> Present:
        return await read(self.api)

    async def freedom(self) -> Freedom:
        """What a stranger and a person of MChat's get now, tried with real clients."""
        return Freedom(
            await self._may(STRANGER), await self._may(KNOWN, FORBIDDEN), await self._may(KNOWN, GRANTED)
        )

    async def _may(self, username: str, topic: str = FORBIDDEN) -> int:
        client = self.clients.make(username=username)
        if await client.connect() != 0:
            return OUTSIDE
        granted = await client.subscribe(topic)
        client.stop()
        return POWERLESS if granted == [0x80] else FREE


OUTSIDE, POWERLESS, FREE = 0, 1, 2
"""Refused at the door; let in, but refused the subscription; let in and granted it."""


@dataclass(frozen=True)
class Freedom:
    """How far they get: `OUTSIDE`, `POWERLESS` or `FREE`.

    Attributes:
        stranger: whom MChat refuses.
        trespass: somebody known, with a topic that MChat refuses.
        right: somebody known, with a topic of his own.
    """

    stranger: int
    trespass: int
    right: int

    def no_more_than(self, before: Freedom) -> bool:
        """Whether nobody gets what MChat would refuse and the broker refused before."""
        return self.stranger <= before.stranger and self.trespass <= max(before.trespass, POWERLESS)


CLOSED = Freedom(stranger=OUTSIDE, trespass=POWERLESS, right=FREE)
"""As it shall be."""


@asynccontextmanager
async def staged(*, fresh: bool = True, **values: object) -> AsyncIterator[Stage]:
    """A stage; `fresh` = in the recorded state of an EMQX that nobody configured: open."""
    async with serving(FakeMChat(authn=authn, authz=authz)) as mchat:
        settings = laptop_settings(
            mchat.url, api_bind="127.0.0.1:0", api_key=KEY, api_secret=API_SECRET, hook_secret=SECRET
        )
        async with LaptopBroker(settings) as broker:
            api = BrokerApi(api_settings(f"http://127.0.0.1:{broker.api_port}"))
            wanted = wish(mchat.url, **{"gateway_bind": f"127.0.0.1:{free_port()}", **values})  # type: ignore[arg-type]
            with clients_of(broker.tcp_port) as clients:
                stage = Stage(broker, api, clients, mchat, wanted)
                if fresh:
                    await empty(api)
                try:
                    yield stage
                finally:
                    await api.close()


async def empty(api: BrokerApi) -> None:
    """Bring the laptop broker, which starts as MChat sets EMQX up, to where a fresh EMQX was recorded."""
    async for rule in api.rules.every():
        await api.rules.delete(rule.id)
    await api.actions.delete("http:mchat_events")
    await api.connectors.delete("http:mchat")
    for source in await api.authorization.all():
        await api.authorization.delete(source.type)
    recorded = {line["request"]["path"]: line["response"]["body"] for line in lines("rest2.jsonl")[:23]}
    await api.authorization.put_settings(recorded["/api/v5/authorization/settings"])
    rules = _without_loopback(recorded["/api/v5/authorization/sources/file"])
    await api.authorization.create(rules)
    await api.authentication.delete("password_based:http")


def _without_loopback(source: dict[str, object]) -> dict[str, object]:
    # It allows everything to clients of the broker's own machine, which ours all are; allow-all comes last anyway.
    kept = [line for line in str(source["rules"]).splitlines() if "127.0.0.1" not in line]
    return source | {"rules": "\n".join(kept)}
