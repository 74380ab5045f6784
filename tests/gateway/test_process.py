"""`mchat serve gateway` as a process, beside `mchat up`: it answers, tells how it stands, connects anew, stops."""

import asyncio
import json
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from directory import rules
from directory.database import Database
from mchat.roots import now_ms
from tests.emqx.mqtt import MqttClient
from tests.emqx.waiting import until
from tests.mchat.running import Up, up
from tests.postgres import free_port

READY_S = 30.0


@dataclass(frozen=True, slots=True)
class Gateway:
    """A running gateway, and a client of its health."""

    process: asyncio.subprocess.Process
    health: httpx.AsyncClient

    async def link(self) -> dict[str, Any]:
        answer: dict[str, Any] = (await self.health.get("/health/link")).json()
        return answer


@asynccontextmanager
async def serving_gateway(running: Up, folder: Path, **settings: str) -> AsyncIterator[Gateway]:
    port = free_port()
    given = {
        "MCHAT_EMQX_URL": f"http://{running.environment['MCHAT_LAPTOP_API_BIND']}",
        "MCHAT_GATEWAY_PORT": str(running.mqtt_port),
        "MCHAT_GATEWAY_PROTOCOL": "3.1.1",
        "MCHAT_GATEWAY_BIND": f"127.0.0.1:{port}",
        **{f"MCHAT_GATEWAY_{name.upper()}": value for name, value in settings.items()},
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mchat", "serve", "gateway"),
        cwd=folder,
        env={**running.environment, **given},
    )
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=5) as health:
            async with asyncio.timeout(READY_S):
                while not await is_ready(health):
                    assert process.returncode is None, f"it ended with {process.returncode}"
                    await asyncio.sleep(0.05)
            yield Gateway(process, health)
    finally:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.wait(), 20)


async def is_ready(health: httpx.AsyncClient) -> bool:
    try:
        return (await health.get("/health/ready")).status_code == 200
    except httpx.TransportError:
        return False


async def asks(client: MqttClient, seq: str, action: str, **params: object) -> dict[str, Any]:
    """Ask, and wait for the answer."""
    name = client.paho._client_id.decode()
    await client.publish(f"mchat/msg/req/{name}/{seq}", json.dumps({"action": action, **params}).encode())
    topic = f"mchat/msg/resp/{name}/{seq}"
    await until(lambda: any(one.topic == topic for one in client.received))
    answer: dict[str, Any] = json.loads(next(one.payload for one in client.received if one.topic == topic))
    return answer


async def narrow(folder: Path) -> None:
    """Take a right of the gateway's back."""
    database = Database.open(f"sqlite:///{folder / 'var' / 'mchat.db'}")
    async with database.change("test", now_ms()) as change:
        await rules.add(
            change,
            subject_kind="employee",
            subject_id="mchat_gateway",
            effect="deny",
            action="publish",
            filter="mchat/system/notify",
            reason="a test",
        )
    await database.close()


async def connected_anew(gateway: Gateway) -> None:
    while (await gateway.link())["connections"] < 2:
        await asyncio.sleep(0.2)


async def test_a_gateway_answers_tells_how_it_stands_connects_anew_and_stops(tmp_path: Path) -> None:
    async with up(tmp_path, "--no-gateway") as running, serving_gateway(running, tmp_path) as gateway:
        token = re.search(r"^admin: (mct_\S+)$", running.banner, re.MULTILINE)
        assert token is not None
        client = MqttClient("admin_pc", port=running.mqtt_port, username="admin", password=token[1])
        try:
            assert await client.connect() == 0
            await client.subscribe("mchat/msg/resp/admin_pc/+")
            made = await asks(client, "s1", "department.create", name="Sales")
            assert (made["code"], made["data"]["name"], made["seq_id"]) == (0, "Sales", "s1")
            again = await asks(client, "s2", "department.create", name="")
            assert again["code"] == 400

            link = await gateway.link()
            assert (link["client_id"], link["connected"], link["requests"]) == ("mchat_gateway_1", True, 2)
            assert link["subscribed"] == "$share/gateway/mchat/msg/req/+/+"
            metrics = (await gateway.health.get("/metrics")).text
            assert 'mchat_gateway_requests_total{action="department.create",code="0"} 1.0' in metrics
            assert "mchat_gateway_link_connected 1.0" in metrics

            for number in range(62):
                changes = {"department_id": "none", "updates": {"name": "None"}}
                refused = await asks(client, f"n{number}", "department.update", **changes)
                assert refused["code"] == 404
            metrics = (await gateway.health.get("/metrics")).text
            assert "mchat_gateway_unaudited_total 2.0" in metrics

            # Its rights shrink: the enforcer tells it to connect anew, and does not throw it out (decision 11).
            await narrow(tmp_path)
            await asyncio.wait_for(connected_anew(gateway), 25)
            assert (await gateway.link())["lost"] == 0
            assert (await asks(client, "s3", "department.create", name="Buyers"))["code"] == 0
        finally:
            client.stop()
        gateway.process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(gateway.process.wait(), 15) == 0


async def test_a_gateway_without_a_credential_says_what_to_do(tmp_path: Path) -> None:
    async with up(tmp_path, "--no-gateway") as running:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "mchat", "serve", "gateway"),
            cwd=tmp_path,
            env={**running.environment, "MCHAT_GATEWAY_TOKEN_FILE": str(tmp_path / "none")},
            stderr=asyncio.subprocess.PIPE,
        )
        _, told = await asyncio.wait_for(process.communicate(), 20)
        assert process.returncode == 2
        assert "MCHAT_GATEWAY_TOKEN_FILE" in told.decode()
