"""Word that something changed, without what: `mchat/org/tree` and `mchat/agent/capability/{skill}`, at a bounded pace.

Transactions leave a row for each id that changed (`unit_of_work`). One instance at a time gathers them every few
seconds, and publishes one message for all that came together: readers read the whole anew, however many changes
there were.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import structlog
from msgspec import json

from directory import leases, outbox
from directory.database import Database
from directory.errors import DirectoryError
from directory.outbox import OutboxRow
from gateway.deliveries import WORKER
from gateway.exchange import NotConnected, Publisher, PublishRefused
from gateway.topics import Topics
from gateway.unit_of_work import CAPABILITY, ORG

log = structlog.get_logger(__name__)

_LEASE: Final = "gateway_pushes"
_ROWS: Final = 5_000
_IDS: Final = 1_000
"""Ids in one message."""


class Pushes:
    """Publishes them.

    Args:
        database: The directory, with its outbox.
        publisher: Puts messages on the wire.
        topics: The topics of this deployment.
        holder: This instance, one name each.
        now_ms: Wall clock, milliseconds since the epoch.
        every_s: Seconds between two rounds.
    """

    def __init__(
        self,
        database: Database,
        publisher: Publisher,
        topics: Topics,
        holder: str,
        now_ms: Callable[[], int],
        *,
        every_s: float = 3.0,
    ) -> None:
        self._database = database
        self._publisher = publisher
        self._topics = topics
        self._holder = holder
        self._now_ms = now_ms
        self._every_s = every_s

    async def run(self) -> None:
        """Publish until cancelled; whatever goes wrong is tried again in the next round."""
        while True:
            try:
                await self.step()
            except DirectoryError as error:
                log.warning("pushes wait for the database", why=str(error))
            except Exception:
                log.exception("pushes met a fault")
            await asyncio.sleep(self._every_s)

    async def step(self) -> int:
        """Publish what was left so far, unless another instance does; returns how many messages that were.

        Raises:
            directory.errors.Unavailable: the database does not answer.
        """
        now_ms = self._now_ms()
        async with self._database.read() as connection:
            if not await outbox.some(connection, WORKER, now_ms, in_effect=False):
                return 0
        hold_ms = int(self._every_s * 2_000)
        async with self._database.write() as connection:
            if not await leases.acquire(
                connection, _LEASE, holder=self._holder, now_ms=now_ms, hold_ms=hold_ms
            ):
                return 0
            rows = [
                row
                for kind in (ORG, CAPABILITY)
                for row in await outbox.claim(
                    connection,
                    WORKER,
                    holder=self._holder,
                    now_ms=now_ms,
                    hold_ms=10 * hold_ms,
                    limit=_ROWS,
                    kind=kind,
                )
            ]
        published = 0
        for topic, of_topic in self._by_topic(rows).items():
            published += await self._publish(topic, of_topic)
        return published

    def _by_topic(self, rows: Sequence[OutboxRow]) -> dict[str, list[OutboxRow]]:
        found = defaultdict[str, list[OutboxRow]](list)
        for row in rows:
            is_org = row.kind == ORG
            topic = self._topics.org_tree() if is_org else self._topics.capability(row.payload["skill"])
            found[topic].append(row)
        return found

    async def _publish(self, topic: str, rows: Sequence[OutboxRow]) -> int:
        """Publish what changed of one topic; returns how many messages that were."""
        version = max((row.version or 0 for row in rows), default=0)
        sent = 0
        try:
            for ids in _batches(dict.fromkeys(row.payload["changed_id"] for row in rows)):
                message = {"version": version, "changed_ids": ids}
                await self._publisher.publish(topic, json.encode(message))
                sent += 1
        except NotConnected as error:
            await self._again([row.outbox_id for row in rows], str(error))
            return sent
        except PublishRefused as error:
            # Trying again would end as badly, for ever.
            log.error("a push was refused and is given up", topic=topic, why=str(error))
        async with self._database.write() as connection:
            done = [row.outbox_id for row in rows]
            await outbox.finish(connection, done, holder=self._holder, now_ms=self._now_ms())
        return sent

    async def _again(self, outbox_ids: Sequence[int], why: str) -> None:
        until_ms = self._now_ms() + int(self._every_s * 1_000)
        async with self._database.write() as connection:
            for outbox_id in outbox_ids:
                await outbox.postpone(
                    connection, outbox_id, holder=self._holder, until_ms=until_ms, error=why
                )


def _batches(ids: dict[str, None]) -> Iterator[list[str]]:
    listed = list(ids)
    return (listed[begin : begin + _IDS] for begin in range(0, len(listed), _IDS))
