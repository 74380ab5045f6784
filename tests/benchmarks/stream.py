"""The stream of presence: from the commit of a change to 200 listeners.

They read ``GET /admin/presence/stream`` of a running `mchat serve admin`, in a process of their own
(`tests.benchmarks.listeners`); from the return of the commit that changes somebody's standing to the moment when a
listener has read it. Both moments are of the machine's one monotonic clock.
"""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx

from directory import standing
from directory.database import Database
from tests.acceptance.enforcement.removals import at
from tests.acceptance.processes import environment
from tests.acl_service.serving import activate_profile, add_person
from tests.benchmarks.figures import Figure
from tests.benchmarks.servers import until_listening
from tests.postgres import free_port

EACH = 20
"""Streams of one operator: as many as one person may have open (`acl_service.admin.presence_listeners.Bounds`)."""

EVERY_S = 0.04
"""Between two changes that listeners hear of."""


async def measured(folder: Path, url: str, kind: str, listeners: int, changes: int) -> list[Figure]:
    """Have people come, one after the other, on a migrated database, and tell when the listeners have heard of it."""
    database = Database.open(url)
    try:
        await activate_profile(database)
        operators = [f"olga{number}" for number in range(-(-listeners // EACH))]
        secrets = [await add_person(database, one, role="ops") for one in operators]
        async with _admin(folder, url) as port:
            tokens = [await _token(port, *one) for one in zip(operators, secrets, strict=True)]
            async with database.read() as connection:
                before = await standing.newest_change(connection)
            last = before + changes
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.benchmarks.listeners"),
                *map(str, (port, listeners, last)),
                env=environment(folder),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
            )
            try:
                assert process.stdin is not None
                assert process.stdout is not None
                process.stdin.write(f"{' '.join(tokens)}\n".encode())
                assert await process.stdout.readline() == b"ready\n", "the listeners were not let in"
                committed = await _changes(database, changes)
                output, _ = await process.communicate()
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
    finally:
        await database.close()
    heard = [dict(one) for one in json.loads(output)]
    # Whoever listens hears of the newest of several changes of a person, and of the last of all for sure.
    assert all(last in one for one in heard), "somebody did not hear of the last change"
    took = [(moment - committed[number]) / 1e9 for one in heard for number, moment in one.items()]
    return [
        Figure("sse.200_listeners_p99", at(took, 0.99), f"s, {listeners} listeners, {kind}"),
        Figure("sse.200_listeners_p50", at(took, 0.5), f"s, {listeners} listeners, {kind}"),
        Figure("sse.heard", len(took) / (len(heard) * changes), "of the changes, by each listener"),
    ]


async def _changes(database: Database, count: int) -> dict[int, int]:
    """Have people come and go, one each time; the moment of each commit, by the number of the change."""
    committed: dict[int, int] = {}
    async with database.write() as connection:
        await standing.touch(connection, [f"came_{number}" for number in range(count)], 0)
    for number in range(count):
        name = f"came_{number}"
        async with database.read() as connection:
            seen = await standing.people(connection, [name])
        now = replace(seen[name], status="online", devices=1, due_at=None)
        async with database.write() as connection:
            await standing.store(connection, [now], seen=seen)
            changed = await standing.newest_change(connection)
        committed[changed] = time.monotonic_ns()
        await asyncio.sleep(EVERY_S)
    return committed


@asynccontextmanager
async def _admin(folder: Path, url: str) -> AsyncIterator[int]:
    port = free_port()
    variables = environment(folder, database_url=url, admin_bind=f"127.0.0.1:{port}", log_level="error")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mchat", "serve", "admin"), cwd=folder, env=variables
    )
    try:
        await until_listening(process, port)
        yield port
    finally:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.wait(), 15)


async def _token(port: int, operator: str, secret: str) -> str:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
        body = {"username": operator, "password": secret}
        answer = await client.post("/admin/login", json=body)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])
