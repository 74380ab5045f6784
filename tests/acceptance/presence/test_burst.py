"""A burst of events, pipelined as EMQX sends them: each is answered 204 and stored, or 503 and sent again.

Meanwhile the database is locked for a while, and the process is killed as soon as it has answered the last one.
"""

import asyncio
import json
from collections import Counter, deque
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import text

from directory import events
from directory.database import Database
from tests.acceptance.processes import Hooks, serving_hooks
from tests.acl_service.serving import BEARER
from tests.emqx.waiting import until

EVENTS = 20_000
CONNECTIONS = 32
PIPELINED = 100
"""Of one connection at a time (EMQX: `enable_pipelining`)."""

LOCKED_AFTER = 5_000
"""Answered events after which the database is locked."""

GROWTH_MIB = 64


@dataclass(slots=True)
class Burst:
    """Events on their way.

    Attributes:
        waiting: client ids whose event is to be sent.
        answers: what each was answered, in the order of the answers.
    """

    waiting: deque[str]
    answers: dict[str, list[int]] = field(default_factory=dict)
    counts: Counter[int] = field(default_factory=Counter)

    async def send(self, port: int) -> None:
        """Send over one connection until nothing waits any more."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        under_way: deque[str] = deque()
        try:
            while self.waiting or under_way:
                while self.waiting and len(under_way) < PIPELINED:
                    client_id = self.waiting.popleft()
                    under_way.append(client_id)
                    writer.write(_request(client_id))
                status = int((await reader.readuntil(b"\r\n\r\n")).split(b" ", 2)[1])
                self._answered(under_way.popleft(), status)
        finally:
            writer.close()

    def _answered(self, client_id: str, status: int) -> None:
        self.answers.setdefault(client_id, []).append(status)
        self.counts[status] += 1
        if status == 503:
            self.waiting.append(client_id)


def _request(client_id: str) -> bytes:
    body = json.dumps(
        {
            "event": "client.connected",
            "clientid": client_id,
            "username": "m1",
            "connected_at": 1_700_000_000_000,
        }
    ).encode()
    head = (
        f"POST /emqx/events HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        f"authorization: {BEARER['authorization']}\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def lock(database: Database, burst: Burst) -> None:
    """Lock the events' table until the hooks say that they cannot store, as they do after the time limit."""
    await until(lambda: burst.counts[204] >= LOCKED_AFTER, 60)
    async with database.write() as connection:
        if database.dialect == "postgresql":
            await connection.execute(text("LOCK TABLE presence_event IN ACCESS EXCLUSIVE MODE"))
        await until(lambda: burst.counts[503], 30)


def memory_mib(hooks: Hooks) -> float:
    """The most memory that a process has had."""
    status = Path(f"/proc/{hooks.process.pid}/status").read_text()
    (line,) = (one for one in status.splitlines() if one.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


async def test_a_burst_loses_nothing_though_the_database_is_locked_and_the_process_killed_behind_it(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    ids = [f"m1_{number}" for number in range(EVENTS)]
    burst = Burst(deque(ids))
    async with serving_hooks(tmp_path, database_url, database_timeout=0.5) as hooks:
        before_mib = memory_mib(hooks)
        locking = asyncio.create_task(lock(database, burst))
        await asyncio.gather(*(burst.send(hooks.port) for _ in range(CONNECTIONS)))
        grown_mib = memory_mib(hooks) - before_mib
        hooks.process.kill()
        await hooks.process.wait()
        await locking
    print(f"{database.dialect}: answers {dict(burst.counts)}, {grown_mib:.1f} MiB more at most")
    assert set(burst.counts) == {204, 503}
    assert all(answers[-1] == 204 for answers in burst.answers.values())
    found = await stored(database)
    assert found.keys() == set(ids)
    # What was answered 503 may have been stored all the same: the fold takes it as one.
    assert {one for one, count in found.items() if count > 1} <= {
        one for one, answers in burst.answers.items() if 503 in answers
    }
    assert grown_mib < GROWTH_MIB


async def stored(database: Database) -> Counter[str]:
    """How often an event of each client id is in the table."""
    found: Counter[str] = Counter()
    last = 0
    async with database.read() as connection:
        while page := await events.after(connection, last, 5_000):
            found.update(row.client_id for row in page)
            last = page[-1].event_id
    return found
