"""Gateways at mosquitto, which speaks MQTT 5 and asks nobody: who is connected stands in the database beforehand."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from directory import sessions
from directory.database import Database
from directory.sessions import SessionRow
from tests.acceptance.enforcement.company import Company
from tests.acceptance.gateway.process import Gateway, serving_gateway
from tests.acceptance.gateway.scene import add_admins
from tests.acl_service.serving import now_ms
from tests.emqx.mqtt import Clients, clients_of


@dataclass(slots=True)
class Plain:
    """Gateways and clients at one mosquitto.

    Attributes:
        port: Of the broker.
        clients: Makes clients of it.
        gateways: Those that run.
    """

    database: Database
    url: str
    port: int
    folder: Path
    clients: Clients
    stack: AsyncExitStack
    gateways: list[Gateway] = field(default_factory=list)

    async def gateway(self, **settings: Any) -> Gateway:
        """Run one more, under a name of its own."""
        instance = str(len(self.gateways) + 1)
        serving = serving_gateway(self.folder, self.url, self.port, gateway_instance=instance, **settings)
        self.gateways.append(await self.stack.enter_async_context(serving))
        return self.gateways[-1]


@asynccontextmanager
async def at_mosquitto(
    folder: Path, database: Database, url: str, port: int, admins: Sequence[str], company: int = 2
) -> AsyncIterator[Plain]:
    """Found a company whose administrators are connected, each with its own name as client id.

    Args:
        folder: Of the processes.
        database: Empty and migrated.
        url: Of the same database.
        port: Of a mosquitto.
        admins: Administrators.
        company: Other people.
    """
    await Company(company).found(database)
    await add_admins(database, *admins)
    rows = [
        SessionRow(client_id=name, employee_id=name, grants_version=1, updated_at=now_ms(), online=True)
        for name in admins
    ]
    async with database.write() as connection:
        await sessions.store(connection, rows)
    async with AsyncExitStack() as stack:
        clients = stack.enter_context(clients_of(port))
        yield Plain(database, url, port, folder, clients, stack)
