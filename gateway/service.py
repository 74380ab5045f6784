"""The gateway as a whole: its link to the broker, its deliveries, and what tells it to connect anew."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Final

import structlog

from directory import reconnects
from directory.database import Database
from directory.errors import DirectoryError
from gateway.deliveries import Deliveries
from gateway.exchange import Handler
from gateway.link import Link
from gateway.settings import GatewaySettings

log = structlog.get_logger(__name__)

LOOK_S: Final = 1.0
"""Seconds between two looks for what tells this gateway to connect anew; the enforcer waits thirty."""

_GIVE_UP_EVERY: Final = 60
_GIVE_UP_MS: Final = 120_000


class GatewayService:
    """Runs one instance.

    Args:
        database: The directory.
        settings: Where the broker is, and how much is taken in hand.
        link: To the broker.
        deliveries: What transactions left to be published.
        handler: Answers requests.
        now_ms: Wall clock, milliseconds since the epoch.
        look_s: Seconds between two looks.
    """

    def __init__(
        self,
        database: Database,
        settings: GatewaySettings,
        link: Link,
        deliveries: Deliveries,
        handler: Handler,
        now_ms: Callable[[], int],
        *,
        look_s: float = LOOK_S,
    ) -> None:
        self._database = database
        self._client_id = settings.client_id
        self._link = link
        self._deliveries = deliveries
        self._handler = handler
        self._now_ms = now_ms
        self._look_s = look_s

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Connect, and answer until the block ends; then drain (`Link.stop`).

        Raises:
            directory.errors.DirectoryError: The database did not answer at the beginning.
        """
        # Whatever told an earlier process is done: this one connects anew anyway.
        async with self._database.read() as connection:
            told = await reconnects.told(connection, self._client_id)
        if told:
            async with self._database.write() as connection:
                await reconnects.heard(connection, told, self._now_ms())
        self._link.settled = self._deliveries.settled
        publishing = asyncio.create_task(self._deliveries.run(), name="deliveries")
        listening = asyncio.create_task(self._listen(), name="reconnects")
        self._link.start(self._handler)
        try:
            yield
        finally:
            await _ended(listening)
            await self._link.stop()
            await _ended(publishing)

    async def _listen(self) -> None:
        looks = 0
        away = False
        while True:
            await asyncio.sleep(self._look_s)
            try:
                if looks % _GIVE_UP_EVERY == 0:
                    await self._give_up()
                looks += 1
                await self._look()
                away = False
            except DirectoryError as error:
                if not away:
                    log.warning(
                        "nobody can tell this gateway to connect anew: the database is away", why=str(error)
                    )
                away = True
            except Exception:
                log.exception("what tells this gateway to connect anew could not be done")

    async def _look(self) -> None:
        async with self._database.read() as connection:
            told = await reconnects.told(connection, self._client_id)
        if not told:
            return
        log.info("told to connect anew: the gateway's rights changed")
        await self._link.reconnect()
        async with self._database.write() as connection:
            await reconnects.heard(connection, told, self._now_ms())

    async def _give_up(self) -> None:
        now_ms = self._now_ms()
        async with self._database.write() as connection:
            await reconnects.give_up(connection, now_ms - _GIVE_UP_MS, now_ms)


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
