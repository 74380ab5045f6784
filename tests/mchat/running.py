"""``mchat up`` as a process, on free ports, in a folder of its own."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.acceptance.processes import environment
from tests.postgres import free_port

UP_S = 60.0


@dataclass(frozen=True, slots=True)
class Up:
    """A running ``mchat up``, what it said and where its broker is."""

    process: asyncio.subprocess.Process
    banner: str
    mqtt_port: int
    environment: dict[str, str]

    @property
    def commands(self) -> list[str]:
        """The banner's commands: its lines behind two blanks."""
        return [line.strip() for line in self.banner.splitlines() if line.startswith("  ")]

    async def paste(self, command: str, folder: Path) -> tuple[int, str]:
        """Run one of the commands in a shell; its exit code and all that it wrote."""
        async with self.pasted(command, folder) as process:
            output, _ = await asyncio.wait_for(process.communicate(), UP_S)
            assert process.returncode is not None
            return process.returncode, output.decode()

    @asynccontextmanager
    async def pasted(self, command: str, folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
        """One of the commands, running in a shell; ended with the block."""
        process = await asyncio.create_subprocess_shell(
            f"exec {command}",
            cwd=folder,
            env=self.environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


@asynccontextmanager
async def up(folder: Path, *options: str, **settings: str) -> AsyncIterator[Up]:
    """Start it in a terminal that is too narrow for everything, and wait for its banner."""
    names = (
        *("hooks_bind", "admin_bind", "gateway_bind"),
        *("laptop_tcp_bind", "laptop_ws_bind", "laptop_api_bind"),
    )
    ports = {name: free_port() for name in names}
    addresses = {name: f"127.0.0.1:{port}" for name, port in ports.items()}
    variables = {**environment(folder, **addresses, **settings), "COLUMNS": "40"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mchat", "up", *options),
        cwd=folder,
        env=variables,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    banner = ""
    try:
        async with asyncio.timeout(UP_S):
            while "Ctrl-C stops" not in banner:
                line = await process.stdout.readline()
                assert line, f"it ended: {banner}"
                banner += line.decode()
        yield Up(process, banner, ports["laptop_tcp_bind"], variables)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def children(pid: int) -> set[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return {int(child) for task in tasks for child in task.read_text().split()}


async def gone(pids: set[int]) -> None:
    """Wait until none of them runs."""
    async with asyncio.timeout(15):
        while any(alive(pid) for pid in pids):
            await asyncio.sleep(0.05)


def here(folder: Path) -> set[str]:
    """The names of what lies in a folder."""
    return {path.name for path in folder.iterdir()}


def command_line(pid: int) -> str:
    """What `ps` shows of a process."""
    return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")


def secret_in(path: str) -> str:
    """The secret that a file holds."""
    return Path(path).read_text().strip()
