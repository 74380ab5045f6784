"""Who is there while a gateway runs: the company of the stage, administrators, and their clients."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from directory import credentials, people
from directory.database import Database
from directory.secret import token_digest
from tests.acceptance.enforcement.company import token_of
from tests.acceptance.enforcement.stage import Stage, stage
from tests.acceptance.gateway.field import ATTEMPTS, Field, FieldClient, field_clients
from tests.acceptance.gateway.process import Gateway, serving_gateway
from tests.acl_service.serving import now_ms

ADMIN = "boss"

PATIENCE_S = 4
"""MCHAT_PATIENCE on a busy machine: what is tested is what happens, not how soon."""


@dataclass(slots=True)
class Scene:
    """A stage with a gateway.

    Attributes:
        stage: What runs beside it.
        gateway: The one that answers.
        field: Makes clients.
    """

    stage: Stage
    gateway: Gateway
    field: Field

    @property
    def database(self) -> Database:
        return self.stage.database

    def client(self, person: str, client_id: str | None = None, **options: Any) -> FieldClient:
        """A client of one of the company, not connected."""
        return self.field.client(person, token_of(person), client_id, **options)

    async def come(self, person: str, client_id: str | None = None, **options: Any) -> FieldClient:
        """A client of one of the company, let in."""
        for _ in range(ATTEMPTS):
            client = self.client(person, client_id, **options)
            if await client.come():
                return client
        raise AssertionError(f"{client.client_id} was not let in")


async def add_admins(database: Database, *names: str) -> None:
    """Add administrators, with the tokens of the company."""
    async with database.change("test", now_ms()) as change:
        for name in names:
            await people.add(change, name=name, employee_id=name, role="admin")
            await credentials.add_token(change, name, token_digest(token_of(name)))


@asynccontextmanager
async def scene(
    folder: Path, database: Database, url: str, *, company: int = 22, **settings: Any
) -> AsyncIterator[Scene]:
    """Run everything, with one gateway, on an empty, migrated database.

    Args:
        folder: Of the processes.
        database: Where everybody is founded.
        url: Of the same database.
        company: People in it, beside the administrator.
        settings: Of the gateway.
    """
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(
            stage(folder, database, url, people=company, patience=PATIENCE_S)
        )
        await add_admins(database, ADMIN)
        laptop = {"gateway_protocol": "3.1.1", "emqx_url": running.rest.url, "revocation_wait": 5}
        gateway = await stack.enter_async_context(
            serving_gateway(folder, url, running.mqtt_port, **{**laptop, **settings})
        )
        yield Scene(running, gateway, stack.enter_context(field_clients(running.mqtt_port)))
