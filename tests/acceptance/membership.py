"""Experiments with rights that change while several processes answer; run small by `make test`, full by `make soak`."""

import asyncio
import json
import random
import time
from dataclasses import dataclass
from pathlib import Path

from directory import people
from directory.database import Database
from tests.acceptance.lane import Lane
from tests.acceptance.processes import Hooks, serving_hooks
from tests.acl_service.serving import activate_profile, add_group, add_person, join, leave, now_ms

BOUND_S = 2.0


@dataclass(frozen=True, slots=True)
class Distribution:
    """Seconds, summed up for a reader."""

    name: str
    values: list[float]

    def line(self) -> str:
        """One line of JSON: how many, and where they lie, in milliseconds."""
        ordered = sorted(self.values)

        def at(share: float) -> float:
            return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000, 2)

        figures = {"p50_ms": at(0.5), "p90_ms": at(0.9), "p99_ms": at(0.99), "max_ms": at(1.0)}
        return json.dumps({"name": self.name, "count": len(ordered), **figures})


async def company(database: Database, size: int) -> None:
    """twin stays in the group `team`; p0, p1, … come and go."""
    await activate_profile(database)
    await add_person(database, "twin")
    for number in range(size):
        await add_person(database, f"p{number}")
    await add_group(database, "team", "twin")


async def added_members_subscribe_at_once(
    database: Database, url: str, folder: Path, repetitions: int
) -> tuple[int, Distribution]:
    """Add through this process, ask another with no wait; returns the denies and the times of the answers."""
    await company(database, 8)
    denied, taken = 0, []
    async with serving_hooks(folder, url) as other:
        for number in range(repetitions):
            who = f"p{number % 8}"
            # Asked before, so that its absence from the group is what memory knows.
            assert not await other.allows(f"{who}_pc", "subscribe", "mchat/group/team")
            await join(database, "team", who)
            began = time.perf_counter()
            denied += not await other.allows(f"{who}_pc", "subscribe", "mchat/group/team")
            taken.append(time.perf_counter() - began)
            await leave(database, "team", who)
            while await other.allows(f"{who}_pc", "subscribe", "mchat/group/team"):
                assert time.perf_counter() - began < 10
    return denied, Distribution("added member: answer of the other process", taken)


async def removed_members_are_denied_in_time(
    database: Database, url: str, folder: Path, repetitions: int, side_by_side: int = 8
) -> tuple[list[str], Distribution]:
    """Remove through this process, ask another until it denies; returns what went wrong, and the last allows."""
    await company(database, side_by_side)
    wrong: list[str] = []
    last_allows: list[float] = []

    async def trials(other: Hooks, who: str, count: int) -> None:
        for _ in range(count):
            await join(database, "team", who)
            assert await other.allows(f"{who}_pc", "subscribe", "mchat/group/team")
            await leave(database, "team", who)
            committed = time.perf_counter()
            last_allow = 0.0
            while True:
                allowed = await other.allows(f"{who}_pc", "subscribe", "mchat/group/team")
                answered = time.perf_counter() - committed
                if not allowed:
                    break
                last_allow = answered
                if answered > BOUND_S:
                    wrong.append(f"{who} was allowed {answered:.3f} s after the removal")
                    break
            last_allows.append(last_allow)
            if not await other.allows("twin_pc", "subscribe", "mchat/group/team"):
                wrong.append("the twin who stays was denied")

    async with serving_hooks(folder, url) as other:
        await asyncio.gather(
            *(trials(other, f"p{number}", repetitions // side_by_side) for number in range(side_by_side))
        )
    return wrong, Distribution("removed member: last allow after the commit", last_allows)


async def flood_of_denies(
    database: Database, url: str, folder: Path, seconds: float, rates: tuple[int, ...] = (500, 1_000, 2_000)
) -> list[dict[str, float]]:
    """Denies from 1,000 clients at several rates while one unrelated change a second is committed.

    Returns for each rate what was asked and what the database was asked for it, a second.
    """
    await company(database, 1)
    async with database.change("test", now_ms()) as change:
        for number in range(1_000):
            await people.add(change, name="flood", employee_id=f"f{number}")
    figures = []
    async with serving_hooks(folder, url) as other:
        await asyncio.gather(
            *(other.allows(f"f{n}_pc", "subscribe", "mchat/group/team") for n in range(1_000))
        )
        for rate in rates:
            reads = await other.metric("mchat_feed_reads")
            snapshots = await other.metric("mchat_snapshots")
            began = time.perf_counter()
            changing = asyncio.create_task(_unrelated_changes(database))
            asked, allowed = await _flood(other.port, rate, seconds)
            changing.cancel()
            await asyncio.gather(changing, return_exceptions=True)
            took = time.perf_counter() - began
            assert allowed == 0
            figures.append(
                {
                    "denies_per_s": round(asked / took),
                    "version_reads_per_s": round((await other.metric("mchat_feed_reads") - reads) / took, 1),
                    "snapshots_per_s": round((await other.metric("mchat_snapshots") - snapshots) / took, 2),
                }
            )
    return figures


async def _flood(port: int, rate: int, seconds: float) -> tuple[int, int]:
    """Ask at a steady rate over 32 connections; returns how many answers came and how many were allows."""
    chance = random.Random(rate)
    asked = allowed = 0
    lanes = [await Lane.open(port) for _ in range(32)]
    ends = time.perf_counter() + seconds

    async def drive(index: int, lane: Lane) -> None:
        nonlocal asked, allowed
        due = time.perf_counter() + index / rate
        while due < ends:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            client_id = f"f{chance.randrange(1_000)}_pc"
            allowed += await lane.allows(client_id, "subscribe", "mchat/group/team")
            asked += 1
            due += len(lanes) / rate

    await asyncio.gather(*(drive(index, lane) for index, lane in enumerate(lanes)))
    for lane in lanes:
        await lane.close()
    return asked, allowed


async def _unrelated_changes(database: Database) -> None:
    inside = False
    while True:
        await (leave if inside else join)(database, "team", "p0")
        inside = not inside
        await asyncio.sleep(1)
