"""Rights that end: from the commit to the last message that a removed member hears.

200 members of a group listen, each with a client, to a gateway that speaks at half the rate that the broker reaches
with all of them; two service processes, one worker, 20 other changes a second committed by a process of its own, one
in four of them about somebody who listens. 200 members are removed one after another and, a second and a half later at
the earliest, taken back. Everything runs as it is run, on this machine: nothing is pinned, and the clients, two
processes that speak and commit, the broker, PostgreSQL or SQLite and MChat share its processors.

`revocation` is from the return of the commit to the last message at the client's socket, `confirmed` to the moment
when the worker has seen it in force after every service process had applied it, `grant` from the commit of the
membership to the subscription that succeeds. `push.rate`: clients whose dynamic ACLs came to stand in the broker each
second while the 200 came in. `exact.share`: of what the clients of a company of the shipped profile may do on one day,
how much EMQX answers by itself (`tests.acl_service.policy.workday`).
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import uvloop

from directory.database import Database
from directory.migrations import migrate
from tests.acceptance.enforcement.removals import Seen, confirmed, pushed, remove_all
from tests.acceptance.enforcement.stage import other_changes, stage
from tests.acceptance.enforcement.voice import voice
from tests.acl_service.policy import workday
from tests.benchmarks.figures import Figure
from tests.benchmarks.servers import databases, scratch

BAR_S = 1.0
BATCH = 10
CONFIRMED_S = 8.0
"""So long after the last removal is waited until all are confirmed."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much happens.

    Attributes:
        people: who listen; each is removed once.
        every_s: between two removals.
        changes: others that are committed a second.
        company: people of the company whose day is looked at.
    """

    people: int = 200
    every_s: float = 0.14
    changes: float = 20.0
    company: int = 200


FULL = Size()


def figures(size: Size = FULL) -> Iterator[Figure]:
    """Measure on PostgreSQL, else on SQLite: one of them fills the time of a run."""
    with scratch() as folder, databases(folder) as urls:
        kind = "postgresql" if "postgresql" in urls else "sqlite"
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            yield from runner.run(_measured(folder, urls[kind], kind, size))
    yield Figure(
        "exact.share", workday.share(workday.Company(size.company)).of(), "of what is granted on a day"
    )


async def _measured(folder: Path, url: str, kind: str, size: Size) -> list[Figure]:
    database = Database.open(url)
    try:
        await migrate(database)
        async with AsyncExitStack() as stack:
            running = await stack.enter_async_context(stage(folder, database, url, people=size.people))
            await running.gather_the_team()
            push_rate = await pushed(running, size.people)
            speaker = await voice(running.mqtt_port)
            own_rate = await speaker.fastest(running.ears, 1.5)
            await stack.enter_async_context(other_changes(running, size.changes))
            await stack.enter_async_context(speaker.speaking(own_rate / 2))
            seen = await remove_all(
                running,
                range(size.people),
                together=BATCH,
                every_s=size.every_s,
            )
            done, left = await confirmed(running, CONFIRMED_S)
    finally:
        await database.close()
    return _told(kind, seen, done, left, push_rate, own_rate)


def _told(
    kind: str, seen: Seen, done: Sequence[float], left: int, push_rate: float, own_rate: float
) -> list[Figure]:
    return [
        Figure(
            f"revocation.messages[{kind}]",
            own_rate / 2,
            "messages/s to each of the listeners, half the broker's",
        ),
        Figure(f"revocation.removed[{kind}]", len(seen.revoked_s), "members"),
        Figure("revocation.p50", at(seen.revoked_s, 0.5), "s"),
        Figure.at_most("revocation.p99", at(seen.revoked_s, 0.99), "s", BAR_S),
        Figure.at_most(
            "revocation.let_back", len(seen.let_back) + len(seen.cut), "removed, let in or cut", 0
        ),
        Figure("revocation.confirmed_p99", at(done, 0.99), "s"),
        Figure.at_most("revocation.unconfirmed", left, "removals, of which the age is counted", 0),
        Figure("grant.p99", at(seen.granted_s, 0.99), "s"),
        Figure("push.rate", push_rate, "clients/s"),
    ]


def at(values: Sequence[float], share: float) -> float:
    """The value that a share of all does not pass."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
