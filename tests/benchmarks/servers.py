"""What the HTTP benchmarks run: databases with a company in them, the hooks, and the constant beside them."""

import asyncio
import re
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.acceptance.processes import Hooks, environment, serving_hooks
from tests.benchmarks.figures import Figure
from tests.benchmarks.generator import Load, drive
from tests.benchmarks.processors import Use, pin
from tests.postgres import find_binaries, free_port, running_postgres

START_S = 30.0


@contextmanager
def databases(folder: Path) -> Iterator[dict[str, str]]:
    """The URLs of one empty database of each kind that this machine can run, by kind."""
    found = {"sqlite": f"sqlite:///{folder / 'mchat.db'}"}
    binaries = find_binaries()
    if binaries is None:
        yield found
        return
    with running_postgres(binaries) as server:
        yield {**found, "postgresql": server.create("benchmark")}


def unmeasured(name: str) -> Figure:
    """The line that stands where a database is not installed."""
    return Figure(
        f"{name}.unmeasured[postgresql]", 0, "PostgreSQL is not installed: apt-get install postgresql"
    )


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder that is gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="mchat-benchmark-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class Measured:
    """One run of the generator against one server.

    Attributes:
        load: how it went.
        busy: the share of the time in which the server was running or ready to.
        waited: the share in which it was ready and something else had its processor.
        cpu_us: microseconds on a processor for each answer: what a busy neighbour changes least.
    """

    load: Load
    busy: float
    waited: float
    cpu_us: float


@dataclass(frozen=True, slots=True)
class Target:
    """A server that is asked: its port and its process."""

    port: int
    pid: int

    async def measure(self, path: Path, seconds: int, first: int) -> Measured:
        """Ask the requests of a file for so many seconds.

        Raises:
            RuntimeError: an answer was no 200, or did not come.
        """
        before, began = Use.of(self.pid), time.perf_counter()
        load = await drive(self.port, path, seconds, first)
        used, took = Use.of(self.pid), time.perf_counter() - began
        if load.failed:
            raise RuntimeError(f"{load.failed} of {load.requests} questions got no answer")
        took = min(took, load.seconds)
        waited = (used.waited - before.waited) / 1e9 / took
        cpu_us = (used.ran - before.ran) / 1e3 / load.requests
        return Measured(load, used.busy(before, took), waited, cpu_us)


@asynccontextmanager
async def constant(folder: Path, processor: int | None, how: str = "") -> AsyncIterator[Target]:
    """The server that answers a constant, on the processor of the hooks; ``prompt``: as it reads."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.benchmarks.constant", str(port), how), env=environment(folder)
    )
    try:
        await until_listening(process, port)
        pin(process.pid, processor)
        yield Target(port, process.pid)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@asynccontextmanager
async def hooks(folder: Path, url: str, processor: int | None = None) -> AsyncIterator[tuple[Hooks, Target]]:
    """`mchat serve hooks` on the database of ``url``."""
    async with serving_hooks(folder, url) as running:
        pin(running.process.pid, processor)
        yield running, Target(running.port, running.process.pid)


async def answers(running: Hooks, hook: str) -> dict[str, int]:
    """How often a hook has answered ``allow`` and ``deny`` so far, by its own count."""
    text = (await running.client.get("/metrics")).text
    counted = {"allow": 0, "deny": 0}
    pattern = rf'^mchat_hook_answers_total{{hook="{hook}",kind="[^"]*",result="(\w+)"}} (\S+)$'
    for result, value in re.findall(pattern, text, re.MULTILINE):
        counted[result] += int(float(value))
    return counted


def middle(rounds: list[Measured], of: Callable[[Measured], float]) -> float:
    """The median of one figure over the rounds."""
    return statistics.median(of(each) for each in rounds)


def generator_figures(name: str, kind: str, runs: dict[str, list[Measured]]) -> Iterator[Figure]:
    """Show for each run that the server, not the generator, was at its limit, and what else the machine did."""
    for run, rounds in runs.items():
        busy = middle(rounds, lambda one: one.busy)
        yield Figure.at_least(f"{name}.busy[{kind}, {run}]", busy, "of the time the server was busy", 0.95)
        waited = middle(rounds, lambda one: one.waited)
        yield Figure(f"{name}.disturbed[{kind}, {run}]", waited, "of the time others had its processor")
        cpu = middle(rounds, lambda one: one.cpu_us)
        yield Figure(f"{name}.cpu[{kind}, {run}]", cpu, "us of a processor an answer")


async def until_listening(process: asyncio.subprocess.Process, port: int) -> None:
    """Wait until a process takes connections on a port."""
    async with asyncio.timeout(START_S):
        while True:
            assert process.returncode is None, f"the process ended with {process.returncode}"
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                await writer.wait_closed()
                return
