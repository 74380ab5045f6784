"""`mchat revocations`: what it prints of rows that are open and done, once or again and again."""

import asyncio
import json
import os
import pty
import re
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from directory import client_acls, outbox, replicas
from directory.changes import Subject
from directory.client_acls import Claim
from directory.database import Database
from directory.outbox import OutboxRow
from directory.replicas import Replica
from mchat.moments import ago, clock_time, duration
from mchat.revocation_commands import revocations
from mchat.roots import now_ms
from tests.acceptance.processes import environment

WITHIN_S = 90.0

app = typer.Typer()
app.command()(revocations)

Revocations = Callable[..., Any]


@pytest.fixture
async def directory(sqlite_url: str) -> AsyncIterator[Database]:
    opened = Database.open(sqlite_url)
    yield opened
    await opened.close()


@pytest.fixture
def run(sqlite_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Revocations:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MCHAT_DATABASE_URL", sqlite_url)
    monkeypatch.setenv("COLUMNS", "250")

    async def invoked(*arguments: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, app, [*arguments])

    return invoked


def told(done: Result) -> str:
    """What it printed, each run of blanks as one."""
    assert done.exit_code == 0, done.exception
    return " ".join(done.output.split())


async def leave(database: Database, kind: str, subject: str, age_ms: int = 1_000, **payload: Any) -> int:
    async with database.change("test", now_ms() - age_ms) as change:
        change.touch(Subject("employee", subject))
        change.enqueue("enforcer", kind, subject, payload)
    assert change.version is not None
    return change.version


async def claim(database: Database) -> OutboxRow:
    async with database.write() as connection:
        rows = await outbox.claim(
            connection, "enforcer", holder="worker", now_ms=now_ms(), hold_ms=1, limit=1
        )
    return rows[0]


async def enforce(database: Database, row: OutboxRow, after_ms: int, *, finished: int | None = None) -> None:
    at = row.created_at + after_ms
    async with database.write() as connection:
        assert await outbox.enforced(connection, [row.outbox_id], holder="worker", now_ms=at, confirm_at_ms=0)
        if finished is None:
            return
        await outbox.claim_enforced(connection, "enforcer", holder="worker", now_ms=now_ms(), hold_ms=1)
        assert await outbox.finish(
            connection, [row.outbox_id], holder="worker", now_ms=row.created_at + finished
        )


async def test_nothing_open_and_nothing_done(run: Revocations, directory: Database) -> None:
    said = told(await run())
    assert "newest change 0: 0 not in force yet, 0 in force and not confirmed yet" in said
    assert "nothing was done yet" in said


async def test_open_work_says_what_it_waits_for(run: Revocations, directory: Database) -> None:
    await leave(directory, "member_removed", "bob", 60_000, group_id="team", employee_id="bob")
    await enforce(directory, await claim(directory), 150)
    await leave(directory, "employee_status", "carol", employee_id="carol", before="active", after="disabled")
    row = await claim(directory)
    async with directory.write() as connection:
        await outbox.postpone(
            connection, row.outbox_id, holder="worker", until_ms=now_ms() + 60_000, error="EMQX hangs"
        )
        await replicas.beat(connection, Replica("hooks_slow", "hooks", 0, 0, now_ms() - 5_000))
        await replicas.beat(connection, Replica("hooks_good", "hooks", 99, 0, now_ms()))
        await client_acls.claim(
            connection, [Claim("a", "a", 1), Claim("b", "b", 1)], holder="w", now_ms=0, hold_ms=1
        )
    await leave(directory, "policy_activated", "policy", policy_version=3)
    row = await claim(directory)
    async with directory.write() as connection:
        await outbox.note(connection, row.outbox_id, holder="worker", progress="1 sessions in line")
    await leave(directory, "member_added", "dave", group_id="team", employee_id="dave")
    said = told(await run())
    assert "3 not in force yet, 1 in force and not confirmed yet" in said
    # Ages are those of the moment in which the command comes to look.
    age = r"\d+(\.\d+)? (s|min)"
    removed = rf"│ member_removed │ bob \(group_id team\) │ {age} │ after 150 ms │ 1 │ waits for hooks_slow │"
    assert re.search(removed, said)
    assert "carol (before active, after disabled)" in said
    assert "tried again after: EMQX hangs" in said
    assert "│ policy_activated │ policy (policy_version 3) │" in said
    assert "1 sessions in line, of about 2; being carried out" in said
    assert "│ 0 │ waits for a worker │" in said
    assert "replica hooks_slow is behind since" in said
    assert re.search(rf"\({age} ago\): it answers by version 0; silent for {age}, counts", said)
    assert "counts as having applied everything in 5 min" in said
    assert "hooks_good" not in said
    data = json.loads((await run("--json")).output)
    assert [one["kind"] for one in data["open"]] == [
        "member_removed",
        "employee_status",
        "policy_activated",
        "member_added",
    ]
    assert [one["replica"] for one in data["replicas_behind"]] == ["hooks_slow"]
    assert data["clients_with_rules"] == 2


async def test_work_in_force_says_what_it_waits_for(run: Revocations, directory: Database) -> None:
    version = await leave(directory, "employee_role", "gate", employee_id="gate")
    await enforce(directory, await claim(directory), 10)
    assert "│ 1 │ is looked at again │" in told(await run())
    async with directory.change("enforcer", now_ms()) as change:
        change.enqueue("gateway", "reconnect", "gate_1", {"client_id": "gate_1", "version": version})
    assert "│ 1 │ told gate_1 to reconnect │" in told(await run())


async def test_what_was_done_says_how_long_it_took(run: Revocations, directory: Database) -> None:
    for number in range(3):
        await leave(
            directory, "member_removed", f"p{number}", 10_000, group_id="team", employee_id=f"p{number}"
        )
        await enforce(directory, await claim(directory), 100 + number, finished=2_000 + 1_000 * number)
    said = told(await run())
    assert "done, the last 3" in said
    assert "p2 (group_id team)" in said
    assert "│ 102 ms │ 4.00 s │ 1 │" in said
    assert "commit → in force: p50 101 ms, p99 102 ms, of 3" in said
    assert "commit → confirmed: p50 3.00 s, p99 4.00 s, of 3" in said
    said = told(await run("--last", "1"))
    assert "done, the last 1" in said
    assert "p0" not in said


async def lines(process: asyncio.subprocess.Process) -> AsyncIterator[dict[str, Any]]:
    assert process.stdout is not None
    while line := await asyncio.wait_for(process.stdout.readline(), WITHIN_S):
        yield json.loads(line)


async def test_watching_as_json_shows_a_change_as_it_goes_and_ends_with_ctrl_c(
    sqlite_url: str, directory: Database, tmp_path: Path
) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mchat", "revocations", "--watch", "--json"),
        cwd=tmp_path,
        env=environment(tmp_path, database_url=sqlite_url),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        steps = []
        async for seen in lines(process):
            state = (seen["unenforced"], seen["unconfirmed"], len(seen["done"]))
            if state == (0, 0, 0):
                await leave(directory, "member_removed", "bob", employee_id="bob")
            elif state == (1, 0, 0):
                await enforce(directory, await claim(directory), 10, finished=20)
            steps.append(state)
            if state == (0, 0, 1):
                break
        assert list(dict.fromkeys(steps)) == [(0, 0, 0), (1, 0, 0), (0, 0, 1)]
        process.send_signal(signal.SIGINT)
        _, complaints = await asyncio.wait_for(process.communicate(), WITHIN_S)
        assert (process.returncode, complaints) == (0, b"")
    finally:
        if process.returncode is None:
            process.kill()


async def test_watching_on_a_terminal_refreshes_and_ends_with_ctrl_c(
    sqlite_url: str, directory: Database, tmp_path: Path
) -> None:
    terminal, other_end = pty.openpty()
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "mchat", "revocations", "--watch"),
            cwd=tmp_path,
            env={**environment(tmp_path, database_url=sqlite_url), "TERM": "xterm"},
            stdout=other_end,
            stderr=other_end,
        )
        os.close(other_end)
        shown = await read_until(terminal, b"0 not in force yet", b"")
        await leave(directory, "member_removed", "bob", employee_id="bob")
        shown = await read_until(terminal, b"waits for a worker", shown)
        process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(process.wait(), WITHIN_S) == 0
        assert b"Traceback" not in shown
    finally:
        os.close(terminal)


async def read_until(terminal: int, words: bytes, shown: bytes) -> bytes:
    async with asyncio.timeout(WITHIN_S):
        while words not in shown:
            shown += await asyncio.to_thread(os.read, terminal, 65_536)
    return shown


@pytest.mark.parametrize(
    ("milliseconds", "said"),
    [
        (0, "0 ms"),
        (999, "999 ms"),
        (1_500, "1.50 s"),
        (45_000, "45 s"),
        (180_000, "3 min"),
        (9_000_000, "2 h"),
        (400_000_000, "5 d"),
    ],
)
def test_durations_as_people_read_them(milliseconds: int, said: str) -> None:
    assert duration(milliseconds) == said


def test_moments_as_people_read_them() -> None:
    assert clock_time(1_795_291_251_654) == "2026-11-21 20:00:51Z"
    assert ago(-5) == "0 ms ago"
