"""One transaction at a time for each person, so that nobody takes all connections of the database."""

import asyncio
from typing import Any

import pytest

from directory import participants
from directory.database import Database
from gateway.errors import Refused
from gateway.turns import Turns
from tests.gateway.stage import connect, join, staged


async def test_a_name_has_one_turn_at_a_time_in_order_and_others_do_not_wait() -> None:
    turns, had = Turns(), list[int]()

    async def take(number: int) -> None:
        async with turns.of("ann"):
            had.append(number)
            await asyncio.sleep(0)
            assert had[-1] == number

    async with turns.of("ann"):
        tasks = [asyncio.create_task(take(number)) for number in range(5)]
        await asyncio.sleep(0)
        async with turns.of("bob"):
            assert (had, len(turns)) == ([], 2)
    await asyncio.gather(*tasks)
    assert (had, len(turns)) == ([0, 1, 2, 3, 4], 0)


async def test_who_waits_too_long_or_goes_away_leaves_nothing_behind() -> None:
    turns = Turns(0.01)
    async with turns.of("ann"):
        with pytest.raises(Refused) as refused:
            async with turns.of("ann"):
                pytest.fail("not its turn")
        gone = asyncio.create_task(turns.of("ann").__aenter__())
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
    assert (refused.value.code, len(turns)) == (503, 0)
    async with turns.of("ann"):
        assert len(turns) == 1


ASKED: dict[str, dict[str, Any]] = {
    "employee.update": {"employee_id": "ann", "updates": {"name": "A"}},
    "auth.challenge": {"for_action": "employee.update", "target": "ann"},
}


@pytest.mark.parametrize("action", ASKED)
async def test_a_person_with_many_clients_leaves_connections_to_others(
    database: Database, action: str
) -> None:
    clients = [f"ann_{number}" for number in range(15)]
    async with staged(database) as stage:
        await join(database, "ann", "bob")
        await connect(database, **dict.fromkeys(clients, "ann"))
        for client in ("bob", *clients):
            assert (await stage.send(client, "config.server")).code == 0
        async with database.write() as connection:
            await participants.held(connection, "ann")
            asked = [asyncio.create_task(stage.send(one, action, **ASKED[action])) for one in clients]
            async with asyncio.timeout(3):
                for _ in range(50):
                    assert (await stage.send("bob", "employee.get", employee_id="ann")).code == 0
            assert not any(one.done() for one in asked)
        assert {(await one).code for one in asked} == {0}
    assert len(stage.means.turns) == 0
