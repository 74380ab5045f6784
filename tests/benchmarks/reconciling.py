"""A process that reconciles: ``python -m tests.benchmarks.reconciling DATABASE_URL BROKER_URL``.

Reconciles with nothing known, and prints one JSON object: how long it took and how far the process grew above what it
held before, at its highest. A process of its own, since memory that was used before hides
what is used now.
"""

import asyncio
import json
import resource
import sys
import time
from pathlib import Path

import uvloop
from prometheus_client import CollectorRegistry

from acl_service.presence.counters import Counters
from acl_service.presence.intruders import Intruders
from acl_service.presence.reconcile import Reconciler
from directory import presence
from directory.database import Database
from emqx.api.broker import BrokerApi
from tests.emqx.api.conftest import api_settings


def _mib_now() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def _mib_highest() -> float:
    # Not getrusage's: that one remembers the process which started this one.
    (line,) = (one for one in Path("/proc/self/status").read_text().splitlines() if one.startswith("VmHWM"))
    return int(line.split()[1]) / 2**10


async def main(database_url: str, broker_url: str) -> dict[str, float]:
    """Reconcile."""
    database = Database.open(database_url)
    counters = Counters(CollectorRegistry())
    try:
        async with BrokerApi(api_settings(broker_url)) as api:
            reconciler = Reconciler(
                database,
                api,
                Intruders(database, api, counters),
                counters,
                lambda: time.time_ns() // 1_000_000,
            )
            async with database.read() as connection:
                assert not await presence.count_online(connection)
            before, began = _mib_now(), time.perf_counter()
            found = await reconciler.reconcile()
            took = time.perf_counter() - began
            highest = _mib_highest()
            async with database.read() as connection:
                online = await presence.count_online(connection)
    finally:
        await database.close()
    assert online == found.listed, f"{online} online of {found.listed}"
    assert (found.came, found.went, found.intruders) == (found.listed, 0, 0), f"it found {found}"
    return {"online": online, "seconds": took, "mib": max(0.0, highest - before)}


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        told = runner.run(main(*sys.argv[1:]))
    print(json.dumps(told))
