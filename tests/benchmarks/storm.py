"""A cold storm: 50,000 people, each with a client and a token of its own, come in to a process that knows nobody.

Emulated is one EMQX node as MChat configures it: 32 connections, one question in flight on each
(``enable_pipelining = 1``), the next sent when the answer is there; a question that takes longer than EMQX's
``request_timeout`` of 5 s counts as a time-out. How long a CONNECT waits in EMQX for one of these connections is
EMQX's: ``storm.rate`` is how many it may let in a second. Every answer must be an allow. Two processes of our own
ask; nothing is pinned, since the service's database threads may use the other processor. One database fills the
time of a run: SQLite, which every machine has.
"""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks import questions
from tests.benchmarks.company import Company
from tests.benchmarks.figures import Figure
from tests.benchmarks.generator import Load, askers
from tests.benchmarks.processors import Use
from tests.benchmarks.servers import hooks, scratch

ASKERS = 2


@dataclass(frozen=True, slots=True)
class Size:
    """How many come in."""

    people: int = 50_000


FULL = Size()


def figures(size: Size = FULL) -> Iterator[Figure]:
    """Measure on SQLite."""
    company = Company(size.people, groups=max(2, size.people // 20))
    with scratch() as folder:
        paths = [
            questions.write(
                folder / f"storm-{part}",
                (questions.authn(company, person) for person in range(part, size.people, ASKERS)),
            )
            for part in range(ASKERS)
        ]
        kind, url = "sqlite", f"sqlite:///{folder / 'mchat.db'}"
        began = time.perf_counter()
        asyncio.run(company.found(url))
        yield Figure(f"storm.set_up[{kind}]", time.perf_counter() - began, "s, for the rows")
        yield from asyncio.run(_storm(folder, url, paths, kind, size))


async def _storm(folder: Path, url: str, paths: list[Path], kind: str, size: Size) -> list[Figure]:
    async with hooks(folder, url) as (running, asked):
        before, began = Use.of(asked.pid), time.perf_counter()
        load: Load = await askers(asked.port, paths)
        used, took = Use.of(asked.pid), time.perf_counter() - began
        snapshots = await running.metric("mchat_snapshots")
    assert load.requests == size.people, f"{load.requests} answers to {size.people} clients"
    assert load.allowed == size.people, f"{size.people - load.allowed} were not let in"
    return [
        Figure.at_most(f"storm.timeouts[{kind}]", load.timeouts + load.failed, "answers", 0),
        Figure(f"storm.p99[{kind}]", load.p99_ms, "ms"),
        Figure(f"storm.seconds[{kind}]", load.seconds, f"s, for {size.people} clients"),
        Figure(f"storm.rate[{kind}]", load.rate, "clients/s"),
        Figure(
            f"storm.cpu[{kind}]", (used.ran - before.ran) / 1e3 / size.people, "us of a processor a client"
        ),
        Figure(f"storm.batch[{kind}]", size.people / max(1.0, snapshots), "clients a snapshot"),
        Figure(f"storm.busy[{kind}]", used.busy(before, took), "of the time"),
    ]
