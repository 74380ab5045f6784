"""Members who come and go while another process answers; run small by `make test`, full by `make soak`."""

import asyncio
import json
import time
from dataclasses import dataclass, field
from pathlib import Path

from directory.database import Database
from tests.acceptance.lane import Lane, lanes
from tests.acceptance.processes import serving_hooks
from tests.acl_service.serving import activate_profile, add_group, add_person, join, leave

BOUND_S = 2.0
"""No allow may be answered later than this after the commit of the removal."""

ASKED_S = BOUND_S + 0.2
PAUSE_S = 0.05
TOPIC = "mchat/group/team"


@dataclass(frozen=True, slots=True)
class Distribution:
    """Seconds, summed up for a reader."""

    name: str
    values: list[float] = field(default_factory=list)

    def line(self) -> str:
        """One line of JSON: how many, and where they lie, in milliseconds."""
        ordered = sorted(self.values)

        def at(share: float) -> float:
            return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))] * 1000, 2)

        figures = {"min_ms": at(0), "p50_ms": at(0.5), "p90_ms": at(0.9), "p99_ms": at(0.99), "max_ms": at(1)}
        return json.dumps({"name": self.name, "count": len(ordered), **figures})


@dataclass(slots=True)
class Removals:
    """What was seen of members who were removed.

    Attributes:
        wrong: every answer that should have been another one, in words.
        last_allows: when each was allowed for the last time, seconds after the commit; 0 = not once.
        asked_until: when each was asked for the last time, seconds after the commit.
        questions: asked after the commits.
    """

    wrong: list[str] = field(default_factory=list)
    last_allows: Distribution = field(
        default_factory=lambda: Distribution("removed member: last allow after the commit")
    )
    asked_until: Distribution = field(
        default_factory=lambda: Distribution("removed member: last question after the commit")
    )
    questions: int = 0

    def lines(self) -> str:
        """The distributions and the number of questions, a line of JSON each."""
        count = json.dumps({"name": "removed member: questions after the commit", "count": self.questions})
        return "\n".join((self.last_allows.line(), self.asked_until.line(), count))


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
    denied, taken = 0, Distribution("added member: answer of the other process")
    async with serving_hooks(folder, url) as other:
        for number in range(repetitions):
            who = f"p{number % 8}"
            # Asked before, so that its absence from the group is what memory knows.
            assert not await other.allows(f"{who}_pc", "subscribe", TOPIC)
            await join(database, "team", who)
            began = time.perf_counter()
            denied += not await other.allows(f"{who}_pc", "subscribe", TOPIC)
            taken.values.append(time.perf_counter() - began)
            await leave(database, "team", who)
            while await other.allows(f"{who}_pc", "subscribe", TOPIC):
                assert time.perf_counter() - began < 10
    return denied, taken


async def removed_members_are_denied_in_time(
    database: Database, url: str, folder: Path, people: int, rounds: int
) -> Removals:
    """Remove through this process, and ask another without a pause until it denies, then on past the bound.

    A deny is confirmed (decision 6), so that an allow after it is wrong however early it comes.

    Args:
        database: what this process writes to.
        url: of the same database, for the other process.
        folder: of the other process.
        people: side by side.
        rounds: for each of them.
    """
    await company(database, people)
    seen = Removals()
    async with serving_hooks(folder, url) as other, lanes(other.port, people) as opened:

        async def trials(number: int, lane: Lane) -> None:
            for _ in range(rounds):
                await _remove_once(database, lane, f"p{number}", seen)

        await asyncio.gather(*(trials(number, lane) for number, lane in enumerate(opened)))
    return seen


async def _remove_once(database: Database, lane: Lane, who: str, seen: Removals) -> None:
    await join(database, "team", who)
    assert await lane.allows(f"{who}_pc", "subscribe", TOPIC)
    await leave(database, "team", who)
    committed = time.perf_counter()
    last_allow = asked = 0.0
    denied = False
    while asked < ASKED_S:
        asked = time.perf_counter() - committed
        allowed = await lane.allows(f"{who}_pc", "subscribe", TOPIC)
        answered = time.perf_counter() - committed
        seen.questions += 1
        if allowed:
            last_allow = answered
            if answered > BOUND_S:
                seen.wrong.append(f"{who} was allowed {answered:.3f} s after the removal")
            elif denied:
                seen.wrong.append(f"{who} was allowed again, {answered:.3f} s after the removal")
            continue
        if not denied and not await lane.allows("twin_pc", "subscribe", TOPIC):
            seen.wrong.append(f"the twin who stays was denied when {who} was")
        denied = True
        await asyncio.sleep(PAUSE_S)
    seen.last_allows.values.append(last_allow)
    seen.asked_until.values.append(asked)
    if not denied:
        seen.wrong.append(f"{who} was not denied once in {ASKED_S} s")
    if not await lane.allows("twin_pc", "subscribe", TOPIC):
        seen.wrong.append(f"the twin who stays was denied at the end of {who}'s trial")
