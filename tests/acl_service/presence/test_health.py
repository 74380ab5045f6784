"""What the worker's health says of presence: red when the one that leads does not get on, and nothing of the others."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import pytest

from acl_service.presence import presence as module
from acl_service.presence.following import Following
from acl_service.presence.presence import Presence, Times
from acl_service.service import AccessService
from directory import events, presence
from directory.database import Database
from directory.errors import Unavailable
from directory.events import EventRow
from emqx.api.broker import BrokerApi
from tests.acl_service.enforcement.stage import Clock, until
from tests.acl_service.presence.listed import ListedBroker
from tests.acl_service.serving import UntouchedSettings

OVERDUE_S = 0.3


@pytest.fixture(autouse=True)
def soon_overdue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "OVERDUE_S", OVERDUE_S)


@asynccontextmanager
async def working(database: Database, broker: ListedBroker) -> AsyncIterator[AccessService]:
    async with AccessService.running(database, UntouchedSettings(), now_ms=Clock()) as service:
        times = Times(reconcile=0.05, again=0.05, look=0.05)
        async with Presence(service, cast(BrokerApi, broker), times).running():
            yield service


def reconciled(service: AccessService) -> float:
    return service.registry.get_sample_value("mchat_presence_reconciled_total", {"why": "start"}) or 0.0


async def fault(service: AccessService) -> str:
    return await service.checks["presence"]() or ""


async def is_well(service: AccessService) -> bool:
    return await fault(service) == ""


async def test_reconciliation_that_fails_is_red_after_a_while_and_only_where_it_is_done(
    database: Database, company: dict[str, str]
) -> None:
    broker = ListedBroker()
    async with working(database, broker) as leading:
        await until(lambda: reconciled(leading))
        async with working(database, broker) as waiting:
            assert await fault(leading) == ""
            broker.running = []
            began = time.monotonic()

            async def red() -> bool:
                return "no node runs" in await fault(leading)

            await until(red)
            assert time.monotonic() - began >= OVERDUE_S
            assert (await fault(leading)).startswith("reconciliation fails for ")
            assert await fault(waiting) == ""
            broker.running = ["emqx@127.0.0.1"]
            await until(lambda: is_well(leading))


async def test_events_that_are_not_taken_in_are_red_after_a_while(
    database: Database, company: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = Following.step

    async def stuck(self: Following) -> int:
        raise Unavailable("the disk is full")

    monkeypatch.setattr(Following, "step", stuck)
    clock = Clock()
    async with working(database, ListedBroker()) as service:
        await until(lambda: reconciled(service))
        assert await fault(service) == "", "nothing waits"
        row = EventRow(received_at=clock(), kind="client.connected", client_id="alice_pc", epoch=1)
        async with database.write() as connection:
            await events.store(connection, [row, row])

        async def red() -> bool:
            return await fault(service) == "events are not taken in, for up to 0 s: 1 to 2"

        await until(red)
        assert clock() - row.received_at >= OVERDUE_S * 1000
        monkeypatch.setattr(Following, "step", honest)
        await until(lambda: is_well(service))
        async with database.read() as connection:
            assert await presence.place(connection) == 2
