"""Decision 7 asked over HTTP: what memory may answer once the feed has proved nothing for too long."""

import asyncio
import signal
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from directory.database import Database
from tests.acl_service.serving import Served, activate_profile, add_group, add_person, leave, serving, until
from tests.directory.processes import answer, running
from tests.postgres import PostgresServer

TEAM = ("subscribe", "mchat/group/team")


@pytest.fixture
async def direct(postgres_url: str) -> AsyncIterator[Database]:
    """The database past the proxy: alice and bob in the group team."""
    database = Database.open(postgres_url)
    await activate_profile(database)
    for name in ("alice", "bob", "carol"):
        await add_person(database, name)
    await add_group(database, "team", "alice", ["bob"])
    yield database
    await database.close()


@asynccontextmanager
async def behind_a_proxy(
    server: PostgresServer, url: str, outage_grace: float
) -> AsyncIterator[tuple[Served, Process]]:
    """A service whose connections to the database go through a process that a signal can freeze."""
    async with running("proxy", str(server.port)) as proxy:
        (port,) = await answer(proxy)
        through = Database.open(url.replace(f":{server.port}/", f":{port}/"), timeout_s=2)
        try:
            async with serving(through, feed_stale_s=0.3, outage_grace=outage_grace) as served:
                assert await served.authz("alice_pc", *TEAM)
                assert await served.authz("bob_pc", *TEAM)
                yield served, proxy
                proxy.send_signal(signal.SIGCONT)
        finally:
            await through.close()


@pytest.mark.postgres
async def test_without_grace_nothing_is_allowed_once_the_feed_is_silent(
    direct: Database, postgres_server: PostgresServer, postgres_url: str
) -> None:
    async with behind_a_proxy(postgres_server, postgres_url, outage_grace=0) as (served, proxy):
        proxy.send_signal(signal.SIGSTOP)
        await leave(direct, "team", "bob")
        await until(lambda: not served.service.freshness.fresh())
        for _ in range(3):
            assert not await served.authz("bob_pc", *TEAM)
            assert not await served.authz("alice_pc", *TEAM)
        proxy.send_signal(signal.SIGCONT)
        async with asyncio.timeout(10):
            while not await served.authz("alice_pc", *TEAM):
                assert not await served.authz("bob_pc", *TEAM)
        assert not await served.authz("bob_pc", *TEAM)


@pytest.mark.postgres
async def test_with_grace_known_clients_are_served_until_the_feed_speaks_again(
    direct: Database, postgres_server: PostgresServer, postgres_url: str
) -> None:
    async with behind_a_proxy(postgres_server, postgres_url, outage_grace=60) as (served, proxy):
        service = served.service
        proxy.send_signal(signal.SIGSTOP)
        removed = await leave(direct, "team", "bob")
        await until(lambda: not service.freshness.fresh())
        for _ in range(3):
            assert await served.authz("bob_pc", *TEAM), (
                "the removal cannot be known: that is what grace means"
            )
            assert await served.authz("alice_pc", *TEAM)
        assert not await served.authz("carol_pc", "subscribe", "mchat/inbox/carol"), "never asked before"
        proxy.send_signal(signal.SIGCONT)
        await until(lambda: service.feed.version == removed, within_s=10)
        assert not await served.authz("bob_pc", *TEAM)
        assert await served.authz("alice_pc", *TEAM)


async def _silence(served: Served) -> None:
    """Stop the feed's own looks, let the last of them end, and make its proof an old one."""
    feed = served.service.feed
    assert feed._timer is not None
    feed._timer.cancel()
    await feed.catch_up()
    feed._proved_at -= 60


async def test_an_allow_of_a_memory_that_is_not_fresh_reads_the_database_first(served: Served) -> None:
    freshness = served.service.freshness
    assert await served.authz("bob_pc", *TEAM)
    await _silence(served)
    before = freshness.confirmations
    assert await served.authz("bob_pc", *TEAM)
    assert freshness.confirmations == before + 1
    assert await served.authz("bob_pc", *TEAM)
    assert freshness.confirmations == before + 1, "that read was a proof of life too"


async def test_a_member_who_left_unseen_is_denied_at_the_first_question(
    served: Served, database: Database
) -> None:
    assert await served.authz("bob_pc", *TEAM)
    await _silence(served)
    await leave(database, "team", "bob")
    assert not await served.authz("bob_pc", *TEAM)
    served.service.feed._proved_at -= 60
    assert await served.authz("alice_pc", *TEAM)


async def test_a_log_in_into_a_memory_that_is_not_fresh_reads_the_database_first(served: Served) -> None:
    freshness = served.service.freshness
    assert (await served.authn("bob_pc", "bob", served.tokens["bob"]))["result"] == "allow"
    await _silence(served)
    before = freshness.confirmations
    assert (await served.authn("bob_pc", "bob", served.tokens["bob"]))["result"] == "allow"
    assert freshness.confirmations == before + 1
