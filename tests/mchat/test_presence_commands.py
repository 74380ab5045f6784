"""`mchat presence` and `mchat presence history`: what they print of rows, once or again and again."""

import asyncio
import json
import os
import pty
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from directory import departments, groups, people, presence
from directory.database import Database
from directory.errors import NotFound
from mchat.command import app
from mchat.errors import CommandError
from mchat.roots import now_ms
from mchat.screen import shown
from tests.acceptance.processes import environment
from tests.acl_service.admin.listening import derive, off, on
from tests.directory.test_presence import device, transition
from tests.mchat.test_revocation_commands import WITHIN_S, lines, read_until

Presence = Callable[..., Any]


@pytest.fixture
async def directory(sqlite_url: str) -> AsyncIterator[Database]:
    """ann and bob in `sales`, bob and cid in the group `team`; bob is online."""
    opened = Database.open(sqlite_url)
    async with opened.change("hr", now_ms()) as change:
        await departments.add(change, name="Sales", department_id="sales")
        for one in ("ann", "bob", "cid"):
            await people.add(
                change,
                name=one.title(),
                employee_id=one,
                department_id=None if one == "cid" else "sales",
            )
        await groups.create(change, name="Team", creator="bob", group_id="team", member_ids=["cid"])
    await derive(opened, on("bob", 2), off("cid"))
    yield opened
    await opened.close()


@pytest.fixture
def run(sqlite_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Presence:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MCHAT_DATABASE_URL", sqlite_url)
    monkeypatch.setenv("COLUMNS", "250")

    async def invoked(*arguments: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, app, ["presence", *arguments])

    return invoked


def told(done: Result) -> str:
    """What it printed, each run of blanks as one."""
    assert done.exit_code == 0, done.exception
    return " ".join(done.output.split())


def data(done: Result) -> dict[str, Any]:
    assert done.exit_code == 0, done.exception
    found: dict[str, Any] = json.loads(done.output)
    return found


def names(done: Result) -> list[str]:
    return [one["employee_id"] for one in data(done)["people"]]


async def test_everybody_with_who_is_online(run: Presence, directory: Database) -> None:
    said = told(await run())
    assert ": 1 online" in said
    assert "│ ann │ Ann │ offline │ 0 │ – │ – │" in said
    assert "│ bob │ Bob │ online │ 2 │ 1970-01-01 00:00:01Z │ 1970-01-01 00:00:02Z │" in said
    assert "and more" not in said
    found = data(await run("--json"))
    assert found["online"] == 1
    assert found["more"] is False
    assert found["people"][1] == {
        "employee_id": "bob",
        "name": "Bob",
        "status": "online",
        "devices": 2,
        "since": "1970-01-01T00:00:01.000Z",
        "last_seen": "1970-01-01T00:00:02.000Z",
    }


async def test_filters_and_bounds(run: Presence, directory: Database) -> None:
    assert names(await run("--json", "--department", "sales")) == ["ann", "bob"]
    assert names(await run("--json", "--group", "team")) == ["bob", "cid"]
    assert names(await run("--json", "--status", "online")) == ["bob"]
    assert names(await run("--json", "--status", "offline", "--department", "sales")) == ["ann"]
    assert names(await run("--json", "--after", "bob")) == ["cid"]
    for limit, more in ((1, True), (2, True), (3, False), (4, False)):
        found = data(await run("--json", "--limit", str(limit)))
        assert (len(found["people"]), found["more"]) == (min(limit, 3), more)
    assert "and more; --limit" in told(await run("--limit", "2"))


async def test_many_pages_are_one_list(run: Presence, directory: Database) -> None:
    crowd = [f"p{n:04}" for n in range(1_100)]
    async with directory.change("hr", now_ms()) as change:
        for one in crowd:
            await people.add(change, name=one, employee_id=one)
    assert names(await run("--json", "--limit", "2000")) == ["ann", "bob", "cid", *crowd]
    assert names(await run("--json", "--limit", "1001", "--after", "cid")) == crowd[:1_001]


async def test_a_slip_of_the_pen_is_told(run: Presence, directory: Database) -> None:
    assert isinstance((await run("--status", "away")).exception, CommandError)
    for option in ("--department", "--group"):
        assert isinstance((await run(option, "nosuch")).exception, NotFound)
    assert isinstance((await run("history", "nobody")).exception, NotFound)
    assert (await run("history", "ann")).exit_code == 0


async def test_history_shows_devices_and_transitions(run: Presence, directory: Database) -> None:
    phone = device("bob_phone", employee_id="bob", since_at=1_000, peer="10.0.0.1:5")
    left = device("bob_pc", employee_id="bob", online=False, reason="tcp_closed", since_at=2_000)
    async with directory.write() as connection:
        mad = device("bob_mad", employee_id="bob", online=False, updated_at=1, since_at=2**62)
        await presence.store_devices(connection, [phone, left, mad])
        await presence.store_history(
            connection,
            [
                transition("bob_pc", "online", employee_id="bob", happened_at=1_500),
                transition("bob_pc", "offline", employee_id="bob", happened_at=2_000, reason="tcp_closed"),
            ],
        )
    await derive(directory, on("cid", 1))
    assert "cid: online, 1 device on, last seen" in told(await run("history", "cid"))
    said = told(await run("history", "bob"))
    assert "bob: online, 2 devices on, last seen 1970-01-01 00:00:02Z (" in said
    assert "│ bob_phone │ online │ 1970-01-01 00:00:01Z │" in said
    assert "│ bob_pc │ offline: tcp_closed │" in said
    assert "│ 9999-12-31 23:59:59Z │" in said
    newest = said.index("│ 1970-01-01 00:00:02Z │ offline │ bob_pc │ tcp_closed │ n1 │")
    assert newest < said.index("│ 1970-01-01 00:00:01Z │ online │ bob_pc │ │ n1 │")
    assert "│ online │ bob_pc" not in told(await run("history", "bob", "--limit", "1"))
    found = data(await run("history", "bob", "--json"))
    assert [one["kind"] for one in found["history"]] == ["offline", "online"]
    assert found["known_devices"][0]["peer"] == "10.0.0.1:5"
    assert "no history is kept" in told(await run("history", "ann"))
    assert "never seen" in told(await run("history", "ann"))


async def test_what_clients_chose_is_harmless_on_a_terminal(run: Presence, directory: Database) -> None:
    evil = "bob_\x1b[2J\x9b31m\u202egnp[red]张"
    async with directory.write() as connection:
        await presence.store_devices(
            connection, [device(evil, employee_id="bob", online=False, reason="\x1b]0;x\x07", peer="\x1bc")]
        )
        await presence.store_history(
            connection, [transition(evil, "offline", employee_id="bob", reason="\x1b[2J")]
        )
    for arguments in (("history", "bob"), ("history", "bob", "--json")):
        done = await run(*arguments)
        assert done.exit_code == 0
        assert not [one for one in done.output if not one.isprintable() and one != "\n"], arguments
        assert "bob_\\x1b[2J" in done.output or "bob_\\u001b[2J" in done.output
    assert r"\x9b31m\u202egnp[red]张" in told(await run("history", "bob"))
    assert data(await run("history", "bob", "--json"))["known_devices"][0]["client_id"] == evil
    assert shown("plain 张 text").plain == "plain 张 text"


async def test_watching_as_json_shows_a_change_and_ends_with_ctrl_c(
    sqlite_url: str, directory: Database, tmp_path: Path
) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mchat", "presence", "--watch", "--json", "--status", "online"),
        cwd=tmp_path,
        env=environment(tmp_path, database_url=sqlite_url),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        seen: list[list[str]] = []
        async for look in lines(process):
            online = [one["employee_id"] for one in look["people"]]
            if not seen:
                await derive(directory, on("ann"))
            if online not in seen:
                seen.append(online)
            if len(seen) == 2:
                break
        assert seen == [["bob"], ["ann", "bob"]]
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
            *(sys.executable, "-m", "mchat", "presence", "--watch"),
            cwd=tmp_path,
            env={**environment(tmp_path, database_url=sqlite_url), "TERM": "xterm"},
            stdout=other_end,
            stderr=other_end,
        )
        os.close(other_end)
        shown_so_far = await read_until(terminal, b"1 online", b"")
        await derive(directory, on("ann"))
        shown_so_far = await read_until(terminal, b"2 online", shown_so_far)
        process.send_signal(signal.SIGINT)
        assert await asyncio.wait_for(process.wait(), WITHIN_S) == 0
        assert b"Traceback" not in shown_so_far
    finally:
        os.close(terminal)
