"""What every process begins with: the clock, the loop, and the directory opened as the settings say."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

from directory.connections import parse_url
from directory.database import Database
from directory.migrations import check_schema
from directory.settings import DirectorySettings
from mchat.errors import CommandError
from mchat.settings import CommandSettings, directory_settings


def now_ms() -> int:
    """The wall clock, milliseconds since the epoch: read here and handed to whoever needs the time."""
    return time.time_ns() // 1_000_000


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run one process's main coroutine on uvloop.

    What has been imported stays for good, so the garbage collector leaves it alone from now on: walking over it
    takes tens of milliseconds each time, in which no hook is answered.
    """
    import uvloop  # a command that ends at once runs on asyncio's own loop

    gc.freeze()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)


def open_database(directory: DirectorySettings) -> Database:
    """The pool of connections that the settings describe; nothing is connected yet."""
    return Database.open(
        directory.url(), pool_size=directory.database_pool_size, timeout_s=directory.database_timeout
    )


@contextlib.asynccontextmanager
async def opened(directory: DirectorySettings) -> AsyncIterator[Database]:
    """The directory, of this program's schema.

    Raises:
        CommandError: SQLite's file is not there.
        directory.errors.DirectoryError: it cannot be reached or is of another schema.
    """
    _check_file(directory)
    database = open_database(directory)
    try:
        await check_schema(database)
        yield database
    finally:
        await database.close()


def _check_file(directory: DirectorySettings) -> None:
    url = parse_url(directory.database_url)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").exists():
        raise CommandError(f"there is no database {url.database}: make it with `mchat init`")


Action = Callable[[Database], Coroutine[Any, Any, None]]


async def with_directory(work: Action) -> None:
    """Run one command on the directory."""
    async with opened(directory_settings(CommandSettings())) as database:
        await work(database)
