"""Second processes for the tests of the feed, run as `python -m tests.directory.processes WHAT ...`.

`writer URL`: for each line on its input it commits a change, and prints the version and the time
(CLOCK_MONOTONIC is one clock for all processes). `proxy PORT`: prints its own port, and passes connections
on to PORT; stopped by a signal, it is a network that has gone silent.
"""

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from directory.changes import Subject
from directory.database import Database

ROOT = Path(__file__).parents[2]


@asynccontextmanager
async def running(*arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run this module as a process of its own, gone at the end of the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.directory.processes",
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        process._transport.close()  # type: ignore[attr-defined]


async def answer(process: asyncio.subprocess.Process) -> list[str]:
    """Read one line of a process's output, as words."""
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), 20)
    assert line, "the process ended"
    return line.decode().split()


async def ask(process: asyncio.subprocess.Process, line: str) -> list[str]:
    """Give a process a line and read its answer."""
    assert process.stdin is not None
    process.stdin.write(f"{line}\n".encode())
    await process.stdin.drain()
    return await answer(process)


async def write(url: str) -> None:
    """Commit a change of the named employee for each line."""
    database = Database.open(url)
    print("ready", flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        async with database.change("writer", time.time_ns() // 1_000_000) as change:
            change.touch(Subject("employee", line.strip()))
        print(change.version, time.monotonic(), flush=True)
    await database.close()


async def pass_on(port: int) -> None:
    """Pass connections on to a port of this machine."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pump(reader, there_writer), pump(there_reader, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    what, argument = sys.argv[1:]
    asyncio.run(write(argument) if what == "writer" else pass_on(int(argument)))
