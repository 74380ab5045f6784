"""What attackers and auditors tried on the directory, each kept as a test."""

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path

import pytest
from psycopg import sql
from sqlalchemy import event, select, update

from directory import credentials, events, outbox, registrations, schema
from directory.changes import Subject
from directory.connections import parse_url
from directory.database import Database
from directory.errors import InvalidId, InvalidValue, Unavailable
from directory.events import EventRow
from directory.feed import Feed
from directory.owners import candidates, owners
from directory.secret import hash_password, verify_password
from tests.directory.company import hire, version_of
from tests.directory.told import Told, feeding, touch, until
from tests.postgres import PostgresServer

_BCRYPT = "$2b$12$" + "a" * 53
_ARGON2 = "$argon2id$v=19$m=65536,t=4,p=1$" + "c2FsdHNhbHQ" + "$" + "a" * 43
_PBKDF2 = "$pbkdf2-sha512$500000$c2FsdHNhbHQ$" + "a" * 86


# -- a history that is another one after the connection was lost ----------------------------------------


async def _rewrite_history(database: Database) -> None:
    # The same numbers, other changes: as on a replica that lagged when it took over.
    async with database.write() as connection:
        await connection.execute(update(schema.change).values(subject_id="another"))


@pytest.fixture
async def cut(database: Database) -> AsyncIterator[tuple[Feed, Told]]:
    """A feed that stands at version 1, whose connection was let go, and the history rewritten behind it."""
    async with feeding(database, poll_s=60, proof_s=60) as (feed, told):
        await touch(database, "one")
        assert await feed.catch_up() == 1
        await _rewrite_history(database)
        feed._source.close()
        yield feed, told


async def test_behind_a_connection_made_anew_everything_is_unknown_at_the_same_version_too(
    cut: tuple[Feed, Told],
) -> None:
    feed, told = cut
    assert await feed.catch_up() == 1
    assert told.changes == [(1, [Subject("employee", "one")]), (1, None)]
    assert (feed.version, feed.connected) == (1, True)
    # Once only: this connection is known now.
    assert await feed.catch_up() == 1
    assert len(told.changes) == 2


async def test_behind_a_connection_made_anew_everything_is_unknown_at_a_higher_version(
    cut: tuple[Feed, Told], database: Database
) -> None:
    feed, told = cut
    await touch(database, "two")
    assert await feed.catch_up() == 2
    assert told.changes[1:] == [(2, None)]
    await touch(database, "three")
    assert await feed.catch_up() == 3
    assert told.changes[2:] == [(3, [Subject("employee", "three")])]


async def test_what_could_not_be_dropped_is_told_as_unknown_again(database: Database) -> None:
    told: list[tuple[int, Sequence[Subject] | None]] = []

    def stumbling(version: int, subjects: Sequence[Subject] | None) -> None:
        told.append((version, subjects))
        if len(told) < 3:
            raise ValueError("stumbled")

    feed = Feed(database, on_change=stumbling, poll_s=60, proof_s=60)
    await feed.start()
    try:
        feed._source.close()
        with pytest.raises(Unavailable, match="could not be applied"):
            await feed.catch_up()
        await until(lambda: feed.connected)
        assert told == [(0, None)] * 3
    finally:
        await feed.stop()


@pytest.mark.postgres
@pytest.mark.parametrize("names", [("x",), ("x", "y"), ("x", "y", "z")])
async def test_after_a_fail_over_to_another_timeline_everything_is_unknown(
    postgres_server: PostgresServer, postgres_template: str, postgres_url: str, names: tuple[str, ...]
) -> None:
    name = postgres_url.rsplit("/", 1)[1]
    # Another database, with a history of its own, stands up under the old one's address.
    other, gone = f"{name}_b", f"{name}_gone"
    taker_url = postgres_server.create(other, postgres_template)
    first, taker = Database.open(postgres_url), Database.open(taker_url)
    try:
        async with feeding(first, proof_s=0.02) as (feed, told):
            await touch(first, "a")
            await touch(first, "b")
            await until(lambda: feed.version == 2)
            for one in names:
                await touch(taker, one)
            await first.close()
            await taker.close()
            await asyncio.to_thread(_take_over, postgres_server, name, gone, other)
            await until(lambda: None in [subjects for _, subjects in told.changes])
            await until(lambda: feed.connected)
            assert feed.version == len(names)
        assert told.changes[2:] == [(len(names), None)]
    finally:
        postgres_server.drop(gone)
        postgres_server.drop(other)


def _take_over(server: PostgresServer, name: str, gone: str, other: str) -> None:
    old = sql.Identifier(name)
    server.execute(sql.SQL("ALTER DATABASE {} WITH ALLOW_CONNECTIONS false").format(old))
    server.execute(
        sql.SQL(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname IN ({}, {})"
        ).format(sql.Literal(name), sql.Literal(other))
    )
    server.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(old, sql.Identifier(gone)))
    server.execute(sql.SQL("ALTER DATABASE {} RENAME TO {}").format(sql.Identifier(other), old))


async def test_a_file_that_was_away_comes_back_as_unknown(sqlite_url: str, tmp_path: Path) -> None:
    database = Database.open(sqlite_url)
    path, away = tmp_path / "mchat.db", tmp_path / "away.db"
    async with feeding(database, poll_s=0.01) as (feed, told):
        await touch(database, "a")
        await until(lambda: feed.version == 1)
        os.rename(path, away)  # noqa: PTH104
        await until(lambda: not feed.connected)
        os.rename(away, path)  # noqa: PTH104
        await until(lambda: feed.connected)
        assert told.changes[1:] == [(1, None)]
    await database.close()


# -- a fault that nobody thought of --------------------------------------------------------------------


async def test_a_feed_outlives_a_fault_that_nobody_thought_of(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with feeding(database, poll_s=60, proof_s=60) as (feed, told):
        await feed.catch_up()
        newest, opened = feed._source.newest, feed._source.open
        faults: Iterator[str] = iter(["newest", "open", "open"])

        def fail(where: str) -> None:
            if next(faults, None) == where:
                raise LookupError("hunter2 in the message of a stranger")

        async def failing_newest() -> int:
            fail("newest")
            return await newest()

        async def failing_open(wake: object) -> None:
            fail("open")
            await opened(wake)  # type: ignore[arg-type]

        monkeypatch.setattr(feed._source, "newest", failing_newest)
        monkeypatch.setattr(feed._source, "open", failing_open)
        with (
            caplog.at_level(logging.ERROR, "directory.feed"),
            pytest.raises(Unavailable, match="LookupError: see the log") as caught,
        ):
            # A feed that has ended answers nobody.
            async with asyncio.timeout(10):
                await feed.catch_up()
        assert "hunter2" not in str(caught.value)
        await until(lambda: feed.connected)
        await touch(database, "a")
        assert await feed.catch_up() == 1
        assert told.changes == [(0, None), (1, [Subject("employee", "a")])]
    tracebacks = [record for record in caplog.records if record.exc_info is not None]
    assert len(tracebacks) == 3
    assert not next(faults, None)


# -- client ids made of separators ---------------------------------------------------------------------


async def test_client_ids_made_of_separators_cost_a_bounded_look_up(database: Database) -> None:
    wanted = [f"a{number:03d}" + "_-"[number % 2] * 252 for number in range(500)]
    assert max(len(candidates(one).prefixes) for one in wanted) <= 64
    sizes: list[int] = []

    def weigh(*call: object) -> None:
        sizes.append(len(repr(call[3])))

    async with database.read() as connection:
        event.listen(connection.sync_connection, "before_cursor_execute", weigh)
        began = time.process_time()
        assert set((await owners(connection, wanted)).values()) == {None}
        took = time.process_time() - began
    print(f"owners.separators.{database.dialect} 500 client ids {1_000 * took:.0f} ms of CPU")
    # 500 ids of 256 characters, and of each at most 64 prefixes of 33 characters on average.
    assert sum(sizes) < 500 * (2 * 300 + 2 * 64 * 45)


async def test_a_prefix_that_is_never_looked_up_is_not_registered(database: Database) -> None:
    await hire(database, "a")
    before = await version_of(database)
    with pytest.raises(InvalidId, match="has 65 characters, more than 64"):
        async with database.change("admin", 1) as change:
            await registrations.add(change, "d" * 64 + "-", "prefix", "a")
    assert await version_of(database) == before
    async with database.change("admin", 1) as change:
        await registrations.add(change, "d" * 63 + "-", "prefix", "a")
        await registrations.add(change, "é" * 100, "exact", "a")
    async with database.read() as connection:
        found = await owners(connection, ["d" * 63 + "-" + "x" * 100, "é" * 100])
    assert [owner and owner.pattern for owner in found.values()] == ["d" * 63 + "-", "é" * 100]


# -- secrets in the address of the database ------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["password", "PASSWORD", "pass%77ord", "sslpassword", "scram_client_key", "oauth_client_secret"]
)
@pytest.mark.parametrize("start", ["postgresql://mchat@127.0.0.1/mchat?sslmode=disable&", "sqlite:///x.db?"])
def test_a_secret_among_the_parameters_of_the_url_is_refused_and_not_shown(start: str, name: str) -> None:
    with pytest.raises(InvalidValue, match="among its parameters") as caught:
        parse_url(f"{start}{name}=hunter2")
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_parameter_that_is_no_secret_stays() -> None:
    parsed = parse_url("postgresql://mchat@127.0.0.1/mchat?passfile=secrets&sslmode=verify-full")
    assert dict(parsed.query) == {"passfile": "secrets", "sslmode": "verify-full"}


# -- hashes that take too long to check ----------------------------------------------------------------


_TOO_MUCH = [
    _BCRYPT.replace("$12$", "$13$"),
    _BCRYPT.replace("$2b$12$", "$2y$31$"),
    _ARGON2.replace("t=4", "t=5"),
    _ARGON2.replace("m=65536,t=4", "m=262145,t=1"),
    _ARGON2.replace("argon2id", "argon2i").replace("m=65536,t=4", "m=8,t=4000000000"),
    _ARGON2.replace("p=1", "p=17"),
    _ARGON2.replace("v=19$", "").replace("t=4", "t=40"),
    _PBKDF2.replace("500000", "500001"),
    _PBKDF2.replace("sha512$500000", "sha256$1000001"),
]
_NO_HASH = [
    _BCRYPT[:-1],
    _BCRYPT.replace("$12$", "$012$"),
    _BCRYPT.replace("$2b$", "$2c$"),
    _ARGON2.replace("m=65536,t=4", "t=4,m=65536"),
    _ARGON2.replace("t=4", "t=-4"),
    _PBKDF2[:-1] + "!",
    "$1$salt$c2VjcmV0",
    "$$x",
]


@pytest.mark.parametrize("hashed", [*_TOO_MUCH, *_NO_HASH])
async def test_a_hash_that_could_never_log_in_is_refused_without_hashing(
    database: Database, hashed: str
) -> None:
    await hire(database, "a")
    before, began = await version_of(database), time.process_time()
    with pytest.raises(InvalidValue, match="set a password anew") as caught:
        async with database.change("hr", 1) as change:
            await credentials.add_password(change, "a", hashed)
    with pytest.raises(InvalidValue):
        verify_password("correct horse", hashed)
    # The parameters alone were read; to check the least of these takes longer.
    assert time.process_time() - began < 0.2
    assert f"${hashed.rsplit('$', 1)[-1]}" not in str(caught.value)
    assert await version_of(database) == before


@pytest.mark.parametrize(
    "hashed",
    [
        _BCRYPT,
        _BCRYPT.replace("$2b$12$", "$2y$04$"),
        _ARGON2,
        _ARGON2.replace("m=65536,t=4,p=1", "m=102400,t=2,p=8"),
        _PBKDF2,
    ],
)
async def test_a_hash_as_other_systems_make_it_is_taken(database: Database, hashed: str) -> None:
    await hire(database, "a")
    async with database.change("hr", 1) as change:
        assert await credentials.add_password(change, "a", hashed)


async def test_a_hash_of_ones_own_is_taken(database: Database) -> None:
    await hire(database, "a")
    async with database.change("hr", 1) as change:
        assert await credentials.add_password(change, "a", hash_password("correct horse"))


# -- steps of bounded length ---------------------------------------------------------------------------


async def test_events_are_pruned_in_bounded_steps_the_oldest_first(database: Database) -> None:
    times = [5, 1, 4, 2, 3, 9]
    async with database.write() as connection:
        await events.store(
            connection, [EventRow(received_at=one, kind="k", client_id=f"c{one}") for one in times]
        )
        assert await events.prune(connection, 6, limit=2) == 2
        assert [one.received_at for one in await events.after(connection, 0)] == [5, 4, 3, 9]
        assert await events.prune(connection, 6, limit=2) == 2
        assert await events.prune(connection, 6, limit=2) == 1
        assert await events.prune(connection, 6, limit=2) == 0
        assert [one.received_at for one in await events.after(connection, 0)] == [9]


async def test_work_is_pruned_in_bounded_steps_the_first_done_first(database: Database) -> None:
    done = {"a": 5, "b": 1, "c": 4, "d": 2, "e": 9}
    async with database.change("t", 1) as change:
        for subject in (*done, "open"):
            change.enqueue("w", "kind", subject, {})
    async with database.write() as connection:
        for piece in await outbox.claim(connection, "w", holder="p", now_ms=1, hold_ms=5):
            if piece.subject in done:
                await outbox.finish(connection, [piece.outbox_id], holder="p", now_ms=done[piece.subject])
        found = []
        while removed := await outbox.prune(connection, 6, limit=2):
            left = await connection.scalars(select(schema.outbox.c.subject))
            found.append((removed, sorted(left)))
    assert found == [(2, ["a", "c", "e", "open"]), (2, ["e", "open"])]
