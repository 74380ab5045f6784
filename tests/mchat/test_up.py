"""``mchat up`` as a whole: it comes up, says where, and leaves nothing behind however it ends."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.acceptance.processes import environment
from tests.postgres import free_port

UP_S = 60.0


def alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def children(pid: int) -> set[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return {int(child) for task in tasks for child in task.read_text().split()}


@asynccontextmanager
async def up(folder: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """Start ``mchat up`` on free ports and wait for its banner."""
    names = ("hooks_bind", "admin_bind", "laptop_tcp_bind", "laptop_ws_bind")
    addresses = {name: f"127.0.0.1:{free_port()}" for name in names}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mchat", "up"),
        cwd=folder,
        env={**environment(folder, **addresses), "COLUMNS": "160"},
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    banner = ""
    try:
        async with asyncio.timeout(UP_S):
            while "Ctrl-C" not in banner:
                line = await process.stdout.readline()
                assert line, f"it ended: {banner}"
                banner += line.decode()
        yield process, banner
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def gone(pids: set[int]) -> None:
    async with asyncio.timeout(15):
        while any(alive(pid) for pid in pids):
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
async def test_up_comes_up_and_leaves_no_orphans(tmp_path: Path, how: signal.Signals) -> None:
    async with up(tmp_path) as (process, banner):
        for word in ("MQTT", "Hooks", "Admin API", "mct_", "mchat person add", "up --check"):
            assert word in banner
        started = children(process.pid)
        assert len(started) == 2
        os.killpg(process.pid, how) if how is signal.SIGINT else process.send_signal(how)
        code = await asyncio.wait_for(process.wait(), 20)
        assert code == (-how if how is signal.SIGKILL else 0)
        await gone(started)


async def test_up_ends_with_the_first_of_its_processes(tmp_path: Path) -> None:
    async with up(tmp_path) as (process, _):
        first, second = children(process.pid)
        os.kill(first, signal.SIGKILL)
        assert await asyncio.wait_for(process.wait(), 20) == 2
        await gone({first, second})


def empty(folder: Path) -> bool:
    return not any(folder.iterdir())


async def test_up_check_drives_real_clients_and_finds_all_as_expected(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mchat", "up", "--check"),
        cwd=tmp_path,
        env=environment(tmp_path),
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await asyncio.wait_for(process.communicate(), UP_S)
    text = output.decode()
    assert process.returncode == 0, text
    assert "18 of 18 all as expected" in text
    assert "✗" not in text
    assert empty(tmp_path), "it works in a temporary folder of its own"
