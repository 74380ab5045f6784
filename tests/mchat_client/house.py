"""MChat as it is run, for a client: hooks, worker, laptop broker and gateway as processes, on SQLite."""

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.acceptance.processes import environment
from tests.postgres import free_port

READY_S = 60.0


@dataclass(frozen=True, slots=True)
class House:
    """Where its broker listens, and the administrator's credential."""

    tcp_port: int
    ws_port: int
    admin_token: str


@asynccontextmanager
async def house(folder: Path, **settings: str) -> AsyncIterator[House]:
    names = ("hooks", "admin", "gateway", "laptop_tcp", "laptop_ws", "laptop_api")
    ports = {name: free_port() for name in names}
    variables = environment(
        folder,
        **{f"{name}_bind": f"127.0.0.1:{port}" for name, port in ports.items()},
        gateway_port=ports["laptop_tcp"],
        gateway_protocol="3.1.1",
        client_port=ports["laptop_tcp"],
        laptop_hooks_url=f"http://127.0.0.1:{ports['hooks']}",
        emqx_url=f"http://127.0.0.1:{ports['laptop_api']}",
        log_level="error",
        **settings,
    )
    async with AsyncExitStack() as stack:
        made = await _process(stack, folder, variables, "init")
        told, _ = await asyncio.wait_for(made.communicate(), READY_S)
        token = re.search(r"^admin: (mct_\S+)$", told.decode(), re.MULTILINE)
        assert token is not None, told
        await _process(stack, folder, variables, "serve")
        await _answers(f"http://127.0.0.1:{ports['hooks']}/health/ready")
        await _process(stack, folder, variables, "laptop")
        await _process(stack, folder, variables, "serve", "gateway")
        await _answers(f"http://127.0.0.1:{ports['gateway']}/health/ready")
        yield House(ports["laptop_tcp"], ports["laptop_ws"], token[1])


async def _process(
    stack: AsyncExitStack, folder: Path, variables: dict[str, str], *words: str
) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mchat", *words),
        cwd=folder,
        env=variables,
        stdout=asyncio.subprocess.PIPE if words == ("init",) else None,
    )

    async def end() -> None:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.wait(), READY_S)

    stack.push_async_callback(end)
    return process


async def _answers(address: str) -> None:
    async with httpx.AsyncClient(timeout=5) as client, asyncio.timeout(READY_S):
        while True:
            try:
                if (await client.get(address)).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.1)
