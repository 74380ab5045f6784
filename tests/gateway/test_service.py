"""The gateway as a whole: told to connect anew, stopped, on both databases; mosquitto with MQTT 5."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from directory import outbox, reconnects
from directory.database import Database
from gateway.deliveries import Deliveries, Left, delivery, leave
from gateway.link import Link
from gateway.service import GatewayService
from tests.emqx.waiting import until
from tests.gateway.brokers import Place
from tests.gateway.echo import Echo


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@asynccontextmanager
async def serving(
    place: Place, database: Database, echo: Echo, instance: str = "1"
) -> AsyncIterator[tuple[Link, Deliveries]]:
    link = place.link(instance=instance)
    deliveries = Deliveries(database, link, f"holder_{instance}", now_ms, sweep_s=0.05)
    settings = place.settings(instance=instance)
    service = GatewayService(database, settings, link, deliveries, echo, now_ms, look_s=0.02)
    async with service.running():
        await link.up.wait()
        yield link, deliveries


async def tell(database: Database, client_id: str) -> None:
    """As `acl_service.enforcement.drains` does."""
    async with database.change("enforcer", now_ms()) as change:
        change.enqueue("gateway", "reconnect", client_id, {"client_id": client_id, "version": 1})


async def heard(database: Database, client_id: str) -> bool:
    async with database.read() as connection:
        return not await reconnects.told(connection, client_id)


async def is_heard(database: Database, client_id: str) -> None:
    async with asyncio.timeout(10):
        while not await heard(database, client_id):
            await asyncio.sleep(0.01)


async def test_told_to_connect_anew_it_does_so_once_and_only_the_one_that_is_named(
    five: Place, database: Database
) -> None:
    async with (
        serving(five, database, Echo(), "1") as (first, _),
        serving(five, database, Echo(), "2") as (second, _),
    ):
        client_id = five.settings(instance="1").client_id
        await tell(database, client_id)
        await until(lambda: first.figures.connections == 2)
        await is_heard(database, client_id)
        assert (first.figures.connections, second.figures.connections) == (2, 1)
        assert (first.figures.lost, second.figures.lost) == (0, 0)


async def test_what_told_an_earlier_process_is_done_by_beginning(five: Place, database: Database) -> None:
    client_id = five.settings().client_id
    await tell(database, client_id)
    async with serving(five, database, Echo()) as (link, _):
        assert await heard(database, client_id)
        client = await five.client("a")
        await client.publish(five.request("a", "s0"), b"x")
        await client.gets(1)
        assert link.figures.connections == 1


async def test_what_transactions_left_is_published_before_the_gateway_leaves(
    five: Place, database: Database
) -> None:
    client = await five.client("a")
    topic = f"{five.prefix}mchat/msg/resp/a/s9"
    async with serving(five, database, Echo()) as (_, deliveries):
        async with database.change("a", now_ms()) as change:
            for number in range(50):
                leave(change, "holder_1", topic, {"number": number})
        rows = [
            Left(outbox_id, delivery(topic, {"message": {"number": number}, "retain": False}))
            for number, outbox_id in enumerate(change.outbox_ids)
        ]
        deliveries.committed(rows)
    got = await client.gets(50)
    assert [one.payload for one in got] == [b'{"number":%d}' % number for number in range(50)]
    async with database.read() as connection:
        assert await outbox.pending(connection, "gateway") == []


async def test_a_database_that_is_away_is_said_once_and_the_gateway_goes_on(
    five: Place, database: Database
) -> None:
    async with serving(five, database, Echo()) as (_, _):
        with structlog.testing.capture_logs() as logs:
            async with database.write() as connection:
                await connection.exec_driver_sql("ALTER TABLE outbox RENAME TO outbox_away")
            await until(lambda: logs)
            client = await five.client("a")
            await client.publish(five.request("a", "s0"), b"x")
            await client.gets(1)
            async with database.write() as connection:
                await connection.exec_driver_sql("ALTER TABLE outbox_away RENAME TO outbox")
        await tell(database, five.settings().client_id)
        await is_heard(database, five.settings().client_id)
