"""Publishes people's standing on their status topics, retained, and puts it back where somebody contradicts it.

One call of the REST API is under way at a time, so that no two projections of a person overtake each other
(emqx-measured.md, "Odd ids"). What is to be published is in the database first: whoever takes over goes on with it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import msgspec
import structlog

from acl_service.presence.counters import Counters
from acl_service.presence.echoes import Echoes
from acl_service.presence.hearing import Said, status_prefix
from acl_service.presence.people import Derived, derive
from directory import presence, standing
from directory.database import Database
from directory.errors import DirectoryError
from directory.instants import iso
from directory.presence import DeviceState
from directory.standing import PersonRow
from emqx.api.broker import BrokerApi
from emqx.api.errors import Rejected
from emqx.api.publishing import Message
from emqx.errors import EmqxError

log = structlog.get_logger(__name__)

APART_MS: Final = 1_000
"""Between two publishes of one person's projection, at least (rule 13)."""

INSISTENT: Final = 5
"""Projections put back within `INSISTENT_MS` of which somebody is reported."""

INSISTENT_MS: Final = 60_000
_MOST_INSISTENT: Final = 10_000

_AT_ONCE: Final = 200
_EVERY_S: Final = 0.1
_AGAIN_MS: Final = 1_000
_REJECTED_MS: Final = 60_000


class Projection(msgspec.Struct, frozen=True):
    """What is published: for whoever may read the topic (design, "Who may what").

    Attributes:
        status: `online` or `offline`.
        updated_at: when it became so, ISO 8601 with milliseconds and `Z`.
        last_seen: the newest moment of any device, as of then.
        devices: how many were on; which ones is for the admin API.
        version: one more each time; proves nothing (rule 15).
    """

    status: str
    updated_at: str
    last_seen: str
    devices: int
    version: int


@dataclass(slots=True)
class _Insistence:
    """Who contradicts a person's projection, and when it was put back."""

    senders: set[str] = field(default_factory=set)
    put_back: deque[int] = field(default_factory=lambda: deque(maxlen=INSISTENT))


class Projector:
    """Looks at the people who are due.

    Args:
        database: the directory.
        api: of the broker.
        service: this deployment's service id; empty for none.
        counters: what is counted.
        grace_ms: how long an end that nobody meant waits to be announced (rule 8).
        now_ms: wall clock, milliseconds since the epoch.
        sleep: waits that many seconds.
    """

    def __init__(
        self,
        database: Database,
        api: BrokerApi,
        service: str,
        counters: Counters,
        *,
        grace_ms: int,
        now_ms: Callable[[], int],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._database = database
        self._api = api
        self._prefix = status_prefix(service)
        self._counters = counters
        self._grace_ms = grace_ms
        self._now_ms = now_ms
        self._sleep = sleep
        self._echoes = Echoes()
        self._insistent: dict[str, _Insistence] = {}

    def contradicts(self, person: PersonRow, said: Said) -> bool:
        """Tell whether something published contradicts a person's projection; remembers who did."""
        if not self._echoes.contradicts(person, said, self._now_ms()):
            return False
        if person.employee_id not in self._insistent and len(self._insistent) >= _MOST_INSISTENT:
            del self._insistent[next(iter(self._insistent))]
        known = self._insistent.setdefault(person.employee_id, _Insistence())
        if len(known.senders) < INSISTENT:
            known.senders.add(said.client_id)
        return True

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            pause = _EVERY_S
            try:
                if await self.step() >= _AT_ONCE:
                    pause = 0.0
            except DirectoryError as error:
                self._counters.failed("projection")
                log.warning("projections wait for the database", error=str(error))
                pause = 1.0
            await self._sleep(pause)

    async def step(self) -> int:
        """Look at people who are due; returns how many.

        Raises:
            directory.errors.DirectoryError: the database did not answer; they stay due.
        """
        now_ms = self._now_ms()
        async with self._database.read() as connection:
            seen = {row.employee_id: row for row in await standing.due(connection, now_ms, _AT_ONCE)}
            devices = await presence.devices_of(connection, seen) if seen else {}
        if not seen:
            return 0
        rows = {name: self._looked_at(row, devices.get(name, ()), now_ms) for name, row in seen.items()}
        await self._store(rows, seen)
        ready = [
            row for row in rows.values() if _waits(row) and row.due_at is not None and row.due_at <= now_ms
        ]
        if ready:
            await self._publish(ready, seen)
        return len(seen)

    def _looked_at(self, row: PersonRow, devices: Sequence[DeviceState], now_ms: int) -> PersonRow:
        found = derive(
            devices, announced=row.status, last_seen=row.last_seen_at, now_ms=now_ms, grace_ms=self._grace_ms
        )
        now = replace(row, devices=found.devices, last_seen_at=found.last_seen, due_at=found.due_at)
        if found.status != row.status:
            now = replace(
                now,
                status=found.status,
                version=row.version + 1,
                payload=_payload(found, row.version + 1, now_ms),
                published=False,
                changed_at=now_ms,
            )
        if not _waits(now):
            return now
        left_ms = row.published_at + APART_MS - now_ms
        # More than all of it: the clock was set back, and must not hold anybody up.
        return replace(now, due_at=now_ms + left_ms if 0 < left_ms <= APART_MS else now_ms)

    async def _publish(self, rows: Sequence[PersonRow], seen: Mapping[str, PersonRow]) -> None:
        """Publish projections that are in the database; those that fail stay due."""
        began_ms = self._now_ms()
        for row in rows:
            self._echoes.expect(row.employee_id, row.payload, began_ms)
        try:
            await self._api.publishing.publish_many(
                [Message(self._prefix + row.employee_id, row.payload, qos=1, retain=True) for row in rows]
            )
        except BaseException as error:
            # Whether they arrived is not known: if they come late, they must not pass for what is so then.
            for row in rows:
                self._echoes.withdraw(row.employee_id, row.payload)
            if not isinstance(error, EmqxError):
                raise
            rejected = isinstance(error, Rejected)
            if rejected and len(rows) > 1:
                # One of them holds up the others: which one, shows by itself.
                for row in rows:
                    await self._publish([row], seen)
                return
            self._counters.failed("publish")
            log.warning("projections wait for the broker", count=len(rows), error=str(error))
            later = self._now_ms() + (_REJECTED_MS if rejected else _AGAIN_MS)
            await self._store({row.employee_id: replace(row, due_at=later) for row in rows}, seen)
            return
        now_ms = self._now_ms()
        put_back = [row for row in rows if row.published]
        self._counters.published("changed", len(rows) - len(put_back))
        self._counters.published("contradicted", len(put_back))
        for row in put_back:
            self._report(row.employee_id, now_ms)
        await self._store({row.employee_id: self._after(row, now_ms) for row in rows}, seen)

    def _after(self, row: PersonRow, now_ms: int) -> PersonRow:
        # Announced as online without a device that is: the end of the grace time is awaited.
        due_at = now_ms if row.status == "online" and not row.devices else None
        return replace(row, published=True, published_at=now_ms, contradicted_at=None, due_at=due_at)

    async def _store(self, rows: Mapping[str, PersonRow], seen: Mapping[str, PersonRow]) -> None:
        async with self._database.write() as connection:
            await standing.store(connection, list(rows.values()), seen=seen)

    def _report(self, employee_id: str, now_ms: int) -> None:
        known = self._insistent.get(employee_id)
        if known is None:
            return
        known.put_back.append(now_ms)
        if len(known.put_back) == INSISTENT and now_ms - known.put_back[0] < INSISTENT_MS:
            self._counters.insistent()
            log.warning(
                "a status is contradicted again and again: see what this client publishes",
                employee_id=employee_id,
                client_ids=sorted(known.senders),
                times=INSISTENT,
            )
            del self._insistent[employee_id]


def _waits(row: PersonRow) -> bool:
    """Whether a projection is to be published."""
    return row.status != "" and (not row.published or row.contradicted_at is not None)


def _payload(found: Derived, version: int, now_ms: int) -> str:
    projection = Projection(found.status, iso(now_ms), iso(found.last_seen), found.devices, version)
    return msgspec.json.encode(projection).decode()
