"""The gateway on mosquitto: how many requests it answers, after how long, and what of the processor each costs.

Beside it runs a bare paho echo (`tests.benchmarks.mqtt_echo`) at the same broker, asked by the same generators in turns
with the gateway, so that a busy neighbour is in both figures. `NAME.rate@N`, `NAME.p50@N`, `NAME.p95@N` (request to
response), `NAME.delivered_p50@N` (request to delivery) and `NAME.cpu_us@N` (of the gateway's process for each request)
are those of N requests outstanding. The generators are processes of their own; what each process used is told at the
end. The database is SQLite, org.tree is that of the few people that ask, and the gateway writes its log as JSON, a
line for each request, which the echo does not. `NAME.unanswered@N`: answers that were not awaited to the end.
"""

import asyncio
import json
import os
import statistics
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from directory import groups
from directory.database import Database
from tests.acceptance.processes import environment
from tests.benchmarks.figures import Figure
from tests.benchmarks.mqtt_asker import employee_id, group_id
from tests.benchmarks.servers import scratch
from tests.gateway.stage import join
from tests.mosquitto import find_mosquitto, running_mosquitto
from tests.postgres import free_port

ACTIONS = ("org.tree", "msg.send_private", "msg.send_group", "group.create")
PRIVATE = "msg.send_private"
START_S = 60.0


@dataclass(frozen=True, slots=True)
class Size:
    """How much is asked.

    Attributes:
        generators: processes that ask.
        clients: that each of them connects; they are one group.
        outstanding: requests that are unanswered at once.
        seconds: of each measurement.
        turn: seconds of each turn of the echo or the gateway, at the least and the most outstanding.
        rounds: of such turns: many short ones, so that a busy neighbour disturbs both alike.
    """

    generators: int = 2
    clients: int = 20
    outstanding: tuple[int, ...] = (1, 10, 50, 200)
    seconds: float = 0.6
    turn: float = 0.4
    rounds: int = 9


FULL = Size()


@dataclass(slots=True)
class Load:
    """One measurement.

    Attributes:
        seconds: for which requests were sent.
        cpu_us: of whoever answered, for each answer.
        answers: seconds from request to response, of all that were sent.
        deliveries: seconds from request to delivery.
        in_time: responses that came while requests were sent.
        failed: requests that were refused.
        left: requests that were not answered within two more seconds.
    """

    seconds: float
    cpu_us: float = 0.0
    answers: list[float] = field(default_factory=list)
    deliveries: list[float] = field(default_factory=list)
    in_time: int = 0
    failed: int = 0
    left: int = 0

    @property
    def rate(self) -> float:
        """Answers a second, those that came late not counted."""
        return self.in_time / self.seconds


def figures(size: Size = FULL) -> Iterator[Figure]:
    """Measure; one line that says so, where there is no mosquitto."""
    program = find_mosquitto()
    if program is None:
        yield Figure("gateway.unmeasured", 0, "mosquitto is not installed: apt-get install mosquitto")
        return
    with scratch() as folder, running_mosquitto(program, "set_tcp_nodelay true") as port:
        yield from asyncio.run(_measured(folder, port, size))


def used_us(pid: int) -> float:
    """Microseconds on a processor that all threads of a process have used so far."""
    total = 0
    for thread in Path(f"/proc/{pid}/task").iterdir():
        total += int((thread / "schedstat").read_text().split()[0])
    return total / 1e3


def _brokers() -> dict[str, int]:
    """The mosquitto that this process runs."""
    tasks = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    pids = {int(pid) for task in tasks for pid in task.read_text().split()}
    names = {Path(f"/proc/{pid}/comm").read_text().strip(): pid for pid in pids}
    return {name: pid for name, pid in names.items() if name == "mosquitto"}


async def _measured(folder: Path, port: int, size: Size) -> list[Figure]:
    async with AsyncExitStack() as stack:
        gateway = await stack.enter_async_context(_gateway(folder, port, size))
        echo = await stack.enter_async_context(_process("tests.benchmarks.mqtt_echo", port))
        askers = [
            await stack.enter_async_context(_process("tests.benchmarks.mqtt_asker", port, one, size.clients))
            for one in range(size.generators)
        ]
        everybody = {"gateway": gateway.pid, "echo": echo.pid, **_brokers()}
        everybody.update({f"generator {number}": one.pid for number, one in enumerate(askers)})
        began, before = time.perf_counter(), {name: used_us(pid) for name, pid in everybody.items()}

        async def load(place: str, action: str, outstanding: int, seconds: float) -> Load:
            of = echo if place else gateway
            return await _load(askers, of, place, action, outstanding, seconds)

        told: list[Figure] = []
        for action in ACTIONS:
            # Once unmeasured: memory is read, statements are prepared.
            await load("", action, 10, size.seconds / 4)
        least, most = min(size.outstanding), max(size.outstanding)
        pairs: dict[int, list[tuple[Load, Load]]] = {least: [], most: []}
        for outstanding, taken in pairs.items():
            for _ in range(size.rounds):
                bare = await load("echo/", PRIVATE, outstanding, size.turn)
                taken.append((bare, await load("", PRIVATE, outstanding, size.turn)))
        for action in ACTIONS:
            for outstanding in size.outstanding:
                if action == PRIVATE and outstanding in pairs:
                    found = [ours for _, ours in pairs[outstanding]]
                else:
                    found = [await load("", action, outstanding, size.seconds)]
                told += _figures(action, outstanding, found)
        for outstanding, taken in pairs.items():
            told += _figures("echo", outstanding, [bare for bare, _ in taken])
        told += _bars(pairs[least], pairs[most], least, most)
        seconds = time.perf_counter() - began
        told += [
            Figure(f"gateway.busy[{name}]", (used_us(pid) - before[name]) / 1e6 / seconds, "of a processor")
            for name, pid in everybody.items()
        ]
        return told


def _figures(action: str, outstanding: int, loads: list[Load]) -> Iterator[Figure]:
    """The medians of the rounds."""
    name = {"msg.send_private": "send_private", "msg.send_group": "send_group"}.get(action, action)

    def median(values: list[float]) -> float:
        return statistics.median(values)

    yield Figure(f"{name}.rate@{outstanding}", median([one.rate for one in loads]), "answers/s")
    for share in (50, 95):
        value = median([_percentile(one.answers, share) for one in loads])
        yield Figure(f"{name}.p{share}@{outstanding}", value * 1e3, "ms")
    if loads[0].deliveries:
        value = median([_percentile(one.deliveries, 50) for one in loads])
        yield Figure(f"{name}.delivered_p50@{outstanding}", value * 1e3, "ms")
    yield Figure(f"{name}.cpu_us@{outstanding}", median([one.cpu_us for one in loads]), "us a request")
    if failed := sum(one.failed for one in loads):
        yield Figure.at_most(f"{name}.failed@{outstanding}", failed, "requests", 0)
    if left := sum(one.left for one in loads):
        yield Figure(f"{name}.unanswered@{outstanding}", left, "requests")


def _bars(
    at_least: list[tuple[Load, Load]], at_most: list[tuple[Load, Load]], least: int, most: int
) -> Iterator[Figure]:
    """The bars of design.md; each ratio is the median of those of the rounds."""
    rates = [ours.rate / bare.rate for bare, ours in at_most]
    rate = statistics.median(ours.rate for _, ours in at_most)
    baseline = statistics.median(bare.rate for bare, _ in at_most)
    ratio = statistics.median(rates)
    yield Figure.compared("send_private.vs_echo", rate, "answers/s", baseline, ratio, 0.7)
    ratio = statistics.median(ours.cpu_us / bare.cpu_us for bare, ours in at_most)
    yield Figure.at_most(f"send_private.cpu_vs_echo@{most}", ratio, "times the echo's", 2)
    ratio = statistics.median(
        _percentile(ours.answers, 50) / _percentile(bare.answers, 50) for bare, ours in at_least
    )
    yield Figure.at_most(f"send_private.p50_vs_echo@{least}", ratio, "times the echo's", 2)


def _percentile(values: list[float], share: int) -> float:
    if not values:
        raise RuntimeError("nothing was answered within the time of a measurement")
    ordered = sorted(values)
    return ordered[min(len(ordered) * share // 100, len(ordered) - 1)]


async def _load(
    askers: "list[asyncio.subprocess.Process]",
    of: "asyncio.subprocess.Process",
    place: str,
    action: str,
    outstanding: int,
    seconds: float,
) -> Load:
    shares = [len(range(number, outstanding, len(askers))) for number in range(len(askers))]
    before = used_us(of.pid)
    asked = [
        _task(one, {"place": place, "action": action, "outstanding": share, "seconds": seconds})
        for one, share in zip(askers, shares, strict=True)
        if share
    ]
    load = Load(seconds)
    for told in await asyncio.gather(*asked):
        load.answers += told["answers"]
        load.deliveries += told["deliveries"]
        load.in_time += told["in_time"]
        load.failed += told["failed"]
        load.left += told["left"]
    load.cpu_us = (used_us(of.pid) - before) / max(len(load.answers), 1)
    return load


async def _task(asker: "asyncio.subprocess.Process", task: dict[str, Any]) -> dict[str, Any]:
    assert asker.stdin is not None and asker.stdout is not None
    asker.stdin.write(json.dumps(task).encode() + b"\n")
    line = await asker.stdout.readline()
    if not line:
        raise RuntimeError("a generator ended: its error is above")
    told: dict[str, Any] = json.loads(line)
    return told


@asynccontextmanager
async def _process(module: str, *arguments: object) -> "AsyncIterator[asyncio.subprocess.Process]":
    """A process that says a line when it is ready."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, *map(str, arguments)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 24,
    )
    try:
        assert process.stdout is not None
        if not await asyncio.wait_for(process.stdout.readline(), START_S):
            raise RuntimeError(f"{module} ended before it was ready")
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@asynccontextmanager
async def _gateway(folder: Path, port: int, size: Size) -> "AsyncIterator[asyncio.subprocess.Process]":
    """`mchat serve gateway` with those who ask in its database, each with a session."""
    health = f"127.0.0.1:{free_port()}"
    variables = environment(
        folder,
        gateway_port=port,
        gateway_bind=health,
        anyone_creates_groups="true",
        # As a server's log is written, a line a request among it.
        log_json="true",
    )
    await _run("init", folder, variables)
    database = Database.open(f"sqlite:///{folder / 'var' / 'mchat.db'}")
    try:
        for number in range(size.generators):
            people = [employee_id(number, one) for one in range(size.clients)]
            await join(database, *people)
            async with database.change("benchmark", 1_000) as change:
                name = group_id(number)
                await groups.create(change, name=name, creator=people[0], group_id=name)
                await groups.add_members(change, name, people[1:])
    finally:
        await database.close()
    with (folder / "gateway.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "mchat", "serve", "gateway"),
            cwd=folder,
            env=variables,
            stdout=log,
            stderr=log,
        )
    try:
        async with asyncio.timeout(START_S), httpx.AsyncClient() as client:
            while not await _is_ready(client, health):
                if process.returncode is not None:
                    raise RuntimeError((folder / "gateway.log").read_text()[-2_000:])
                await asyncio.sleep(0.05)
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.wait(), 20)


async def _is_ready(client: httpx.AsyncClient, health: str) -> bool:
    try:
        return (await client.get(f"http://{health}/health/ready")).status_code == 200
    except httpx.TransportError:
        return False


async def _run(command: str, folder: Path, variables: dict[str, str]) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mchat", command),
        cwd=folder,
        env=variables,
        stdout=asyncio.subprocess.DEVNULL,
    )
    if await process.wait() != 0:
        raise RuntimeError(f"mchat {command} ended with {process.returncode}")
