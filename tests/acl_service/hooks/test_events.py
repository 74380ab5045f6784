"""What is answered to an event, and what is stored of it (emqx-contract section 4)."""

import asyncio
import json
from typing import Any

import pytest

from acl_service import service as service_module
from directory import events
from directory.database import Database
from directory.errors import Unavailable
from directory.events import EventRow
from tests.acl_service.serving import Served, serving


def connected(**changes: Any) -> dict[str, Any]:
    return {
        "event": "client.connected",
        "clientid": "bob_pc",
        "username": "bob",
        "node": "emqx@127.0.0.1",
        "peername": "127.0.0.1:1234",
        "connected_at": 1_795_250_485_954,
        "client_attrs": {"employee_id": "bob"},
        **changes,
    }


async def send(served: Served, body: Any) -> int:
    return (await served.hooks.post("/emqx/events", content=json.dumps(body).encode())).status_code


async def stored(database: Database) -> list[EventRow]:
    async with database.read() as connection:
        return list(await events.after(connection, 0))


async def test_204_comes_after_the_commit_and_twice_is_two_rows(served: Served, database: Database) -> None:
    for count in (1, 2):
        assert await send(served, connected()) == 204
        rows = await stored(database)
        assert len(rows) == count
    assert (rows[0].client_id, rows[0].employee_id, rows[0].epoch) == ("bob_pc", "bob", 1_795_250_485_954)
    assert json.loads(rows[0].body) == connected()


async def test_a_kind_that_nobody_needs_is_taken_and_forgotten(served: Served, database: Database) -> None:
    assert await send(served, {"event": "client.check_authz_complete", "clientid": "bob_pc"}) == 204
    assert await stored(database) == []


@pytest.mark.parametrize("fault", [Unavailable("away"), RuntimeError("a fault"), TimeoutError()])
async def test_a_passing_fault_is_503_and_nothing_else(
    database: Database, company: dict[str, str], fault: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """EMQX tries again after a 503 and drops the event for good after a 500 (contract fact 17)."""

    async def broken(*_: Any) -> None:
        raise fault

    monkeypatch.setattr(service_module, "_write_events", broken)
    async with serving(database) as served:
        assert await send(served, connected()) == 503
        assert await stored(database) == []


async def test_too_many_at_once_are_503(
    database: Database, company: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = asyncio.Event()

    async def slow(*_: Any) -> None:
        await gate.wait()

    monkeypatch.setattr(service_module, "_write_events", slow)
    async with serving(database) as served:
        monkeypatch.setattr(served.service.events, "_waiting", 3)
        sending = [asyncio.create_task(send(served, connected())) for _ in range(8)]
        done, _ = await asyncio.wait(sending, return_when=asyncio.FIRST_COMPLETED)
        assert {task.result() for task in done} == {503}
        gate.set()
        assert set(await asyncio.gather(*sending)) == {204, 503}


@pytest.mark.parametrize(
    "changes",
    [
        {"clientid": "a\0b"},
        {"clientid": "x" * 60_000},
        {"username": "y" * 60_000},
        {"client_attrs": {"employee_id": "z" * 65}},
        {"peername": "p" * 300, "reason": "r" * 300, "node": "n" * 300},
        {"conn_props": {"User-Property": {"k": "v" * 200_000}}},
        {"topic": "t" * 65_535},
        {"username": None},
        {"username": "undefined", "peername": "undefined"},
    ],
)
async def test_whatever_a_client_is_called_it_cannot_hide(
    served: Served, database: Database, changes: dict[str, Any]
) -> None:
    """EMQX lets strange ids in and puts a CONNECT's user properties into the event: all of it is stored somehow."""
    assert await send(served, connected(**changes)) == 204
    (row,) = await stored(database)
    assert row.epoch == 1_795_250_485_954
    assert len(row.body) <= 65_536


async def test_an_event_that_cannot_be_stored_does_not_fail_its_neighbours(
    served: Served, database: Database
) -> None:
    answers = await asyncio.gather(
        *(send(served, connected(clientid=f"c{number}")) for number in range(20)),
        send(served, connected(connected_at=-1)),
        send(served, connected(connected_at="soon")),
    )
    assert answers == [204] * 20 + [400, 400]
    assert len(await stored(database)) == 20
