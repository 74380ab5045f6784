"""Rights that end: from the commit to the last message that a removed member hears.

200 members of a group listen, each with a client, to a gateway that speaks at half the rate that the broker reaches
with all of them; two service processes, one worker, 20 other changes a second committed by a process of its own, one
in four of them about somebody who listens. Members are removed one after another and, a second and a half later at
the earliest, taken back. Everything runs as it is run, on this machine: nothing is pinned, and the clients, two
processes that speak and commit, the broker, PostgreSQL or SQLite and MChat share its processors.

`revocation` is from the return of the commit to the last message at the client's socket, `confirmed` to the moment
when the worker has seen it in force after every service process had applied it, `grant` from the commit of the
membership to the subscription that succeeds. `push.rate`: clients whose dynamic ACLs came to stand in the broker each
second while the 200 came in. `exact.share`: of what the clients of a company of the shipped profile may do on one day,
how much EMQX answers by itself (`tests.acl_service.policy.workday`).
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import uvloop

from directory.database import Database
from directory.migrations import migrate
from tests.acceptance.enforcement.removals import Load, Run, at, under_load
from tests.acl_service.policy import workday
from tests.benchmarks.figures import Figure
from tests.benchmarks.servers import databases, scratch

BAR_S = 1.0
CONFIRMED_S = 8.0
"""So long after the last removal is waited until all are confirmed."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much happens.

    Attributes:
        load: as many removals as fit into the time of a run.
        company: people of the company whose day is looked at.
    """

    load: Load = field(default_factory=lambda: Load(removals=130, every_s=0.16))
    company: int = 200


FULL = Size()


def figures(size: Size = FULL) -> Iterator[Figure]:
    """Measure on PostgreSQL, else on SQLite: one of them fills the time of a run."""
    with scratch() as folder, databases(folder) as urls:
        kind = "postgresql" if "postgresql" in urls else "sqlite"
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            run = runner.run(_measured(folder, urls[kind], size.load))
    yield from _told(kind, run)
    yield Figure(
        "exact.share", workday.share(workday.Company(size.company)).of(), "of what is granted on a day"
    )


async def _measured(folder: Path, url: str, load: Load) -> Run:
    database = Database.open(url)
    try:
        await migrate(database)
        return await under_load(folder, database, url, load, CONFIRMED_S)
    finally:
        await database.close()


def _told(kind: str, run: Run) -> list[Figure]:
    seen = run.seen
    return [
        Figure(
            f"revocation.messages[{kind}]",
            run.messages,
            "messages/s to each of the listeners, half the broker's",
        ),
        Figure(f"revocation.removed[{kind}]", len(seen.revoked_s), "members"),
        Figure("revocation.p50", at(seen.revoked_s, 0.5), "s"),
        Figure.at_most("revocation.p99", at(seen.revoked_s, 0.99), "s", BAR_S),
        Figure.at_most(
            "revocation.let_back", len(seen.let_back) + len(seen.cut), "removed, let in or cut", 0
        ),
        Figure("revocation.confirmed_p99", at(run.confirmed_s, 0.99), "s"),
        Figure.at_most("revocation.unconfirmed", run.unconfirmed, "removals, of which the age is counted", 0),
        Figure("grant.p99", at(seen.granted_s, 0.99), "s"),
        Figure("push.rate", run.pushed_rate, "clients/s"),
    ]
