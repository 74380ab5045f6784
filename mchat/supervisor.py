"""The processes of ``mchat up``: started together, watched, stopped together."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from mchat.errors import CommandError

READY_S = 20.0
STOP_S = 10.0
TAIL_LINES = 5


@dataclass(slots=True)
class Part:
    """One process: what it runs, and the URL or port that tells that it is ready."""

    name: str
    arguments: Sequence[str]
    ready_url: str | None = None
    ready_port: tuple[str, int] | None = None
    process: asyncio.subprocess.Process | None = field(default=None, compare=False)


class Supervisor:
    """Runs parts as child processes whose logs go to a folder.

    Each child watches its standard input, which this process holds: however this process ends, they stop.

    Args:
        parts: in the order in which they are started.
        logs: folder of ``NAME.log``.
        environment: of the children.
    """

    def __init__(self, parts: Sequence[Part], logs: Path, environment: Mapping[str, str]) -> None:
        self._parts = parts
        self._logs = logs
        self._environment = dict(environment)

    async def start(self) -> None:
        """Start every part and wait until all are ready.

        Raises:
            CommandError: one of them ended, or was not ready in time; all are stopped again.
        """
        try:
            for part in self._parts:
                await self._spawn(part)
            async with asyncio.timeout(READY_S), httpx.AsyncClient(timeout=2.0) as client:
                for part in self._parts:
                    await self._until_ready(part, client)
        except TimeoutError as error:
            await self.stop()
            raise CommandError(f"not ready within {READY_S:g} s; see the logs in {self._logs}") from error
        except BaseException:
            await self.stop()
            raise

    async def first_end(self) -> str:
        """Wait until one part ends by itself; returns which, and the end of its log."""
        waits = {
            asyncio.create_task(part.process.wait()): part for part in self._parts if part.process is not None
        }
        try:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waits:
                task.cancel()
        return self._obituary(waits[done.pop()])

    async def stop(self) -> None:
        """Ask every part to stop, the last started first; kill what has not ended ten seconds after it was asked.

        Each is waited for before the next is asked: a gateway finishes what it has in hand through the broker.
        """
        for part in reversed(self._parts):
            process = part.process
            if process is None or process.returncode is not None:
                continue
            process.terminate()
            try:
                async with asyncio.timeout(STOP_S):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()

    async def _spawn(self, part: Part) -> None:
        path = self._logs / f"{part.name}.log"
        try:
            log = path.open("ab")
        except OSError as error:
            raise CommandError(f"{path}: {error.strerror}") from error
        with log:
            part.process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "mchat",
                *part.arguments,
                "--with-parent",
                stdin=asyncio.subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=self._environment,
                # Ctrl-C goes to the terminal's whole group: the children are to be told by us, in order.
                start_new_session=True,
            )

    async def _until_ready(self, part: Part, client: httpx.AsyncClient) -> None:
        while not await _ready(part, client):
            if part.process is not None and part.process.returncode is not None:
                raise CommandError(self._obituary(part))
            await asyncio.sleep(0.05)

    def _obituary(self, part: Part) -> str:
        path = self._logs / f"{part.name}.log"
        lines = path.read_text(errors="replace").strip().splitlines()[-TAIL_LINES:]
        code = None if part.process is None else part.process.returncode
        return f"{part.name} ended with code {code}: " + (" | ".join(lines) or f"see {path}")


async def _ready(part: Part, client: httpx.AsyncClient) -> bool:
    if part.ready_url is not None:
        try:
            return (await client.get(part.ready_url)).status_code == 200
        except httpx.HTTPError:
            return False
    if part.ready_port is not None:
        try:
            _, writer = await asyncio.open_connection(*part.ready_port)
        except OSError:
            return False
        writer.close()
        await writer.wait_closed()
    return True


def child_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """This process's environment with ``extra`` over it."""
    return {**os.environ, "PYTHONUNBUFFERED": "1", **extra}
