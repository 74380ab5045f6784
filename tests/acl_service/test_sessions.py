import asyncio
import time
from statistics import median

import pytest
from structlog.testing import capture_logs

from acl_service.sessions import SessionWriter
from directory.database import Database
from directory.errors import Unavailable
from directory.sessions import SessionRow, of_clients
from tests.acl_service.serving import Served, until


def row(client_id: str, version: int = 1) -> SessionRow:
    return SessionRow(client_id=client_id, employee_id="e", grants_version=version, updated_at=version)


async def test_only_the_newest_row_of_a_client_is_written() -> None:
    written: list[list[SessionRow]] = []

    async def write(rows: list[SessionRow]) -> None:
        written.append(rows)

    writer = SessionWriter(write)
    for version in (1, 2, 3):
        writer.put(row("a", version))
    await writer.close()
    assert written == [[row("a", 3)]]


async def test_rows_wait_for_a_database_that_is_away() -> None:
    written: list[SessionRow] = []
    away, tries = True, 0

    async def write(rows: list[SessionRow]) -> None:
        nonlocal tries
        tries += 1
        if away:
            raise Unavailable("away")
        written.extend(rows)

    writer = SessionWriter(write, retry_s=0.01)
    writer.put(row("a"))
    await until(lambda: tries >= 2)
    assert writer.waiting == 1
    away = False
    await until(lambda: writer.waiting == 0)
    assert written == [row("a")]


async def test_memory_is_bounded_and_the_oldest_is_dropped() -> None:
    async def write(rows: list[SessionRow]) -> None:
        raise Unavailable("away")

    writer = SessionWriter(write, waiting=2, retry_s=0.01)
    for name in "abc":
        writer.put(row(name))
    assert (writer.waiting, writer.dropped) == (2, 1)
    await writer.close()


async def test_a_row_that_cannot_be_stored_is_lost_alone_and_its_words_are_not_logged() -> None:
    written: list[SessionRow] = []

    async def write(rows: list[SessionRow]) -> None:
        if any(one.client_id == "bad" for one in rows):
            raise ValueError("INSERT INTO client_session … DETAIL: bad")
        written.extend(rows)

    writer = SessionWriter(write)
    with capture_logs() as lines:
        for name in ("a", "bad", "b"):
            writer.put(row(name))
        await until(lambda: writer.waiting == 0)
    assert (written, writer.dropped) == ([row("a"), row("b")], 1)
    assert lines == [
        {"event": "session rows lost", "count": 1, "error": "ValueError", "log_level": "warning"}
    ]


@pytest.mark.timed
async def test_an_answered_connect_is_in_the_directory_within_50_ms(
    served: Served, database: Database
) -> None:
    answer = await served.authn("alice_pc", "alice", served.tokens["alice"], zone="office")
    assert answer["result"] == "allow"
    session, _ = await _stored(database, "alice_pc")
    attributes = answer["client_attrs"]
    assert (session.employee_id, session.zone) == ("alice", "office")
    assert (session.credential_id, str(session.grants_version)) == (
        attributes["credential_id"],
        attributes["grants_version"],
    )
    taken = []
    for number in range(40):
        assert (await served.authn(f"alice_{number}", "alice", served.tokens["alice"]))["result"] == "allow"
        taken.append((await _stored(database, f"alice_{number}"))[1])
        if len(taken) >= 9 and median(taken) < 0.05:
            break
    # Single connects may meet a machine that is busy with other tests; the half of them may not.
    assert median(taken) < 0.05, [round(one, 3) for one in taken]


async def _stored(database: Database, client_id: str) -> tuple[SessionRow, float]:
    """The row of an answered connect, and the seconds until it was read."""
    began = time.perf_counter()
    async with asyncio.timeout(10):
        while True:
            async with database.read() as connection:
                found = await of_clients(connection, [client_id])
            if found:
                return found[client_id], time.perf_counter() - began
