"""Floods of wrong passwords, and who still comes in (issue 4). Real sockets; only the hash is held, not timed."""

import asyncio
import itertools
import re
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from acl_service.identity import passwords
from directory import credentials
from directory.database import Database
from directory.secret import hash_password, verify_password
from tests.acceptance.bypass import issuer
from tests.acl_service.serving import Served, activate_profile, add_person, now_ms, serving, until

PASSWORD = "correct horse battery"
ELSEWHERE = "10.0.0.1"
PROXY = "10.9.9.9"
WAITING = 4


@pytest.fixture
async def company(database: Database) -> dict[str, str]:
    """amy and ben, with a password each; tokens by name."""
    await activate_profile(database)
    tokens = {name: await add_person(database, name) for name in ("amy", "ben")}
    stored = hash_password(PASSWORD)
    async with database.change("test", now_ms()) as change:
        for name in tokens:
            await credentials.add_password(change, name, stored)
    return tokens


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """A wrong password takes until this is set; the right one takes its time as always."""
    opened = threading.Event()

    def slow(password: str, stored: str) -> bool:
        return verify_password(password, stored) if password == PASSWORD else not opened.wait(60)

    monkeypatch.setattr(passwords, "verify_password", slow)
    yield opened
    opened.set()


async def comes_in(served: Served, name: str, secret: str, peer: str = ELSEWHERE) -> bool:
    return bool((await served.authn(f"{name}_pc", name, secret, peer=peer))["result"] == "allow")


def places() -> Iterator[str]:
    return (f"10.6.{number // 256}.{number % 256}" for number in itertools.count())


@asynccontextmanager
async def flooded(served: Served, gate: threading.Event, name: str) -> AsyncIterator[None]:
    """Occupy every thread of the pool with guesses at one person's password, each from another place."""
    peers = places()
    guessing = [
        asyncio.create_task(comes_in(served, name, f"guess {number} guess", next(peers)))
        for number in range(3 * WAITING)
    ]
    await until(lambda: served.service.ways_in.pool.pending >= WAITING)
    yield
    gate.set()
    assert not any(await asyncio.gather(*guessing))
    await until(lambda: served.service.ways_in.pool.pending == 0)


async def overloaded(served: Served) -> float:
    """The counter, as Prometheus reads it."""
    text = (await served.hooks.get("/metrics")).text
    found = re.search(
        r'^mchat_hook_answers_total\{hook="authn",kind="overloaded",result="deny"\} (\S+)$',
        text,
        re.MULTILINE,
    )
    return float(found[1]) if found is not None else 0.0


async def test_guesses_from_many_places_do_not_keep_out_who_has_come_in_from_his_own(
    database: Database, company: dict[str, str], gate: threading.Event
) -> None:
    async with serving(database, password_threads=WAITING, password_waiting=WAITING) as served:
        assert await comes_in(served, "amy", PASSWORD)
        async with flooded(served, gate, "amy"):
            for _ in range(3):
                assert await comes_in(served, "amy", PASSWORD)
            assert not await comes_in(served, "amy", PASSWORD, "10.7.0.1"), "a place that nobody knows"
        assert await comes_in(served, "amy", PASSWORD, "10.7.0.1"), "after the flood"


async def test_while_the_password_pool_is_full_passwords_are_denied_at_once_and_counted_and_tokens_go_on(
    database: Database, company: dict[str, str], gate: threading.Event
) -> None:
    accepted = {"jwt_secret": issuer.SECRET, "jwt_issuer": issuer.ISSUER, "jwt_audience": issuer.AUDIENCE}
    async with serving(database, password_threads=WAITING, password_waiting=WAITING, **accepted) as served:
        async with flooded(served, gate, "nobody"):
            before = await overloaded(served)
            # The gate is closed: whoever waited for a hash would wait for ever.
            assert not await comes_in(served, "ben", PASSWORD)
            assert await overloaded(served) == before + 1
            for _ in range(5):
                assert await comes_in(served, "amy", company["amy"])
                assert await comes_in(served, "amy", issuer.signed())
                assert await served.authz("amy_pc", "subscribe", "mchat/inbox/amy")
        assert await comes_in(served, "ben", PASSWORD)


async def test_a_flood_through_a_trusted_proxy_keeps_neither_others_behind_it_out_nor_the_victim_elsewhere(
    database: Database, company: dict[str, str], gate: threading.Event
) -> None:
    gate.set()
    async with serving(database, trusted_peers=PROXY, lockout_peer=5) as served:
        for number in range(12):
            assert not await comes_in(served, "amy", f"guess {number} guess", PROXY)
        assert served.service.tally.denied["authn", "lockout"] == 7
        assert await comes_in(served, "ben", PASSWORD, PROXY), "the proxy is not locked as a peer"
        assert await comes_in(served, "amy", PASSWORD), "she is not behind the proxy"
        assert await comes_in(served, "amy", company["amy"], PROXY), "tokens are never locked"
        # What is given up: behind one address nobody can tell her from her guesser.
        assert not await comes_in(served, "amy", PASSWORD, PROXY)
