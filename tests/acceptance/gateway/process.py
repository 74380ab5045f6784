"""`mchat serve gateway` as it is run: a process that may be killed and come again."""

import asyncio
import json
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.acceptance.enforcement.company import GATE, token_of
from tests.acceptance.processes import READY_S, environment
from tests.emqx.api.conftest import KEY, SECRET
from tests.postgres import free_port

SECRET_KEY = "0123456789abcdef" * 4


@dataclass(slots=True)
class Gateway:
    """One gateway, and those that came after it under its name.

    Attributes:
        variables: Its environment.
        health: A client of its health listener.
        kept: For each connection that it made, whether the broker had kept its session.
        told: The requests that each of its processes wrote a line about, in order; a list for each process.
    """

    folder: Path
    variables: dict[str, str]
    health: httpx.AsyncClient
    kept: list[bool] = field(default_factory=list)
    told: list[list[dict[str, Any]]] = field(default_factory=list)
    _process: Process | None = None
    _reading: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start it, and wait until requests come."""
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "mchat", "serve", "gateway"),
            cwd=self.folder,
            env=self.variables,
            stderr=asyncio.subprocess.PIPE,
        )
        self.told.append([])
        self._reading = asyncio.create_task(self._read(self._process, self.told[-1]))
        async with asyncio.timeout(READY_S):
            while not await self.ready():
                assert self._process.returncode is None, f"it ended with {self._process.returncode}"
                await asyncio.sleep(0.02)

    async def kill(self) -> None:
        """SIGKILL, and nothing is left of it but what it did."""
        assert self._process is not None
        self._process.kill()
        await self._ended()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """SIGSTOP, and at the end SIGCONT: it hears and does nothing meanwhile, and knows nothing of it."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    async def stop(self) -> int:
        """SIGTERM; returns how it ended."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self._process.wait(), 20)
        except TimeoutError:
            self._process.kill()
        return await self._ended()

    @property
    def runs(self) -> bool:
        """Whether the process that was started last still runs."""
        return self._process is not None and self._process.returncode is None

    async def ready(self) -> bool:
        """Whether it says that it is ready."""
        try:
            return (await self.health.get("/health/ready")).status_code == 200
        except httpx.TransportError:
            return False

    async def link(self) -> dict[str, Any]:
        """How its link stands."""
        answer: dict[str, Any] = (await self.health.get("/health/link")).json()
        return answer

    def codes(self, client_id: str) -> list[tuple[str, int]]:
        """Sequence id and code of each request of a client that any of its processes answered."""
        lines = [line for process in self.told for line in process]
        return [(line["seq_id"], line["code"]) for line in lines if line["client_id"] == client_id]

    async def _read(self, process: Process, told: list[dict[str, Any]]) -> None:
        assert process.stderr is not None
        async for line in process.stderr:
            try:
                said = json.loads(line)
            except ValueError:
                print(line.decode(errors="replace"), end="")
                continue
            if said.get("event") == "request":
                told.append(said)
            elif said.get("event") == "connected to the broker":
                self.kept.append(said["session_present"])
            elif said.get("level") in ("warning", "error"):
                print(line.decode(), end="")

    async def _ended(self) -> int:
        assert self._process is not None and self._reading is not None
        code = await self._process.wait()
        await self._reading
        return code


@asynccontextmanager
async def serving_gateway(folder: Path, url: str, port: int, **settings: Any) -> AsyncIterator[Gateway]:
    """Run one at a broker's port, on the database of `url`, as the person `gate`.

    Args:
        folder: Its own.
        url: Of the database.
        port: Of the broker's listener.
        settings: Beside the usual ones, without `MCHAT_`.
    """
    health = free_port()
    usual = {
        "database_url": url,
        "secret_key": SECRET_KEY,
        "emqx_api_key": KEY,
        "emqx_api_secret": SECRET,
        "gateway_port": port,
        "gateway_username": GATE,
        "gateway_token": token_of(GATE),
        "gateway_bind": f"127.0.0.1:{health}",
        "client_port": port,
        "log_level": "info",
        "log_json": "true",
    }
    variables = environment(folder, **{**usual, **settings})
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{health}", timeout=10) as client:
        gateway = Gateway(folder, variables, client)
        try:
            await gateway.start()
            yield gateway
        finally:
            await gateway.stop()
