"""What is answered 204 is stored: an event sent twice, and a process that is killed."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

from directory import events
from directory.database import Database
from tests.acceptance.lane import Lane, lanes
from tests.acceptance.processes import serving_hooks

LANES = 8
ENOUGH = 200
"""Answered events after which the process is killed, in the middle of the burst."""


def connected(client_id: str, at: int = 1_700_000_000_000) -> dict[str, Any]:
    """An event of a connect, as far as it is read."""
    return {"event": "client.connected", "clientid": client_id, "username": "alice", "connected_at": at}


async def stored(database: Database) -> Counter[str]:
    """How often an event of each client id is in the table."""
    found: Counter[str] = Counter()
    last = 0
    async with database.read() as connection:
        while page := await events.after(connection, last):
            found.update(row.client_id for row in page)
            last = page[-1].event_id
    return found


async def test_an_event_sent_twice_is_answered_twice_and_no_answer_is_an_error(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    async with serving_hooks(tmp_path, database_url) as hooks, lanes(hooks.port, 2) as opened:
        for lane in opened:
            assert await lane.post("/emqx/events", connected("alice_pc")) == (204, b"")
    # Both are rows with the same client id and epoch: the fold makes one transition of them (presence).
    assert await stored(database) == {"alice_pc": 2}
    async with database.read() as connection:
        first, second = await events.after(connection, 0)
    assert (first.epoch, first.kind, first.body) == (second.epoch, second.kind, second.body)


async def test_a_killed_process_has_stored_every_event_that_it_answered(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    answered: list[str] = []
    sent: list[str] = []
    async with serving_hooks(tmp_path, database_url) as hooks, lanes(hooks.port, LANES) as opened:

        async def burst(number: int, lane: Lane) -> None:
            for turn in range(10_000):
                client_id = f"client_{number}_{turn}"
                sent.append(client_id)
                try:
                    status, _ = await lane.post("/emqx/events", connected(client_id))
                except (OSError, EOFError):
                    return
                assert status == 204
                answered.append(client_id)
                if len(answered) == ENOUGH:
                    hooks.process.kill()
            raise AssertionError("the process outlived its kill")

        await asyncio.gather(*(burst(number, lane) for number, lane in enumerate(opened)))
        await hooks.process.wait()
    found = await stored(database)
    print(f"{database.dialect}: {len(sent)} sent, {len(answered)} answered, {len(found)} stored")
    assert len(answered) >= ENOUGH
    assert set(answered) <= set(found)
    assert set(found) <= set(sent)
    assert set(found.values()) == {1}
