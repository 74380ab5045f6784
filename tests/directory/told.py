"""A reader of the feed that writes down what it was told and when."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from directory.changes import Subject
from directory.database import Database
from directory.feed import Feed


class Told:
    """What a feed told: versions with their subjects, in the order of telling."""

    def __init__(self) -> None:
        self.changes: list[tuple[int, Sequence[Subject] | None]] = []
        self.at: dict[int, float] = {}

    def __call__(self, version: int, subjects: Sequence[Subject] | None) -> None:
        self.changes.append((version, subjects))
        self.at[version] = time.monotonic()

    @property
    def versions(self) -> list[int]:
        """The versions, in the order of telling."""
        return [version for version, _ in self.changes]


@asynccontextmanager
async def feeding(database: Database, **settings: float) -> AsyncIterator[tuple[Feed, Told]]:
    """Run a feed with a reader that writes down."""
    told = Told()
    feed = Feed(database, on_change=told, **settings)  # type: ignore[arg-type]
    await feed.start()
    try:
        yield feed, told
    finally:
        await feed.stop()


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> float:
    """Wait until a condition holds, and return the seconds that it took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, f"not within {seconds} s"
        await asyncio.sleep(0.002)
    return time.monotonic() - began


async def touch(database: Database, *names: str) -> int:
    """Commit a change of the named employees."""
    async with database.change("test", time.time_ns() // 1_000_000) as change:
        change.touch(*(Subject("employee", name) for name in names))
    assert change.version is not None
    return change.version
