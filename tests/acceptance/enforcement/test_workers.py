"""Workers that die, and workers that come late: nothing is lost, nobody else is touched, the newest rules stand."""

import asyncio
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from directory import client_acls
from directory.database import Database
from emqx.api.broker import BrokerApi
from emqx.api.errors import NotFound
from tests.acceptance.enforcement.company import TEAM, TOPIC
from tests.acceptance.enforcement.exchange import Forward, Reply, Request
from tests.acceptance.enforcement.killing import kill_between_commit_and_enforcement
from tests.acceptance.enforcement.removals import pushed
from tests.acceptance.enforcement.stage import stage
from tests.acceptance.enforcement.work import in_force
from tests.acl_service.serving import join, leave
from tests.emqx.waiting import until


async def test_a_worker_killed_between_commit_and_enforcement_loses_nothing_and_touches_nobody_else(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    found = await kill_between_commit_and_enforcement(database, database_url, tmp_path, kills=6)
    print(found.line())
    assert found.wrong == []


@dataclass(slots=True)
class OneHeld:
    """Holds the first PUT of a client's rules that matches, and lets everything else through.

    Attributes:
        client_id: whose rules.
        caught: set when it is in hand.
        released: let it go on.
    """

    client_id: str
    caught: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)
    arrived_s: float = 0.0

    async def __call__(self, request: Request, forward: Forward) -> Reply:
        mine = request.method == "PUT" and unquote(request.path).endswith(f"/rules/clients/{self.client_id}")
        if not mine or self.caught.is_set():
            return await forward()
        self.caught.set()
        await self.released.wait()
        reply = await forward()
        self.arrived_s = time.perf_counter()
        return reply


async def test_rules_that_come_late_from_a_stopped_worker_do_not_stay(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    async with stage(tmp_path, database, database_url, people=4) as running, running.worker() as second:
        await running.gather_the_team()
        await pushed(running, 4)
        first = running.workers[0]
        ear, twin = running.ears[1], running.ears[2]
        # Version N - 1: a side group, which whoever takes it writes; the call is caught on its way.
        held = OneHeld("m1_phone")
        running.rest.meddler = held
        await join(database, running.company.side(0), "m1")
        await asyncio.wait_for(held.caught.wait(), 20)
        late = await _who_holds(database, "m1_phone")
        (slow,) = (worker for worker in (first, second) if worker.process.pid == late)
        slow.process.send_signal(signal.SIGSTOP)
        try:
            # Version N: out of the team. The other worker writes it as soon as the claim has ended.
            await leave(database, TEAM, "m1")
            committed = time.perf_counter()
            await in_force(database, 40)
            print(f"in force {time.perf_counter() - committed:.2f} s after the commit, by the other worker")
            assert TOPIC not in await topics(running.api, "m1_phone")
            held.released.set()
            await until(lambda: held.arrived_s, 10)
            older = TOPIC in await topics(running.api, "m1_phone")
        finally:
            slow.process.send_signal(signal.SIGCONT)
        assert older, "else the call did not come late"
        async with asyncio.timeout(90):
            while TOPIC in await topics(running.api, "m1_phone"):
                await asyncio.sleep(0.01)
        print(f"older rules stood for {time.perf_counter() - held.arrived_s:.3f} s")
        await in_force(database)
        assert TOPIC not in await topics(running.api, "m1_phone")
        assert not await ear.subscribe(TOPIC)
        assert await twin.subscribe(TOPIC)


async def topics(api: BrokerApi, client_id: str) -> list[str]:
    """What the broker's built-in database has under a client id."""
    try:
        return [rule.topic for rule in await api.client_rules.get(client_id)]
    except NotFound:
        return []


async def _who_holds(database: Database, client_id: str) -> int:
    """The process id of the worker that has claimed a client id: it is in the name of the claim."""
    async with database.read() as connection:
        row = (await client_acls.of_clients(connection, [client_id]))[client_id]
    assert row.claimed_by is not None
    return int(row.claimed_by.split(":")[1])
