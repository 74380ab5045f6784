"""Messages that transactions left to be published: at least once, by whoever made them, else by another instance.

A transaction leaves each as an outbox row of the worker `gateway` that its maker holds already. After the commit the
maker publishes it at once; if it dies, or has no connection, the claim runs out and any instance takes the row.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import structlog
from msgspec import json

from directory import outbox, work
from directory.changes import Change
from directory.database import Database
from directory.errors import DirectoryError
from gateway.exchange import Delivery, NotConnected, Publisher, PublishRefused

log = structlog.get_logger(__name__)

WORKER: Final = "gateway"
"""Whose outbox rows these are."""

KIND: Final = "publish"
"""Which of them; the rows of other kinds are not ours."""

OWN_MS: Final = 2_000
"""For how long only their maker publishes rows."""

_SWEEP_S: Final = 1.0
_HOLD_MS: Final = 30_000
_AGAIN_MS: Final = 2_000
_BATCH: Final = 100
_MOST_WAITING: Final = 10_000


def leave(
    change: Change, holder: str, topic: str, message: Mapping[str, Any], *, retain: bool = False
) -> None:
    """Leave a message to be published once the transaction is committed.

    Args:
        change: The transaction.
        holder: The instance that will call `Deliveries.committed`.
        topic: A topic name; messages of one topic are published in order.
        message: What is published, as JSON; never a secret.
        retain: Whether the broker keeps it.
    """
    payload = {"message": message, "retain": retain}
    change.enqueue(WORKER, KIND, topic, payload, holder=holder, hold_ms=OWN_MS)


@dataclass(frozen=True, slots=True)
class Left:
    """A message that is to be published.

    Attributes:
        outbox_id: The number of its row.
        delivery: The message.
    """

    outbox_id: int
    delivery: Delivery


def delivery(topic: str, payload: Mapping[str, Any]) -> Delivery:
    """Make the message of an outbox row's subject and payload."""
    return Delivery(topic, json.encode(payload["message"]), payload["retain"])


class Deliveries:
    """Publishes them.

    Args:
        database: The directory, with its outbox.
        publisher: Puts messages on the wire.
        holder: This instance, one name each.
        now_ms: Wall clock, milliseconds since the epoch.
        sweep_s: Seconds between two looks for what others left.

    Attributes:
        published: Messages that the broker has taken so far.
        refused: Messages that it will never take; each is in the log.
    """

    def __init__(
        self,
        database: Database,
        publisher: Publisher,
        holder: str,
        now_ms: Callable[[], int],
        *,
        sweep_s: float = _SWEEP_S,
    ) -> None:
        self._database = database
        self._publisher = publisher
        self._holder = holder
        self._now_ms = now_ms
        self._sweep_s = sweep_s
        self._own: deque[Left] = deque()
        # Topics of which something waits to be tried again: what comes later must not come before it.
        self._waited: dict[str, None] = {}
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self.published = 0
        self.refused = 0

    def committed(self, left: Sequence[Left]) -> None:
        """Publish what a transaction of this instance left, after its commit, behind what was committed before.

        Beyond a bound they are left to the sweep: the rows are there.
        """
        if left and len(self._own) + len(left) <= _MOST_WAITING:
            self._own.extend(left)
            self._idle.clear()
            self._wake.set()

    async def settled(self) -> None:
        """Wait until what this instance committed was published, or given up for now: for a drain."""
        await self._idle.wait()

    async def run(self) -> None:
        """Publish until cancelled: what is committed here at once, what others left every `sweep_s` seconds."""
        loop = asyncio.get_running_loop()
        next_sweep = loop.time()
        while True:
            while self._own:
                batch = [self._own.popleft() for _ in range(min(_BATCH, len(self._own)))]
                await self._guarded(self._publish_own(batch))
            self._wake.clear()
            self._idle.set()
            if loop.time() >= next_sweep:
                await self._guarded(self.sweep())
                next_sweep = loop.time() + self._sweep_s
            try:
                async with asyncio.timeout_at(next_sweep):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def sweep(self) -> int:
        """Publish what nobody holds any more, a batch at most; returns how many rows that were.

        Raises:
            DirectoryError: The database does not answer.
        """
        async with self._database.read() as connection:
            if not await outbox.some(connection, WORKER, self._now_ms(), in_effect=False):
                return 0
        async with self._database.write() as connection:
            rows = await outbox.claim(
                connection,
                WORKER,
                holder=self._holder,
                now_ms=self._now_ms(),
                hold_ms=_HOLD_MS,
                limit=_BATCH,
                kind=KIND,
            )
        await self._publish([Left(row.outbox_id, delivery(row.subject, row.payload)) for row in rows])
        return len(rows)

    async def _publish_own(self, batch: Sequence[Left]) -> None:
        """Publish messages of this instance, and leave those to the sweep that have earlier ones before them."""
        doubtful = {left.delivery.topic for left in batch if left.delivery.topic in self._waited}
        if doubtful:
            async with self._database.write() as connection:
                behind = await work.behind(connection, [left.outbox_id for left in batch])
                for outbox_id in behind:
                    await outbox.postpone(
                        connection,
                        outbox_id,
                        holder=self._holder,
                        until_ms=self._now_ms(),
                        error="an earlier one waits",
                    )
            still = {left.delivery.topic for left in batch if left.outbox_id in behind}
            for topic in doubtful - still:
                del self._waited[topic]
            batch = [left for left in batch if left.outbox_id not in behind]
        await self._publish(batch)

    async def _publish(self, batch: Sequence[Left]) -> None:
        """Publish messages in order, then note at once which are done and which are to be tried again."""
        if not batch:
            return
        # Each task puts its packet on the wire before it waits: side by side they keep their order.
        ends = await asyncio.gather(*(self._one(left) for left in batch))
        done = [left.outbox_id for left, end in zip(batch, ends, strict=True) if end is None]
        again = {left.outbox_id: end for left, end in zip(batch, ends, strict=True) if end is not None}
        self._waited |= {left.delivery.topic: None for left in batch if left.outbox_id in again}
        while len(self._waited) > _MOST_WAITING:
            del self._waited[next(iter(self._waited))]
        async with self._database.write() as connection:
            await outbox.finish(connection, done, holder=self._holder, now_ms=self._now_ms())
            until_ms = self._now_ms() + _AGAIN_MS
            for outbox_id, why in again.items():
                await outbox.postpone(
                    connection, outbox_id, holder=self._holder, until_ms=until_ms, error=why
                )

    async def _one(self, left: Left) -> str | None:
        """Publish a message; returns why it is to be tried again, or None."""
        one = left.delivery
        try:
            await self._publisher.publish(one.topic, one.payload, 1, one.retain)
        except NotConnected as error:
            return str(error)
        except PublishRefused as error:
            # Trying again would end as badly, for ever.
            self.refused += 1
            log.error(
                "a message was refused and is given up",
                topic=one.topic,
                outbox_id=left.outbox_id,
                why=str(error),
            )
            return None
        self.published += 1
        return None

    async def _guarded(self, work: Awaitable[Any]) -> None:
        # The rows stay whatever happens, and the next sweep finds them; a loop that ended would publish nothing more.
        try:
            await work
        except DirectoryError as error:
            log.warning("deliveries wait for the database", why=str(error))
        except Exception:
            log.exception("deliveries met a fault")
