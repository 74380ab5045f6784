"""What all rows share: two deployments on one database, the laptop broker before one of them, and who watches."""

import itertools
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from directory.database import Database
from emqx.laptop.server import LaptopBroker
from tests.acceptance.bypass import issuer
from tests.acceptance.bypass.company import CHAT_ZONE, founded, token_of
from tests.acceptance.bypass.watcher import Watcher
from tests.acl_service.serving import HOOK_SECRET, Served, serving
from tests.emqx import raw
from tests.emqx.conftest import UntouchedSettings
from tests.emqx.raw import RawClient, RawClients

CERTIFICATE_ZONE = "mtls"
SERVICE = "mchat"
"""The service id of the named deployment: the word that every topic begins with anyway."""


@dataclass(slots=True)
class Stage:
    """Running servers, and people who are connected to them.

    Attributes:
        database: of both deployments.
        plain: without a service id; asked by the broker.
        named: with one.
        broker: the laptop broker.
        listeners: make raw clients of it: `plain`; `chat`, of the zone behind a mountpoint; `stray`, with a
            mountpoint that the policy does not state.
        watchers: subscribed to whatever a stranger's message must not reach, and to what it may.
        fence: publishes what every watcher gets.
    """

    database: Database
    plain: Served
    named: Served
    broker: LaptopBroker
    listeners: Mapping[str, RawClients]
    watchers: list[Watcher]
    fence: RawClient
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    def payload(self, kind: str) -> bytes:
        """A payload that no other message has."""
        return f"<{kind} {next(self._numbers)}>".encode()

    async def arrived(self, payload: bytes) -> bool:
        """Whether a message that was published before reached a watcher.

        What is published later comes later: the message has come, if at all, when the fence has.
        """
        fence = self.payload("fence")
        for topic in ("mchat/status/ben", "mchat/msg/req/ben_fence/1"):
            assert await self.fence.ask(raw.publish(topic, fence, 1)) == raw.puback(1)
        for watcher in self.watchers:
            await watcher.gets(fence)
        return any(watcher.got(payload) for watcher in self.watchers)


@asynccontextmanager
async def staged(database: Database, folder: Path) -> AsyncIterator[Stage]:
    """Found the company and start the servers."""
    await founded(database)
    public_key = folder / "issuer.pem"
    public_key.write_bytes(issuer.PUBLIC_PEM)
    accepted = {"jwt_issuer": issuer.ISSUER, "jwt_audience": issuer.AUDIENCE}
    async with AsyncExitStack() as stack:
        keys = await stack.enter_async_context(issuer.publishing())
        plain = await stack.enter_async_context(
            serving(
                database,
                jwt_secret=issuer.SECRET,
                jwt_public_key_file=public_key,
                admin_token_key=issuer.ADMIN_KEY,
                certificate_zones=CERTIFICATE_ZONE,
                lockout_peer=10_000,
                **accepted,
            )
        )
        named = await stack.enter_async_context(
            serving(database, service=SERVICE, jwt_jwks_url=keys, **accepted)
        )
        settings = UntouchedSettings(
            tcp_bind="127.0.0.1:0",
            ws_bind="127.0.0.1:0",
            hooks_url=str(plain.hooks.base_url),
            hook_secret=HOOK_SECRET,
            authn_timeout=30,
            authz_timeout=30,
            listeners=(
                {"bind": "127.0.0.1:0", "zone": CHAT_ZONE, "mountpoint": "u/${username}/"},
                {"bind": "127.0.0.1:0", "mountpoint": "u/ben/"},
            ),
        )
        broker = await stack.enter_async_context(LaptopBroker(settings))
        ports = (broker.ports[0], *broker.ports[2:])
        listeners = {
            name: RawClients(port) for name, port in zip(("plain", "chat", "stray"), ports, strict=True)
        }
        for made in listeners.values():
            stack.push_async_callback(made.stop)
        clients = listeners["plain"]
        watchers = [
            await Watcher.of(
                clients,
                "ben_watch",
                "ben",
                *("mchat/inbox/ben", "mchat/profile/ben", "mchat/group/team", "mchat/msg/resp/ben_watch/+"),
                *("mchat/system/notify", "mchat/org/tree", "mchat/agent/capability/+"),
                *("mchat/status/amy", "mchat/status/ben"),
            ),
            await Watcher.of(clients, "gate_1", "gate", "mchat/msg/req/+/+"),
            await Watcher.of(clients, "root_1", "root", "mchat/status/+"),
        ]
        for watcher in watchers:
            stack.push_async_callback(watcher.stop)
        fence = await clients.connected("ben_fence", username="ben", password=token_of("ben"))
        yield Stage(database, plain, named, broker, listeners, watchers, fence)
