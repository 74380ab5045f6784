"""The change feed on both databases: each version once, in order, soon, and confirmed on demand."""

import asyncio
import random
import time
from collections.abc import Sequence

import pytest
import uvloop
from sqlalchemy import select, text

from directory import schema
from directory.changes import Subject, changes_since, prune_changes, pruned_version
from directory.database import Database
from directory.errors import Unavailable
from directory.feed import Feed
from tests.directory.processes import answer, ask, running
from tests.directory.told import feeding, touch, until


async def test_a_change_of_this_process_is_told(database: Database) -> None:
    async with feeding(database) as (feed, told):
        assert feed.version == 0
        assert await touch(database, "a", "b") == 1
        await until(lambda: feed.version == 1, 1)
        assert told.changes == [(1, [Subject("employee", "a"), Subject("employee", "b")])]


async def test_what_was_before_the_start_is_not_told(database: Database) -> None:
    await touch(database, "a")
    async with feeding(database) as (feed, told):
        assert feed.version == 1
        await feed.catch_up()
        assert told.changes == []


@pytest.mark.timed
async def test_a_change_of_another_process_is_told_within_100_ms(
    database: Database, database_url: str
) -> None:
    trials = 100
    async with feeding(database) as (feed, told), running("writer", database_url) as writer:
        assert await answer(writer) == ["ready"]
        committed: dict[int, float] = {}
        for trial in range(trials):
            version, at = await ask(writer, f"e{trial}")
            committed[int(version)] = float(at)
            # Not in step with the poll.
            await asyncio.sleep(random.uniform(0, 0.03))
        await until(lambda: feed.version == trials)
    assert told.versions == list(range(1, trials + 1))
    assert [subjects for _, subjects in told.changes] == [
        [Subject("employee", f"e{trial}")] for trial in range(trials)
    ]
    late = sorted(1_000 * (told.at[version] - at) for version, at in committed.items())
    cuts = {"p50": late[trials // 2], "p90": late[trials * 9 // 10], "max": late[-1]}
    print(f"feed.wake.{database.dialect}", {name: f"{value:.1f} ms" for name, value in cuts.items()})
    # One in a hundred may meet a pause of the machine.
    assert late[-2] < 100


async def test_a_change_committed_elsewhere_is_known_after_catching_up(
    database: Database, database_url: str
) -> None:
    # So rarely polled that only catch_up can tell.
    async with (
        feeding(database, poll_s=60, proof_s=60) as (feed, told),
        running("writer", database_url) as writer,
    ):
        await answer(writer)
        for trial in range(1, 51):
            version, _ = await ask(writer, f"e{trial}")
            assert await feed.catch_up() >= int(version)
            assert told.versions[-1] >= int(version)
    assert told.versions == list(range(1, 51))


async def test_all_who_wait_share_one_read_sent_after_their_calls(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with feeding(database, poll_s=60, proof_s=60) as (feed, _):
        await feed.catch_up()
        source = feed._source
        reads: list[list[float]] = []
        flying = 0
        newest = source.newest

        async def counted() -> int:
            nonlocal flying
            flying += 1
            assert flying == 1
            sent = time.monotonic()
            found = await newest()
            await asyncio.sleep(0.005)
            flying -= 1
            reads.append([sent, time.monotonic()])
            return found

        monkeypatch.setattr(source, "newest", counted)

        async def caller(number: int) -> None:
            await asyncio.sleep((number % 20) / 1_000)
            called = time.monotonic()
            await feed.catch_up()
            served = time.monotonic()
            assert any(called <= sent and done <= served for sent, done in reads)

        await asyncio.gather(*(caller(number) for number in range(1_000)))
        assert len(reads) <= 12


async def test_reads_are_spaced_whatever_the_rate_of_those_who_ask(database: Database) -> None:
    async with feeding(database, poll_s=60, proof_s=60, spacing_s=0.1) as (feed, _):
        await asyncio.sleep(0.15)
        before, began = feed.reads, time.monotonic()
        await feed.catch_up()
        # Who asks after a pause does not wait.
        assert time.monotonic() - began < 0.1
        while time.monotonic() - began < 0.5:
            await feed.catch_up()
        assert feed.reads - before <= (time.monotonic() - began) / 0.1 + 1


async def test_a_caller_that_gives_up_takes_nobody_along(database: Database) -> None:
    async with feeding(database, poll_s=60, proof_s=60) as (feed, _):
        await feed.catch_up()
        others = [asyncio.create_task(feed.catch_up()) for _ in range(3)]
        await asyncio.sleep(0)
        others[0].cancel()
        assert await asyncio.gather(*others[1:]) == [0, 0]


async def test_each_proof_is_dated_by_its_sending(database: Database) -> None:
    async with feeding(database, poll_s=0.02, proof_s=0.02) as (feed, _):
        for _ in range(5):
            before = time.monotonic()
            await until(lambda before=before: feed.proved_at >= before, 1)  # type: ignore[misc]
            assert feed.proved_at <= time.monotonic()


async def test_writers_at_once_leave_no_hole_and_lose_no_row(database: Database) -> None:
    async with feeding(database) as (feed, told):

        async def work(writer: int) -> list[tuple[int, str]]:
            found = []
            for turn in range(25):
                name = f"w{writer}.{turn}"
                found.append((await touch(database, name), name))
            return found

        written = [
            one for some in await asyncio.gather(*(work(writer) for writer in range(8))) for one in some
        ]
        await until(lambda: feed.version == 200)
    assert sorted(version for version, _ in written) == list(range(1, 201))
    assert told.changes == [(version, [Subject("employee", name)]) for version, name in sorted(written)]
    async with database.read() as connection:
        assert await changes_since(connection, 0) == [
            (version, Subject("employee", name)) for version, name in sorted(written)
        ]


async def test_a_reader_behind_the_pruned_changes_drops_everything(database: Database) -> None:
    async with feeding(database, poll_s=60, proof_s=60) as (feed, told):
        # The first rows are pruned before this reader looked; PostgreSQL tells it each change at once.
        monkey = feed._source.newest
        gate = asyncio.Event()

        async def gated() -> int:
            await gate.wait()
            return await monkey()

        feed._source.newest = gated  # type: ignore[method-assign]
        for name in "abc":
            await touch(database, name)
        async with database.write() as connection:
            assert await prune_changes(connection, 2**60) == 3
        async with database.read() as connection:
            assert await pruned_version(connection) == 3
            assert await changes_since(connection, 0) == []
        await touch(database, "d")
        gate.set()
        assert await feed.catch_up() == 4
        assert told.changes == [(4, None)]
        await touch(database, "e")
        await feed.catch_up()
        assert told.changes[1:] == [(5, [Subject("employee", "e")])]


async def test_rows_pruned_between_the_two_reads_are_noticed(database: Database) -> None:
    async with feeding(database, poll_s=60, proof_s=60) as (feed, told):
        source = feed._source
        changes = source.changes

        async def pruned(after: int, until: int) -> list[tuple[int, Subject]]:
            return (await changes(after, until))[1:]

        source.changes = pruned  # type: ignore[method-assign]
        async with database.write() as connection:
            await connection.execute(schema.feed.update().values(version=2))
        await feed.catch_up()
        assert told.changes == [(2, None)]


async def test_pruning_keeps_what_is_young(database: Database) -> None:
    for now_ms in (1_000, 2_000, 3_000):
        async with database.change("test", now_ms) as change:
            change.touch(Subject("employee", "a"), Subject("employee", "b"))
    async with database.write() as connection:
        assert await prune_changes(connection, 2_000) == 2
        assert await prune_changes(connection, 2_000) == 0
    async with database.read() as connection:
        assert (await connection.execute(select(schema.feed))).one() == (1, 3, 1)
        assert [version for version, _ in await changes_since(connection, 1)] == [2, 2, 3, 3]


async def test_an_older_database_restored_in_place_drops_everything(database: Database) -> None:
    await touch(database, "a")
    await touch(database, "b")
    async with feeding(database, poll_s=60, proof_s=60) as (feed, told):
        async with database.write() as connection:
            await connection.execute(text("UPDATE feed SET version = 1"))
            await connection.execute(text('DELETE FROM "change" WHERE version = 2'))
        assert await feed.catch_up() == 1
        assert told.changes == [(1, None)]


async def test_a_version_that_could_not_be_applied_is_told_again(database: Database) -> None:
    told: list[int] = []

    def stumbling(version: int, subjects: Sequence[Subject] | None) -> None:
        told.append(version)
        if len(told) < 4:
            raise ValueError("stumbled")

    feed = Feed(database, on_change=stumbling)
    await feed.start()
    try:
        await touch(database, "a")
        await until(lambda: feed.version == 1)
        assert told == [1, 1, 1, 1]
        assert feed.connected
    finally:
        await feed.stop()


async def test_a_stopped_feed_serves_nobody(database: Database) -> None:
    async with feeding(database) as (feed, _):
        await feed.catch_up()
        waiting = asyncio.create_task(feed.catch_up())
        await asyncio.sleep(0)
    with pytest.raises(Unavailable, match="stopped"):
        await waiting
    with pytest.raises(Unavailable):
        await feed.catch_up()


def test_the_feed_runs_on_uvloop(database_url: str) -> None:
    # Hooks are served on uvloop; other tests run on asyncio's own loop.
    async def told_and_confirmed() -> None:
        database = Database.open(database_url)
        async with feeding(database) as (feed, told):
            await touch(database, "a")
            await until(lambda: feed.version == 1, 1)
            await touch(database, "b")
            assert await feed.catch_up() == 2
            assert told.versions == [1, 2]
        await database.close()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(told_and_confirmed())


@pytest.mark.timed
async def test_what_a_confirmed_read_costs(database: Database) -> None:
    async def cost(turns: int, read: object) -> float:
        rounds: list[float] = []
        for _ in range(5):
            before = time.process_time()
            for _ in range(turns):
                await read()  # type: ignore[operator]
            rounds.append(1e6 * (time.process_time() - before) / turns)
        return min(rounds)

    async def by_sqlalchemy() -> None:
        async with database.read() as connection:
            await connection.execute(select(schema.feed.c.version))

    async with feeding(database, spacing_s=0) as (feed, _):

        async def shared() -> None:
            await asyncio.gather(*(feed.catch_up() for _ in range(32)))

        alone, plain = await cost(300, feed.catch_up), await cost(60, by_sqlalchemy)
        together = await cost(60, shared) / 32
    print(
        f"feed.catch_up.{database.dialect} alone {alone:.0f} µs of CPU, one of 32 together {together:.1f} µs; "
        f"through the pool {plain:.0f} µs"
    )
    assert alone < plain / 3
