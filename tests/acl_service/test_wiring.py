"""Each setting reaches the part that it is for: odd values, and the effect of each over a real socket."""

import asyncio
import threading
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path

import pytest

from directory import credentials, people
from directory.database import Database
from tests.acl_service.serving import Served, now_ms, serving, until
from tests.directory.company import quick_hash

PASSWORD = "correct horse battery"
PROXY = "10.1.1.2"
_guesses = count()
OWN_INBOX = ("alice_pc", "subscribe", "mchat/inbox/alice")


@pytest.fixture
async def database(sqlite_url: str) -> AsyncIterator[Database]:
    """One kind of database is enough: what is tested lies in front of it."""
    opened = Database.open(sqlite_url)
    yield opened
    await opened.close()


@pytest.fixture
async def password(database: Database, company: dict[str, str]) -> str:
    """Everybody's, beside the tokens."""
    async with database.change("test", now_ms()) as change:
        for name in ("alice", "bob", "carol"):
            await credentials.add_password(change, name, quick_hash(PASSWORD))
    return PASSWORD


async def log_in(served: Served, secret: str, username: str = "alice", peer: str = PROXY) -> bool:
    answer = await served.authn(f"{username}_pc", username, secret, peer=peer)
    return bool(answer["result"] == "allow")


async def guess(served: Served, *usernames: str) -> None:
    for username in usernames:
        # Another one each time: the same guess again may be a retry of the broker.
        assert not await log_in(served, f"guess {next(_guesses)}", username)


async def test_lockout_peer_is_the_number_of_failures_that_locks_a_peer(
    database: Database, password: str
) -> None:
    async with serving(database, lockout_peer=3) as served:
        await guess(served, "bob", "carol")
        assert await log_in(served, password)
        await guess(served, "bob")
        assert not await log_in(served, password)
        assert await log_in(served, password, peer="10.9.9.9")


async def test_trusted_peers_are_not_locked_as_peers(database: Database, password: str) -> None:
    async with serving(database, lockout_peer=3, trusted_peers=f"10.1.1.1, {PROXY}") as served:
        await guess(served, "bob", "carol", "bob", "carol")
        assert await log_in(served, password)


async def test_lockout_pair_is_the_number_of_failures_that_locks_a_pair(
    database: Database, password: str
) -> None:
    async with serving(database, lockout_pair=2) as served:
        await guess(served, "alice")
        assert await log_in(served, password)
        await guess(served, "alice", "alice")
        assert not await log_in(served, password)


async def test_lockout_seconds_is_how_long_a_lock_lasts(database: Database, password: str) -> None:
    async with serving(database, lockout_pair=1, lockout_seconds=0.5) as served:
        await guess(served, "alice")
        assert not await log_in(served, password)
        async with asyncio.timeout(10):
            while not await log_in(served, password):
                await asyncio.sleep(0.01)


async def _warm(served: Served) -> None:
    """Let memory know alice, however long a busy machine takes to look her up."""
    async with asyncio.timeout(10):
        while not await served.authz(*OWN_INBOX):
            pass


async def _silence(served: Served, seconds: float) -> None:
    """A feed without a database, whose last proof of life is so many seconds old."""
    await served.service.feed.stop()
    served.service.feed._proved_at -= seconds


@pytest.mark.parametrize(("silent_s", "expected"), [(60, True), (110, True), (200, False)])
async def test_outage_grace_is_how_long_memory_serves_alone(
    database: Database, company: dict[str, str], silent_s: float, expected: bool
) -> None:
    async with serving(database, outage_grace=120) as served:
        await _warm(served)
        await _silence(served, silent_s)
        assert await served.authz(*OWN_INBOX) == expected


async def test_without_outage_grace_memory_serves_nobody_alone(
    database: Database, company: dict[str, str]
) -> None:
    async with serving(database, outage_grace=0) as served:
        await _warm(served)
        await _silence(served, 3)
        assert not await served.authz(*OWN_INBOX)


@pytest.mark.parametrize(("silent_s", "confirmed"), [(30, False), (50, True)])
async def test_feed_stale_is_the_age_at_which_a_proof_is_none(
    database: Database, company: dict[str, str], silent_s: float, confirmed: bool
) -> None:
    async with serving(database, feed_stale_s=40, outage_grace=0) as served:
        await _warm(served)
        await _silence(served, silent_s)
        assert await served.authz(*OWN_INBOX) != confirmed


@pytest.mark.parametrize("public", [True, False])
async def test_presence_public_opens_everybodys_status(
    database: Database, company: dict[str, str], public: bool
) -> None:
    async with serving(database, presence_public=public) as served:
        assert await served.authz("carol_pc", "subscribe", "mchat/status/+") == public
        assert await served.authz("root_pc", "subscribe", "mchat/status/+"), "an admin in either case"


async def test_memory_people_bounds_the_people_in_memory(database: Database, company: dict[str, str]) -> None:
    names = [f"p{number}" for number in range(130)]
    async with database.change("test", now_ms()) as change:
        for name in names:
            await people.add(change, name=name, employee_id=name)
    async with serving(database, memory_people=100) as served:
        for name in names:
            await served.authz(f"{name}_pc", "subscribe", f"mchat/inbox/{name}")
        assert 80 <= served.service.memory.sizes["people"] <= 100
        assert served.service.memory.sizes["clients"] == 130


async def test_memory_clients_bounds_the_client_ids_in_memory(
    database: Database, company: dict[str, str]
) -> None:
    async with serving(database, memory_clients=100) as served:
        for number in range(130):
            await served.authz(f"alice_{number}", "subscribe", "mchat/inbox/alice")
        assert 80 <= served.service.memory.sizes["clients"] <= 100
        assert served.service.memory.sizes["people"] == 1


async def test_password_waiting_bounds_the_passwords_under_way(database: Database, password: str) -> None:
    async with serving(database, password_threads=1, password_waiting=4) as served:
        pool, gate = served.service.ways_in.pool, threading.Event()
        pool._open.executor.submit(gate.wait)
        try:
            waiting = [asyncio.create_task(log_in(served, password, peer=f"10.2.0.{n}")) for n in range(4)]
            await until(lambda: pool.pending == 4)
            assert not await log_in(served, password, peer="10.2.0.9")
            assert served.service.tally.denied["authn", "overloaded"] == 1
        finally:
            gate.set()
        await asyncio.gather(*waiting)


async def test_password_threads_is_how_many_are_hashed_at_a_time(
    database: Database, company: dict[str, str]
) -> None:
    async with serving(database, password_threads=5) as served:
        gate, under_way = threading.Event(), threading.Semaphore(0)

        def hash_() -> None:
            under_way.release()
            gate.wait()

        try:
            for _ in range(6):
                served.service.ways_in.pool._open.executor.submit(hash_)
            await until(lambda: under_way._value == 5)
        finally:
            gate.set()


async def test_admin_token_seconds_is_how_long_an_admin_token_lives(
    database: Database, company: dict[str, str]
) -> None:
    async with serving(database, admin_token_seconds=77) as served:
        answer = await _admin_log_in(served, company["root"])
        assert answer["expires_in"] == 77


async def test_a_common_admin_token_key_makes_tokens_good_for_every_replica(
    database: Database, company: dict[str, str]
) -> None:
    key = "k" * 32
    async with (
        serving(database, admin_token_key=key) as one,
        serving(database, admin_token_key=key) as another,
        serving(database) as stranger,
    ):
        token = (await _admin_log_in(one, company["root"]))["access_token"]
        headers = {"authorization": f"Bearer {token}"}
        assert (await another.admin.get("/admin/me", headers=headers)).status_code == 200
        assert (await stranger.admin.get("/admin/me", headers=headers)).status_code == 401


async def _admin_log_in(served: Served, secret: str) -> dict[str, object]:
    response = await served.admin.post("/admin/login", json={"username": "root", "password": secret})
    assert response.status_code == 200, response.text
    answer: dict[str, object] = response.json()
    return answer


SECRETS = ("the-hook-secret-of-today", "the-hook-secret-of-tomorrow")


async def test_each_of_several_hook_secrets_is_accepted(database: Database, company: dict[str, str]) -> None:
    async with serving(database, hook_secrets=", ".join(SECRETS)) as served:
        await _accepts_both_and_no_third(served)


async def test_each_line_of_the_file_of_hook_secrets_is_accepted(
    database: Database, company: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "hook"
    file.write_text("\n".join(SECRETS) + "\n")
    async with serving(database, hook_secrets=None, hook_secrets_file=file) as served:
        await _accepts_both_and_no_third(served)


async def _accepts_both_and_no_third(served: Served) -> None:
    client_id, action, topic = OWN_INBOX
    served.hooks.headers["authorization"] = f"Bearer {SECRETS[0]}"
    await _warm(served)
    question = {"clientid": client_id, "action": action, "topic": topic, "qos": "1", "retain": "false"}
    for secret, result in (
        (SECRETS[0], "allow"),
        (SECRETS[1], "allow"),
        ("the-hook-secret-of-nobody", "deny"),
    ):
        headers = {"authorization": f"Bearer {secret}"}
        response = await served.hooks.post("/emqx/authz", json=question, headers=headers)
        assert response.json() == {"result": result}, secret
