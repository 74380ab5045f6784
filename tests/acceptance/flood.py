"""A flood of denies from 1,000 clients while unrelated changes are committed, and what it costs the database."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from sqlalchemy import text

from directory import people
from directory.database import Database
from tests.acceptance.lane import Lane, lanes
from tests.acceptance.membership import TOPIC, company
from tests.acceptance.processes import Hooks, serving_hooks
from tests.acl_service.serving import join, leave, now_ms

CLIENTS = 1_000
LANES = 32

READS_BOUND_PER_S = 520
"""The feed leaves two milliseconds between two reads: 500 a second, and the clock's own error."""

REACHED = 0.8
"""The share of a wanted rate below which nothing is learnt about it."""

FLAT = 1.15
SLACK_PER_S = 15.0
"""What is told of flatness: the highest rate may cost so many times the lowest, and so much more."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one rate of denies came to, a second.

    Attributes:
        wanted: denies that were to be asked.
        denies: that were answered.
        version_reads: reads of the newest version, as the answering process counts them.
        snapshots: read to fill its memory.
        queries: transactions as PostgreSQL counts them, the changes of this process included; None on SQLite.
    """

    wanted: int
    denies: float
    version_reads: float
    snapshots: float
    queries: float | None

    def line(self) -> str:
        """The figures, one line."""
        return ", ".join(f"{name} {value}/s" for name, value in asdict(self).items() if value is not None)


def faults(costs: list[Cost]) -> list[str]:
    """What is wrong with the costs of rising rates, all beyond the knee: in words, empty if nothing is."""
    found = [
        f"of {cost.wanted} denies/s only {cost.denies} were reached: this machine is too slow, or too busy"
        " with something else, to show anything at that rate"
        for cost in costs
        if cost.denies < REACHED * cost.wanted
    ]
    for cost in costs:
        if cost.version_reads > READS_BOUND_PER_S:
            found.append(f"{cost.version_reads} reads/s at {cost.wanted} denies/s")
        if cost.snapshots > 5:
            found.append(f"{cost.snapshots} snapshots/s: an unrelated change makes somebody's rows be read")
        if cost.queries is not None and cost.queries > 1.25 * cost.version_reads + SLACK_PER_S:
            found.append(f"{cost.queries} queries/s by PostgreSQL's count, {cost.version_reads} by ours")
    low, high = costs[0], costs[-1]
    if high.version_reads > FLAT * low.version_reads + SLACK_PER_S:
        found.append(
            f"not flat: {low.version_reads} reads/s at {low.wanted} denies/s,"
            f" {high.version_reads} at {high.wanted}"
        )
    return found


async def flood_of_denies(
    database: Database, url: str, folder: Path, seconds: float, rates: tuple[int, ...]
) -> list[Cost]:
    """Denies at each rate for `seconds`, while one unrelated change a second is committed."""
    await company(database, 1)
    async with database.change("test", now_ms()) as change:
        for number in range(CLIENTS):
            await people.add(change, name="flood", employee_id=f"f{number}")
    begun = await _commits(database)
    costs = []
    async with serving_hooks(folder, url) as other, lanes(other.port, LANES) as opened:
        await _each_client_once(opened)
        for rate in rates:
            costs.append(await _cost(database, other, opened, rate, seconds, begun))
    return costs


async def _cost(
    database: Database, other: Hooks, opened: list[Lane], rate: int, seconds: float, begun: int
) -> Cost:
    async def counted() -> tuple[float, float, int]:
        reads = await other.metric("mchat_feed_reads")
        return reads, await other.metric("mchat_snapshots"), await _commits(database, begun + int(reads))

    before, began = await counted(), time.perf_counter()
    async with _unrelated_changes(database):
        asked = await _flood(opened, rate, seconds)
        took = time.perf_counter() - began
    after = await counted()
    reads, snapshots, commits = ((late - early) / took for early, late in zip(before, after, strict=True))
    return Cost(
        wanted=rate,
        denies=round(asked / took, 1),
        version_reads=round(reads, 1),
        snapshots=round(snapshots, 2),
        queries=round(commits, 1) if database.dialect == "postgresql" else None,
    )


async def _commits(database: Database, at_least: int = 0) -> int:
    """The transactions of this database as PostgreSQL counts them; 0 on SQLite, which does not count.

    A backend reports what it did up to a second later: waited for is the count that the asker itself has sent.
    """
    if database.dialect != "postgresql":
        return 0
    count = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"
    async with asyncio.timeout(15):
        while True:
            async with database.read() as connection:
                found = int((await connection.execute(text(count))).scalar_one())
            if found >= at_least:
                return found
            await asyncio.sleep(0.05)


async def _each_client_once(opened: list[Lane]) -> None:
    """Let memory know everybody before anything is counted."""

    async def drive(index: int, lane: Lane) -> None:
        for number in range(index, CLIENTS, len(opened)):
            assert not await lane.allows(f"f{number}_pc", "subscribe", TOPIC)

    await asyncio.gather(*(drive(index, lane) for index, lane in enumerate(opened)))


async def _flood(opened: list[Lane], rate: int, seconds: float) -> int:
    """Ask at a steady rate; returns how many answers came, all of them denies."""
    chance = random.Random(rate)
    asked = 0
    began = time.perf_counter()

    async def drive(index: int, lane: Lane) -> None:
        nonlocal asked
        due = began + index / rate
        while due < began + seconds and time.perf_counter() < began + 2 * seconds:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            client_id = f"f{chance.randrange(CLIENTS)}_pc"
            assert not await lane.allows(client_id, "subscribe", TOPIC)
            asked += 1
            due += len(opened) / rate

    await asyncio.gather(*(drive(index, lane) for index, lane in enumerate(opened)))
    return asked


@asynccontextmanager
async def _unrelated_changes(database: Database) -> AsyncIterator[None]:
    """One change a second of somebody who asks nothing."""

    async def changing() -> None:
        inside = False
        while True:
            await (leave if inside else join)(database, "team", "p0")
            inside = not inside
            await asyncio.sleep(1)

    task = asyncio.create_task(changing())
    try:
        yield
    finally:
        task.cancel()
        (ended,) = await asyncio.gather(task, return_exceptions=True)
        assert isinstance(ended, asyncio.CancelledError), ended
