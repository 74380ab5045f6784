"""The load generator: wrk where it is installed, else processes of our own (``asker``)."""

import asyncio
import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

CONNECTIONS = 32
"""Of EMQX's pool to each hook, one question in flight on each (emqx-contract: ``pool_size = 32``)."""

_ASKERS = 2


@dataclass(frozen=True, slots=True)
class Load:
    """How one run of a generator went.

    Attributes:
        rate: answers a second.
        p99_ms: the time that one answer in a hundred took longer than.
        seconds: how long it took.
        requests: answers in all.
        failed: answers other than 200, and connections that broke.
        allowed: allows among them; 0 from wrk, which does not read answers.
        timeouts: answers that took longer than EMQX waits; among the failed ones of wrk.
    """

    rate: float
    p99_ms: float
    seconds: float
    requests: int
    failed: int
    allowed: int
    timeouts: int


async def drive(port: int, path: Path, seconds: int, first: int) -> Load:
    """Ask the requests of a file for so many whole seconds, beginning with the one at ``first``.

    Raises:
        RuntimeError: the generator failed.
    """
    wrk = shutil.which("wrk")
    if wrk is None:
        return await askers(port, [path] * _ASKERS, seconds, first)
    lua = Path(__file__).with_name("requests.lua")
    command = (wrk, "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "5s", "-s", str(lua))
    told = await _run(*command, f"http://127.0.0.1:{port}/", "--", str(path), str(first))
    return _load([told])


async def askers(port: int, paths: Sequence[Path], seconds: int = 0, first: int = 0) -> Load:
    """Have one process of our own for each file share the connections; no seconds: each request once.

    Raises:
        RuntimeError: one of them failed.
    """
    command = (sys.executable, "-m", "tests.benchmarks.asker", str(port), str(CONNECTIONS // len(paths)))
    # Each begins elsewhere, so that two of the same file do not ask the same.
    runs = (_run(*command, str(first + at * 7_919), str(seconds), str(path)) for at, path in enumerate(paths))
    return _load(await asyncio.gather(*runs))


async def _run(*command: str) -> dict[str, float]:
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        raise RuntimeError(f"{command[0]} ended with {process.returncode}")
    told: dict[str, float] = json.loads(output.splitlines()[-1])
    return told


def _load(told: Sequence[Mapping[str, float]]) -> Load:
    return Load(
        rate=sum(one["requests"] / one["seconds"] for one in told),
        # Of several the worst: never better than that of all together.
        p99_ms=max(one["p99_ms"] for one in told),
        seconds=max(one["seconds"] for one in told),
        **{
            name: int(sum(one.get(name, 0) for one in told))
            for name in ("requests", "failed", "allowed", "timeouts")
        },
    )
