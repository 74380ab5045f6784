"""A house with people of each kind, and what is known of them."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from directory import credentials, departments, groups, people, schema
from directory.database import Database
from gateway.terms import BrokerAddress
from tests.gateway.stage import TERMS, Stage, join, staged

NOW = "2027-01-15T08:00:00.000Z"
ENDPOINT = "https://agents.example/hook?key=of-the-agent"
PROFILE: dict[str, Any] = {
    "webhook_endpoint": ENDPOINT,
    "capabilities": ["sum", "翻译"],
    "response_timeout": 30,
    "model_type": "m-1",
    "trigger_keywords": ["@sum"],
}
PUBLIC = {name: value for name, value in PROFILE.items() if name != "webhook_endpoint"} | {}
BROKER = BrokerAddress(host="mqtt.example", port=8883, use_tls=True, ws_url="wss://mqtt.example/mqtt")


@pytest.fixture
async def stage(database: Database) -> AsyncIterator[Stage]:
    """Admins root and boss, and zhang and li, who are none; gate is a service; group g of li."""
    await join(database, "root", "boss", role="admin")
    await join(database, "zhang", "li")
    await join(database, "gate", role="service")
    async with database.change("hr", 1_000) as change:
        await departments.add(change, name="R&D", department_id="rd")
        await groups.create(change, name="G", creator="li", group_id="g")
    async with staged(database, terms=replace(TERMS, broker=BROKER, service="acme")) as running:
        yield running


async def person(stage: Stage, employee_id: str) -> people.Person:
    async with stage.database.read() as connection:
        return await people.get(connection, employee_id)


async def usable(stage: Stage, employee_id: str) -> list[str]:
    """The hashes of the credentials with which a person comes in."""
    async with stage.database.read() as connection:
        held = await credentials.list_(connection, employee_id)
    return [one.hash for one in held if one.usable(stage.clock[0])]


async def everything(stage: Stage) -> str:
    """All that is stored, as text, to look for secrets in."""
    async with stage.database.read() as connection:
        rows = [list(await connection.execute(table.select())) for table in schema.metadata.sorted_tables]
    return str(rows)
