"""Every action × allowed, forbidden, malformed, not found, duplicate: at the laptop broker and, MQTT 5, mosquitto."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import func, select

import gateway.actions  # noqa: F401 - registers them
from directory import schema, sessions
from directory.database import Database
from directory.sessions import SessionRow
from gateway.router import ROUTER
from tests.acceptance.enforcement.company import token_of
from tests.acceptance.enforcement.conftest import database_of
from tests.acceptance.gateway.field import ANSWER_S, Answer, Field, FieldClient, field_clients
from tests.acceptance.gateway.plain import at_mosquitto
from tests.acceptance.gateway.scene import ADMIN, scene
from tests.acceptance.gateway.walk import ACTIONS, CLIENTS, OUTSIDER, OWNER, Ask, Row, found
from tests.acl_service.serving import now_ms
from tests.emqx.waiting import until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]

STRANGER = "x0"
"""Whose client has no session at mosquitto, which asks nobody; others let it not even in."""


@dataclass(slots=True)
class World:
    """A gateway at one broker, with clients that are connected.

    Attributes:
        clients: By their ids, which are those of their people.
        stranger: One without a session, where a broker lets it in.
    """

    database: Database
    clients: dict[str, FieldClient]
    stranger: FieldClient | None = None

    async def asks(self, ask: Ask, action: str, **more: Any) -> Answer:
        """Have somebody ask for an action."""
        who, params = ask
        return await self.clients[who].asks(action, **params, **more)

    async def proof(self, action: str, params: Any) -> dict[str, Any]:
        """What a sensitive action of the administrator needs beside its parameters."""
        (target,) = params.values()
        answer = await self.clients[ADMIN].asks(
            "auth.challenge", for_action=action, target=target, password=token_of(ADMIN)
        )
        return {name: answer.data[name] for name in ("challenge_id", "token")}

    async def rows(self, client_id: str) -> tuple[int, int]:
        """How many requests of a client are stored, and how many are audited."""
        async with self.database.read() as connection:
            stored, audited = [
                await connection.scalar(
                    select(func.count()).select_from(table).where(table.c.client_id == client_id)
                )
                for table in (schema.request, schema.audit_log)
            ]
        return stored or 0, audited or 0


async def _connected(field: Field, names: tuple[str, ...]) -> dict[str, FieldClient]:
    clients = {name: field.client(name, token_of(name), name) for name in names}
    for client in clients.values():
        assert await client.come()
    return clients


@pytest.fixture(scope="module", params=["laptop", pytest.param("mosquitto", marks=pytest.mark.mosquitto)])
def broker(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def stage_url(
    request: pytest.FixtureRequest, broker: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """A database of its own for each broker, in whatever order they come."""
    yield from database_of(request, tmp_path_factory)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(
    request: pytest.FixtureRequest, broker: str, stage_url: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[World]:
    database = Database.open(stage_url)
    folder = tmp_path_factory.mktemp("walk")
    async with AsyncExitStack() as stack:
        stack.push_async_callback(database.close)
        if broker == "laptop":
            running = await stack.enter_async_context(scene(folder, database, stage_url, company=2))
            await found(database)
            field = stack.enter_context(field_clients(running.stage.mqtt_port))
            here = World(database, await _connected(field, CLIENTS))
        else:
            port = request.getfixturevalue("mosquitto_port")
            plain = await stack.enter_async_context(at_mosquitto(folder, database, stage_url, port, [ADMIN]))
            await found(database)
            async with database.write() as connection:
                rows = [
                    SessionRow(client_id=name, employee_id=name, grants_version=1, updated_at=now_ms())
                    for name in CLIENTS
                ]
                await sessions.store(connection, rows)
            # Nobody enforces anything here.
            await plain.gateway(gateway_protocol="5", revocation_wait=0)
            field = stack.enter_context(field_clients(port))
            clients = await _connected(field, (*CLIENTS, STRANGER))
            here = World(database, clients, clients.pop(STRANGER))
        await here.clients[OWNER].follows(f"mchat/inbox/{OWNER}", "mchat/group/g-kept", "mchat/system/notify")
        yield here


async def test_the_walk_leaves_out_no_action_and_no_cell_that_there_is() -> None:
    assert set(ACTIONS) == set(ROUTER.names())
    for name, row in ACTIONS.items():
        action = ROUTER.names()[name]
        assert (row.forbidden is None) == (action.permission.words == "anyone"), name
        # What an action is about can be missing; a group that one is not in looks like one that there is not.
        named = set(row.allowed[1]) - {"member_ids"}
        found_by_id = {one for one in named if one.endswith("_id")} - {"employee_id"}
        if found_by_id and action.kind == "reading":
            assert row.missing is not None, name


@pytest.mark.parametrize("action", ACTIONS)
async def test_every_action_at_every_broker(world: World, action: str) -> None:
    row = ACTIONS[action]
    await _refused(world, action, row)
    who, params = row.allowed
    proof = await world.proof(action, params) if row.sensitive else {}
    payload = json.dumps({"action": action, **params, **proof}).encode()
    client = world.clients[who]
    done = await client.sends(payload, f"walk_{action}")
    assert (done.code, done.message) == (0, "ok"), f"allowed: {done}"
    assert set(done.data) - {"next_cursor"} == set(row.keys.split()), "allowed"
    if row.hears is not None:
        (told,) = await _told(world, row, 1)
        names = {"msg_id", "notify_id"} & set(done.data)
        assert all(told[name] == done.data[name] for name in names), "heard under the name of the answer"
    await _repeated(world, action, row, payload, done)


async def _refused(world: World, action: str, row: Row) -> None:
    who, _ = row.allowed
    if row.malformed is not None:
        params, field = row.malformed
        answer = await world.clients[who].asks(action, **params)
        assert (answer.code, answer.data.get("field")) == (400, field), f"malformed: {answer}"
        assert field in answer.message
    if row.forbidden is not None:
        before = await world.rows(row.forbidden[0])
        answer = await world.asks(row.forbidden, action)
        assert answer.code == 403, f"forbidden: {answer}"
        assert "challenge_required" not in answer.data, "the rule, not the missing challenge, forbids it"
        stored, audited = await world.rows(row.forbidden[0])
        once = int(ROUTER.names()[action].kind == "mutating")
        assert (stored, audited) == (before[0] + once, before[1] + once), "forbidden: stored and audited once"
    if row.missing is not None:
        proof = await world.proof(action, row.missing[1]) if row.sensitive else {}
        answer = await world.asks(row.missing, action, **proof)
        assert answer.code == 404, f"not found: {answer}"
        if action.startswith("group."):
            hidden = await world.clients[OUTSIDER].asks(action, **row.missing[1])
            assert hidden.code == 403, f"not found, for who is not in it: {hidden}"
    if world.stranger is not None:
        answer = await world.stranger.asks(action, **row.allowed[1])
        assert answer.code == 401, f"without a session: {answer}"


async def _repeated(world: World, action: str, row: Row, payload: bytes, done: Answer) -> None:
    client, kind = world.clients[row.allowed[0]], ROUTER.names()[action].kind
    before = await world.rows(client.client_id)
    again = await client.sends(payload, f"walk_{action}")
    if action == "auth.challenge":
        assert again.code == 0 and again.data["token"] != done.data["token"], "duplicate: another one"
        return
    assert await world.rows(client.client_id) == before, "duplicate: done once, or nothing stored"
    if kind == "relay":
        assert again.data.get("msg_id") == done.data.get("msg_id"), "duplicate: the same message"
        first, second = await _told(world, row, 2)
        assert first["msg_id"] == second["msg_id"]
    elif kind == "reading":
        assert (again.code, set(again.data)) == (0, set(done.data)), "duplicate: read again"
    else:
        secret = ROUTER.names()[action].secret
        expected = {name: value for name, value in done.data.items() if name != "revocation"}
        if secret:
            assert expected["mqtt_connection"].pop("mqtt_password")
            expected["secret_withheld"] = True
        got = {name: value for name, value in again.data.items() if name != "revocation"}
        assert (again.code, got) == (0, expected), "duplicate: the stored answer"
        other = await client.sends(payload.replace(b"{", b"{ ", 1), f"walk_{action}")
        assert other.code == 409, "another request under the same number"
        assert len(_heard(world, row)) == (row.hears is not None), "duplicate: told once"


async def _told(world: World, row: Row, number: int) -> list[dict[str, Any]]:
    """Wait until `OWNER` has heard of it so often."""
    await until(lambda: len(_heard(world, row)) >= number, ANSWER_S)
    return _heard(world, row)


def _heard(world: World, row: Row) -> list[dict[str, Any]]:
    if row.hears is None:
        return []
    topic, said = row.hears
    return [one for one in world.clients[OWNER].told(topic) if said.items() <= one.items()]
