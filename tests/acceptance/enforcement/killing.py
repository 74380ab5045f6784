"""A worker that is killed at random points of its work; a few times by `make test`, twenty by `make soak`."""

import asyncio
import json
import random
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

from directory.database import Database
from tests.acceptance.enforcement.company import TEAM, TOPIC
from tests.acceptance.enforcement.exchange import Forward, Reply, Request
from tests.acceptance.enforcement.removals import pushed
from tests.acceptance.enforcement.stage import Stage, stage
from tests.acceptance.enforcement.work import enforced, in_force
from tests.acl_service.serving import leave
from tests.emqx.waiting import until

INNOCENT = 4
"""Members who stay, and whose sessions nobody may touch."""

MOST_CALLS = 10


@dataclass(slots=True)
class Killer:
    """Stands between the worker and the broker, and kills the worker at one of its calls.

    Attributes:
        running: whose worker it is.
        calls: left until then; below 0: it does not kill.
        after: the call still reaches the broker, its answer does not reach the worker.
        points: where it killed.
        touched: client ids whose session a call ended, or whose subscriptions it took.
    """

    running: Stage
    calls: int = -1
    after: bool = False
    points: list[str] = field(default_factory=list)
    touched: set[str] = field(default_factory=set)

    async def __call__(self, request: Request, forward: Forward) -> Reply:
        self._note(request)
        self.calls -= 1
        if self.calls != 0:
            return await forward()
        if self.after:
            await forward()
        await self.running.workers[0].kill()
        self.points.append(
            f"{'after' if self.after else 'before'} {request.method} {request.path.partition('?')[0]}"
        )
        return Reply(b"", close=True)

    def _note(self, request: Request) -> None:
        words = unquote(request.path).partition("?")[0].split("/")
        if "clients" not in words or "rules" in words:
            return
        if request.method == "DELETE" and words[-2] == "clients":
            self.touched.add(words[-1])
        elif words[-1] == "bulk" and words[-2] == "unsubscribe":
            self.touched.add(words[-3])
        elif words[-1] == "unsubscribe":
            self.touched.add(words[-2])
        elif words[-2:] == ["kickout", "bulk"]:
            self.touched.update(json.loads(request.data.partition(b"\r\n\r\n")[2]))


@dataclass(slots=True)
class Killed:
    """What came of it.

    Attributes:
        points: where the worker was killed.
        seconds: from the last restart until everything was in force: what the dead had claimed has to end first.
        wrong: what should not be, in words.
    """

    points: list[str]
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)

    def line(self) -> str:
        """What there is to tell."""
        return f"killed {', '.join(self.points)}; all in force {self.seconds:.2f} s after the last restart"


async def kill_between_commit_and_enforcement(
    database: Database, url: str, folder: Path, kills: int, seed: int = 5
) -> Killed:
    """Remove a member so many times, each time kill the worker meanwhile and start it again; then look at everybody."""
    chance = random.Random(seed)
    async with stage(folder, database, url, people=kills + INNOCENT) as running:
        await running.gather_the_team()
        await pushed(running, kills + INNOCENT)
        running.rest.meddler = killer = Killer(running)
        found = Killed(killer.points)
        closed = [ear.closed for ear in running.ears]
        for number in range(kills):
            killer.after = chance.random() < 0.5
            killer.calls = chance.randint(1, MOST_CALLS)
            await leave(database, TEAM, running.company.member(number))
            await _killed(running, killer, running.company.member(number))
            began = time.perf_counter()
            await running.workers[0].again()
        await in_force(database, 60)
        found.seconds = time.perf_counter() - began
        for number in range(kills):
            await _look(running, number, found)
        innocent = {f"{running.company.member(kills + number)}_phone" for number in range(INNOCENT)}
        found.wrong += [f"{one} was touched" for one in sorted(killer.touched & innocent)]
        found.wrong += [
            f"{ear.client_id} was cut"
            for ear, before in zip(running.ears, closed, strict=True)
            if ear.closed > before
        ]
        for ear in running.ears[kills:]:
            if TOPIC not in [one.topic for one in await running.api.subscriptions.of(ear.client_id)]:
                found.wrong.append(f"{ear.client_id} lost its subscription")
            if not await ear.subscribe(TOPIC):
                found.wrong.append(f"{ear.client_id} may not listen any more")
    return found


async def _killed(running: Stage, killer: Killer, person: str) -> None:
    """Wait until the killer has done it; if the worker is through before that call comes, kill it where it is."""
    worker = running.workers[0].process
    through = asyncio.create_task(enforced(running.database, person))
    await until(lambda: worker.returncode is not None or through.done(), 30)
    if worker.returncode is None:
        killer.calls = -1
        await running.workers[0].kill()
        killer.points.append("after it was in force")
    through.cancel()
    await asyncio.gather(through, return_exceptions=True)


async def _look(running: Stage, number: int, found: Killed) -> None:
    ear = running.ears[number]
    left = [one.topic for one in await running.api.subscriptions.of(ear.client_id)]
    if TOPIC in left:
        found.wrong.append(f"{ear.client_id} is still subscribed after the restart")
    if await ear.subscribe(TOPIC):
        found.wrong.append(f"{ear.client_id} may still subscribe after the restart")
