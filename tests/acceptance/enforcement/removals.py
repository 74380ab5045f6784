"""Members of the team who are removed while everybody listens, and taken back again."""

import asyncio
import time
from collections.abc import Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import select

from directory import groups
from directory.database import Database
from directory.schema import outbox
from tests.acceptance.enforcement.company import TEAM, TOPIC
from tests.acceptance.enforcement.stage import Stage, other_changes, stage
from tests.acceptance.enforcement.voice import voice
from tests.acl_service.serving import leave, now_ms

WATCHED_S = 1.5
"""So long after the commit is listened on: longer than the bar, so that a message after it is heard."""

GIVEN_UP_S = 10.0


@dataclass(slots=True)
class Seen:
    """What became of removals.

    Attributes:
        revoked_s: for each, how long after its commit the last message came; 0: none came after it.
        granted_s: for each who was taken back, how long after that commit it was let to subscribe.
        let_back: client ids that could subscribe although removed, and that had not been asked yet.
        cut: client ids whose connection ended, which a removal from a group is no reason for.
    """

    revoked_s: list[float] = field(default_factory=list)
    granted_s: list[float] = field(default_factory=list)
    let_back: list[str] = field(default_factory=list)
    cut: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """How much happens.

    Attributes:
        people: who listen, each with a client.
        removals: of them, one after another; each is taken back.
        together: how many of those are taken back in one change.
        every_s: between two removals.
        changes: others that are committed a second.
    """

    people: int = 200
    removals: int = 200
    together: int = 10
    every_s: float
    changes: float = 20.0


@dataclass(frozen=True, slots=True)
class Run:
    """What became of removals under load.

    Attributes:
        seen: at the clients.
        confirmed_s: how long each removal took until it was done, or has taken so far.
        unconfirmed: how many are not done.
        pushed_rate: clients whose dynamic ACLs came to stand in the broker each second when all came in.
        messages: that reach each listener a second, half of what the broker can.
    """

    seen: Seen
    confirmed_s: list[float]
    unconfirmed: int
    pushed_rate: float
    messages: float


async def under_load(
    folder: Path, database: Database, url: str, load: Load, confirmed_within_s: float
) -> Run:
    """Run everything, with messages at half of the broker's own rate and other changes, and remove members.

    Args:
        folder: of the processes.
        database: empty, and migrated.
        url: of the same database.
        load: how much happens.
        confirmed_within_s: so long after the last removal is waited until all are confirmed.
    """
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(stage(folder, database, url, people=load.people))
        await running.gather_the_team()
        rate = await pushed(running, load.people)
        speaker = await voice(running.mqtt_port)
        own = await speaker.fastest(running.ears, 1.5)
        await stack.enter_async_context(other_changes(running, load.changes))
        await stack.enter_async_context(speaker.speaking(own / 2))
        seen = await remove_all(running, range(load.removals), together=load.together, every_s=load.every_s)
        done, left = await confirmed(running, confirmed_within_s)
    return Run(seen, done, left, rate, own / 2)


async def remove_all(stage: Stage, numbers: Iterable[int], *, together: int, every_s: float) -> Seen:
    """Remove members one after another, and take them back a batch at a time.

    Args:
        stage: with its team connected and a voice that speaks.
        numbers: of the members.
        together: how many are in a batch; a batch is taken back in one change.
        every_s: between two commits.
    """
    seen = Seen()
    batch: list[int] = []
    batches: list[asyncio.Task[None]] = []
    began = time.perf_counter()
    for count, number in enumerate(numbers, 1):
        batch.append(number)
        if len(batch) == together:
            batches.append(asyncio.create_task(_batch(stage, batch, every_s, seen)))
            batch = []
            # The next batch begins when the commits of this one are over: that sets the rate.
            await asyncio.sleep(max(0.0, began + count * every_s - time.perf_counter()))
    assert not batch, "give whole batches"
    await asyncio.gather(*batches)
    return seen


async def _batch(stage: Stage, numbers: list[int], every_s: float, seen: Seen) -> None:
    await asyncio.gather(*(_remove(stage, number, at * every_s, seen) for at, number in enumerate(numbers)))
    people = [stage.company.member(number) for number in numbers]
    async with stage.database.change("test", now_ms()) as change:
        assert await groups.add_members(change, TEAM, people) == people
    committed = time.perf_counter()

    async def back(number: int) -> None:
        ear = stage.ears[number]
        while not await ear.subscribe(TOPIC, seconds=60):
            assert time.perf_counter() < committed + GIVEN_UP_S, (
                f"{ear.client_id} is a member and may not listen"
            )
        seen.granted_s.append(time.perf_counter() - committed)

    await asyncio.gather(*map(back, numbers))


async def _remove(stage: Stage, number: int, wait_s: float, seen: Seen) -> None:
    await asyncio.sleep(wait_s)
    ear = stage.ears[number]
    closed = ear.closed
    await leave(stage.database, TEAM, stage.company.member(number))
    committed = time.perf_counter()
    while True:
        # Watched until it has been silent as long as the bar: who goes on hearing is seen to.
        quiet_since = max(committed, ear.last_s)
        left = quiet_since + WATCHED_S - time.perf_counter()
        if left <= 0 or time.perf_counter() > committed + GIVEN_UP_S:
            break
        await asyncio.sleep(left)
    seen.revoked_s.append(max(0.0, ear.last_s - committed))
    if ear.closed > closed:
        seen.cut.append(ear.client_id)
    elif await ear.subscribe(TOPIC, seconds=60):
        seen.let_back.append(ear.client_id)


async def pushed(stage: Stage, people: int, seconds: float = 60.0) -> float:
    """Wait until the broker holds a dynamic ACL for so many clients; how many came to be a second.

    The time is that between the first and the last which were seen, by looks that are a tenth of a second apart.
    """
    found: list[tuple[float, int]] = []
    async with asyncio.timeout(seconds):
        while not found or found[-1][1] < people:
            page = await stage.api.client_rules.page(limit=1)
            count = (page.meta.count if page.meta else None) or 0
            if count:
                found.append((time.perf_counter(), count))
            await asyncio.sleep(0.1)
    (began, first), (ended, last) = found[0], found[-1]
    return (last - first) / (ended - began) if last > first else float(people)


async def confirmed(stage: Stage, seconds: float) -> tuple[list[float], int]:
    """How long each removal from the team took until it was done, in seconds, and how many are not done.

    Waits until all are, but not longer than so many seconds: the age of those that are not stands for them then.
    """
    removals = select(outbox.c.payload, outbox.c.created_at, outbox.c.done_at).where(
        outbox.c.kind == "member_removed"
    )
    ends = time.perf_counter() + seconds
    while True:
        async with stage.database.read() as connection:
            rows = (await connection.execute(removals)).all()
        ours = [row for row in rows if row.payload["group_id"] == TEAM]
        left = sum(row.done_at is None for row in ours)
        if not left or time.perf_counter() > ends:
            return [((row.done_at or now_ms()) - row.created_at) / 1_000 for row in ours], left
        await asyncio.sleep(0.2)


def at(values: Iterable[float], share: float) -> float:
    """The value that a share of all does not pass."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
