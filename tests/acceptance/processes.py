"""MChat's processes as they are run: ``python -m mchat …`` with settings in the environment."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.acl_service.serving import BEARER, HOOK_SECRET
from tests.postgres import free_port

READY_S = 30.0


@dataclass(slots=True)
class Hooks:
    """A running ``mchat serve hooks`` and a client of it."""

    process: asyncio.subprocess.Process
    client: httpx.AsyncClient
    port: int

    async def allows(self, client_id: str, action: str, topic: str) -> bool:
        """Ask ``/emqx/authz``."""
        body = {"clientid": client_id, "action": action, "topic": topic, "qos": "1", "retain": "false"}
        response = await self.client.post("/emqx/authz", json=body)
        assert response.status_code == 200
        return bool(response.json()["result"] == "allow")

    async def metric(self, name: str) -> float:
        """Read one metric that has no labels."""
        text = (await self.client.get("/metrics")).text
        found = re.search(rf"^{name} (\S+)$", text, re.MULTILINE)
        assert found is not None, f"{name} is not among the metrics"
        return float(found[1])

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)


def environment(folder: Path, **settings: object) -> dict[str, str]:
    """The environment of a process: this one's without MChat's settings, and the given ones."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MCHAT_")}
    given = {f"MCHAT_{name.upper()}": str(value) for name, value in settings.items()}
    return {**kept, "MCHAT_VAR": str(folder / "var"), **given}


@asynccontextmanager
async def serving_hooks(folder: Path, url: str, **settings: object) -> AsyncIterator[Hooks]:
    """Run ``mchat serve hooks`` on a free port, on the database of ``url``."""
    port = free_port()
    variables = environment(
        folder,
        database_url=url,
        hooks_bind=f"127.0.0.1:{port}",
        hook_secrets=HOOK_SECRET,
        log_level="error",
        **settings,
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mchat", "serve", "hooks"),
        cwd=folder,
        env=variables,
    )
    limits = httpx.Limits(max_connections=64, max_keepalive_connections=64)
    base = f"http://127.0.0.1:{port}"
    try:
        async with httpx.AsyncClient(base_url=base, headers=BEARER, timeout=10, limits=limits) as client:
            await _until_ready(process, client)
            yield Hooks(process, client, port)
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGCONT)
            process.terminate()
        await asyncio.wait_for(process.wait(), 15)


async def _until_ready(process: asyncio.subprocess.Process, client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(READY_S):
        while True:
            assert process.returncode is None, f"the process ended with {process.returncode}"
            try:
                if (await client.get("/health/ready")).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.02)
