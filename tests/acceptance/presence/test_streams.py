"""A whole `mchat serve admin` that is told to stop while people listen to presence."""

import asyncio
import json
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from acl_service.admin.presence_listeners import LAST_WORD_S
from directory import people
from directory.database import Database
from mchat.listeners import STOP_S
from tests.acceptance.processes import environment
from tests.acl_service.admin.listening import PATH, Event, events, turn
from tests.acl_service.serving import activate_profile, add_person, now_ms
from tests.benchmarks.servers import until_listening
from tests.postgres import free_port

pytestmark = [pytest.mark.timed, pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)]

WITHIN_S = 60.0
NAMES = [f"p{number:03}" for number in range(400)]


@dataclass(slots=True)
class Admin:
    """A running process, and how to ask it.

    Attributes:
        headers: of somebody who may listen.
    """

    process: asyncio.subprocess.Process
    port: int
    client: httpx.AsyncClient
    headers: dict[str, str]

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[AsyncIterator[Event]]:
        async with self.client.stream("GET", PATH, headers=self.headers) as response:
            assert response.status_code == 200
            async with asyncio.timeout(WITHIN_S):
                yield events(response)

    async def deaf(self) -> socket.socket:
        """A listener that has asked and takes in nothing at all."""
        plain = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        plain.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(plain, ("127.0.0.1", self.port))
        token = self.headers["authorization"]
        await loop.sock_sendall(
            plain, f"GET {PATH} HTTP/1.1\r\nhost: x\r\nauthorization: {token}\r\n\r\n".encode()
        )
        return plain

    async def open(self) -> float:
        """How many streams are open."""
        text = (await self.client.get("/metrics")).text
        return float(text.split("\nmchat_presence_listeners ", 1)[1].split("\n", 1)[0])


@asynccontextmanager
async def serving_admin(folder: Path, url: str, database: Database) -> AsyncIterator[Admin]:
    await activate_profile(database)
    secret = await add_person(database, "olga", role="ops")
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mchat", "serve", "admin"),
        cwd=folder,
        env=environment(folder, database_url=url, admin_bind=f"127.0.0.1:{port}", log_level="error"),
    )
    try:
        await until_listening(process, port)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=WITHIN_S) as client:
            login = await client.post("/admin/login", json={"username": "olga", "password": secret})
            headers = {"authorization": f"Bearer {login.json()['access_token']}"}
            yield Admin(process, port, client, headers)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_a_process_with_open_streams_stops_in_time(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    async with database.change("test", now_ms()) as change:
        for one in NAMES:
            await people.add(change, name=one, employee_id=one)
    async with serving_admin(tmp_path, database_url, database) as admin, AsyncExitStack() as stack:
        ears = [await stack.enter_async_context(admin.listening()) for _ in range(3)]
        deaf = await admin.deaf()
        stack.callback(deaf.close)
        async with asyncio.timeout(WITHIN_S):
            while await admin.open() < 4:
                pass
        # More than the system holds for one that takes nothing in.
        for devices in range(1, 7):
            last = await turn(database, NAMES, devices)
            for found in ears:
                while (await anext(found)).id != last:
                    pass
        assert await admin.open() == 4
        admin.process.send_signal(signal.SIGTERM)
        told_s = time.monotonic()
        for found in ears:
            end = await anext(found)
            assert (end.name, end.data["why"]) == ("end", "stopping"), json.dumps(end.data)
            assert [one async for one in found] == [], "the answer ends with the last word"
        assert time.monotonic() - told_s < STOP_S - 1
        async with asyncio.timeout(WITHIN_S):
            code = await admin.process.wait()
        # Whoever takes in nothing is waited for a moment, and not for as long as a request in hand would be.
        assert time.monotonic() - told_s < LAST_WORD_S + STOP_S - 2
        assert code == 0
