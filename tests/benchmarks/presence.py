"""Presence: what one fact costs, how fast events become rows, what a reconciliation of 100,000 clients takes.

`fold.us`: microseconds of the pure fold for one fact, over a log as a broker makes it, repetitions included.

`events.rate`: 32 connections with one event in flight on each, as EMQX's action sends them, put events into a running
`mchat serve hooks`; beside it, a process apart from it as the worker is, the worker's part follows and takes them in.
The rate is that of all of it: from the first event sent to the last one that is in the rows of presence, sessions,
subscriptions and history. `events.answered` is the rate of the answers, each of which says that its event is stored.

`reconcile.100k`: a process of its own reads the list of a broker that answers as EMQX was recorded to, every row with
all of its fields, and brings the rows into line, of which nothing is known at first. The memory is how far that process
grew at its highest.

`sse`: see `tests.benchmarks.stream`.
"""

import asyncio
import json
import random
import statistics
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from prometheus_client import CollectorRegistry
from sqlalchemy import delete

from acl_service.presence.counters import Counters
from acl_service.presence.fold import Connected, Device, Disconnected, Fact, fold
from acl_service.presence.following import Following
from acl_service.presence.hearing import Hearing
from directory import presence, schema, sessions
from directory.database import Database
from directory.migrations import migrate
from directory.sessions import SessionRow
from tests.acceptance.processes import environment
from tests.benchmarks import happenings, questions, stream
from tests.benchmarks.broker_list import client_id, employee_id
from tests.benchmarks.figures import Figure
from tests.benchmarks.generator import Load, askers
from tests.benchmarks.servers import databases, hooks, scratch, unmeasured, until_listening
from tests.contract.recordings import FOLDER
from tests.postgres import free_port

RATE = 2_000.0
ASKERS = 2
BATCH = 5_000


@dataclass(frozen=True, slots=True)
class Size:
    """How much happens.

    Attributes:
        facts: that are folded in a round.
        coming: clients that come and go; `happenings.EVENTS_EACH` events each.
        listed: clients of the broker whose list is compared.
        listeners: to the stream.
        changes: that they hear of.
    """

    facts: int = 20_000
    coming: int = 2_000
    listed: int = 100_000
    listeners: int = 200
    changes: int = 60


FULL = Size()


def figures(size: Size = FULL) -> Iterator[Figure]:
    """Measure; the list and the stream on PostgreSQL, else on SQLite: one of them fills the time of a run."""
    yield Figure("fold.us", _fold_us(size.facts), "us a fact")
    if not FOLDER.exists():
        yield Figure(
            "events.unmeasured", 0, f"{FOLDER} is missing: the recordings of EMQX lie beside the project"
        )
        return
    with scratch() as folder, databases(folder) as urls:
        for kind, url in urls.items():
            yield from asyncio.run(_events(folder, url, kind, size.coming))
        if "postgresql" not in urls:
            yield unmeasured("events")
        kind = "postgresql" if "postgresql" in urls else "sqlite"
        yield from asyncio.run(_reconciled(folder, urls[kind], kind, size.listed))
        yield from asyncio.run(stream.measured(folder, urls[kind], kind, size.listeners, size.changes))


# -- the fold -----------------------------------------------------------------------------------------


def _fold_us(count: int) -> float:
    chance = random.Random(1)
    log = list(_log(chance, count))
    # In no order, as it may be heard.
    chance.shuffle(log)
    rounds = []
    for _ in range(5):
        devices: dict[str, Device] = {}
        began = time.perf_counter()
        for name, fact in log:
            device, _ = fold(devices.get(name), name, fact)
            if device is not None:
                devices[name] = device
        rounds.append((time.perf_counter() - began) / len(log) * 1e6)
    return statistics.median(rounds)


def _log(chance: random.Random, count: int) -> Iterator[tuple[str, Fact]]:
    at, on = 1_000, dict[str, int]()
    for _ in range(count):
        at += chance.randrange(3)
        name = client_id(chance.randrange(count // 20))
        if name in on:
            reason = chance.choice(("normal", "tcp_closed", "takenover"))
            yield name, Disconnected(epoch=on.pop(name), at=at, reason=reason, node="n1", employee_id=name)
        else:
            on[name] = at
            yield name, Connected(epoch=at, node="n1", peer="10.0.0.1:5", employee_id=name)


# -- events -------------------------------------------------------------------------------------------


async def _events(folder: Path, url: str, kind: str, clients: int) -> list[Figure]:
    count = clients * happenings.EVENTS_EACH
    share = clients // ASKERS
    paths = [
        questions.write(
            folder / f"{kind}-events-{part}",
            happenings.comings_and_goings(range(part * share, clients if part else share)),
        )
        for part in range(ASKERS)
    ]
    database = Database.open(url)
    try:
        await migrate(database)
        await _know(database, clients)
        async with hooks(folder, url) as (_, asked):
            began = time.perf_counter()
            sent = asyncio.create_task(askers(asked.port, paths))
            await _followed(database, count, sent)
            took = time.perf_counter() - began
            load: Load = await sent
        assert load.failed == 0, f"{load.failed} of {load.requests} events were not stored"
        assert load.requests == count, f"{load.requests} answers to {count} events"
        async with database.read() as connection:
            online = await presence.count_online(connection)
            known = await presence.devices(connection, [client_id(number) for number in range(clients)])
        assert len(known) == clients, f"{len(known)} of {clients} clients are known"
        assert online == (clients + 1) // 2, f"{online} are on of {clients}, of which every other one left"
    finally:
        await database.close()
    return [
        Figure.at_least(f"events.rate[{kind}]", count / took, "events/s, sent to taken in", RATE),
        Figure.at_least(f"events.answered[{kind}]", load.rate, "events/s, sent to stored", RATE),
        Figure(f"events.answer_p99[{kind}]", load.p99_ms, "ms"),
        Figure(f"events.behind[{kind}]", took - load.seconds, "s from the last answer to the last row"),
    ]


async def _followed(database: Database, count: int, sent: "asyncio.Task[Load]") -> None:
    """Take events in, as the worker does, until there were as many as were sent."""
    following = Following(
        database,
        Hearing(""),
        lambda person, said: True,
        Counters(CollectorRegistry()),
        now_ms=lambda: time.time_ns() // 1_000_000,
        sleep=asyncio.sleep,
    )
    task = asyncio.create_task(following.run())
    try:
        while True:
            if sent.done():
                sent.result()
            async with database.read() as connection:
                if await presence.place(connection) >= count:
                    return
            assert not task.done(), "following ended"
            await asyncio.sleep(0.05)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _know(database: Database, clients: int) -> None:
    """Write the sessions that the answered connects had."""
    for start in range(0, clients, BATCH):
        rows = [
            SessionRow(
                client_id=client_id(number), employee_id=employee_id(number), grants_version=1, updated_at=1
            )
            for number in range(start, min(start + BATCH, clients))
        ]
        async with database.write() as connection:
            await sessions.store(connection, rows)


# -- the list -----------------------------------------------------------------------------------------


async def _reconciled(folder: Path, url: str, kind: str, clients: int) -> list[Figure]:
    database = Database.open(url)
    try:
        await migrate(database)
        async with database.write() as connection:
            for table in (schema.presence, schema.presence_person):
                await connection.execute(delete(table))
        await _know(database, clients)
    finally:
        await database.close()
    async with _broker(folder, clients) as broker:
        told = json.loads(await _run(folder, "tests.benchmarks.reconciling", url, broker))
    assert told["online"] == clients, f"{told['online']} of {clients} are on"
    return [
        Figure("reconcile.100k_seconds", told["seconds"], f"s, {clients} clients, none known, {kind}"),
        Figure("reconcile.100k_mib", told["mib"], f"MiB more at the highest, {clients} clients"),
    ]


@asynccontextmanager
async def _broker(folder: Path, clients: int) -> AsyncIterator[str]:
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.benchmarks.broker_list", str(port), str(clients)),
        env=environment(folder),
    )
    try:
        await until_listening(process, port)
        yield f"http://127.0.0.1:{port}"
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _run(folder: Path, module: str, *arguments: str) -> bytes:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, *arguments),
        env=environment(folder),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        raise RuntimeError(f"{module} ended with {process.returncode}")
    return output
