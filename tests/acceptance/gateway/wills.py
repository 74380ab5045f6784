"""Wills on the request topics of people who are disabled: published by the very kick that ends their rights."""

import asyncio
import json
from collections import Counter
from dataclasses import dataclass, field

from sqlalchemy import func, select

from directory import people, schema
from directory.database import Database
from tests.acceptance.gateway.field import ANSWER_S
from tests.acceptance.gateway.scene import Scene
from tests.acl_service.serving import now_ms
from tests.emqx.waiting import until

AT_ONCE = 20
"""People who are disabled by one transaction, as an administrator of all of them might do."""

GROUP = "side0"


def attacker(number: int) -> str:
    return f"mallory{number}"


def will_of(number: int, name: str) -> bytes:
    """What the dying connection asks for: a person of its own, or that it is let into a group."""
    if number % 2:
        return json.dumps({"action": "employee.create", "name": name, "role": "admin"}).encode()
    asked = {"action": "group.member_add", "group_id": GROUP, "member_ids": [attacker(number)]}
    return json.dumps(asked).encode()


@dataclass(slots=True)
class Wills:
    """What became of them.

    Attributes:
        published: Wills of people who had been disabled.
        codes: How the gateway answered those that reached it.
        effects: What they changed; there must be none.
    """

    published: int = 0
    codes: Counter[int] = field(default_factory=Counter)
    effects: list[str] = field(default_factory=list)


async def effects(database: Database) -> list[str]:
    """What wills have changed."""
    made = select(schema.employee.c.name).where(schema.employee.c.name.like("by a will %"))
    members = select(schema.group_member.c.employee_id).where(
        schema.group_member.c.group_id == GROUP, schema.group_member.c.employee_id.like("mallory%")
    )
    async with database.read() as connection:
        return [str(row[0]) for query in (made, members) for row in await connection.execute(query)]


async def employees(database: Database) -> int:
    async with database.read() as connection:
        found = await connection.execute(select(func.count()).select_from(schema.employee))
        return int(found.scalar_one())


async def set_status(database: Database, status: str) -> None:
    async with database.change("test", now_ms()) as change:
        for number in range(AT_ONCE):
            await people.set_status(change, attacker(number), status)


async def wills_of_the_disabled(running: Scene, rounds: int) -> Wills:
    """Have people come with a will, disable them all, and see what the gateway makes of it; so many times."""
    found = Wills()
    before = await employees(running.database)
    for turn in range(rounds):
        clients = []
        for number in range(AT_ONCE):
            name = f"{attacker(number)}_node_{turn}"
            topic = f"mchat/msg/req/{name}/will"
            will = (topic, will_of(number, f"by a will {turn}"), 1, False)
            clients.append(running.client(attacker(number), name, will=will, clean_session=True))
        assert all(await asyncio.gather(*(client.come() for client in clients)))
        # The gateway knows them, as active administrators: that is what it must not act upon.
        greeted = await asyncio.gather(*(client.asks("auth.bind") for client in clients))
        assert {answer.code for answer in greeted} == {0}
        await set_status(running.database, "disabled")
        for client in clients:
            await until(lambda client=client: client.mqtt.closed > 0, ANSWER_S)  # type: ignore[misc]
        found.published += len(clients)
        # A will goes to the gateway, for what a session may ask is in the broker; it comes some time after the kick.
        for client in clients:
            await until(lambda client=client: answered(running, client.client_id), ANSWER_S)  # type: ignore[misc]
            found.codes.update(answered(running, client.client_id))
            client.mqtt.stop()
        await set_status(running.database, "active")
    found.effects = await effects(running.database)
    if (after := await employees(running.database)) != before:
        found.effects.append(f"{after - before} more people")
    return found


def answered(running: Scene, client_id: str) -> list[int]:
    """How the gateway answered the will of a client."""
    return [code for seq_id, code in running.gateway.codes(client_id) if seq_id == "will"]


async def will_of_the_active(running: Scene, number: int) -> int:
    """The twin: the will of somebody whose connection is cut while it has its rights; returns its code."""
    name = f"{attacker(number)}_node_twin"
    will = (f"mchat/msg/req/{name}/will", will_of(number, f"by a will {number}"), 1, False)
    client = running.client(attacker(number), name, will=will, clean_session=True)
    assert await client.come()
    assert (await client.asks("auth.bind")).code == 0
    client.mqtt.cut()
    await until(lambda: answered(running, name), ANSWER_S)
    (code,) = answered(running, name)
    return code
