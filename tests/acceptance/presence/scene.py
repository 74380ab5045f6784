"""What is looked at while everything runs as it is run: people's statuses, on their topics and in the database."""

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import httpx
import paho.mqtt.client as paho

from directory import events, presence, standing
from directory.presence import HistoryRow
from directory.standing import PersonRow
from tests.acceptance.enforcement.company import token_of
from tests.acceptance.enforcement.exchange import Forward, Reply, Request, pass_on
from tests.acceptance.enforcement.stage import Stage, Worker
from tests.acl_service.enforcement.stage import until
from tests.acl_service.serving import BEARER, now_ms
from tests.emqx.mqtt import Clients, MqttClient, clients_of

STATUS = "mchat/status/"
WATCHER = "m0"
"""Whose clients watch the others; nobody looks at this person's own status."""

APART_MS = 1_000
"""Between two publishes of a projection (presence.md, rule 13)."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A message on a status topic.

    Attributes:
        at_s: when it came, by `time.monotonic`.
        payload: as it was published.
        retain: whether it was kept from before the subscription.
    """

    at_s: float
    payload: bytes
    retain: bool

    @property
    def told(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.payload)
        return told

    @property
    def ours(self) -> bool:
        """Whether it is a projection; what the clients of these tests publish has no version."""
        return "version" in self.told

    def moment(self, name: str) -> int:
        """One of its times, milliseconds since the epoch."""
        return round(datetime.fromisoformat(self.told[name]).timestamp() * 1000)


@dataclass(slots=True)
class Watcher:
    """A client that listens to a person's status.

    Attributes:
        seen: every message, in the order of their coming.
    """

    client: MqttClient
    seen: list[Seen] = field(default_factory=list)

    def note(self, _: paho.Client, __: Any, message: paho.MQTTMessage) -> None:
        self.seen.append(Seen(time.monotonic(), bytes(message.payload), message.retain))

    @property
    def statuses(self) -> list[str]:
        return [one.told["status"] for one in self.seen]


@dataclass(slots=True)
class Lost:
    """Answers the broker's events as nobody should, so that it gives them up (contract 4.7).

    Attributes:
        bodies: of those that are lost.
    """

    bodies: list[bytes] = field(default_factory=list)

    async def __call__(self, request: Request, forward: Forward) -> Reply:
        if not request.path.startswith("/emqx/events"):
            return await forward()
        self.bodies.append(request.data.partition(b"\r\n\r\n")[2])
        return Reply.of(500)

    def told(self, client_id: str) -> bool:
        """Whether an event of a client was among them."""
        return any(json.loads(body)["clientid"] == client_id for body in self.bodies)


@dataclass(slots=True)
class Scene:
    """Real clients on a stage.

    Attributes:
        stage: what runs.
        clients: makes MQTT clients.
    """

    stage: Stage
    clients: Clients

    async def come(self, client_id: str, **options: Any) -> MqttClient:
        """A client of the person whose id its own begins with."""
        person = client_id.split("_")[0]
        return await self.clients.connected(client_id, username=person, password=token_of(person), **options)

    async def watch(self, person: str) -> Watcher:
        """Listen to a person's status."""
        watcher = Watcher(await self.come(f"{WATCHER}_sees_{person}_{time.monotonic_ns()}"))
        watcher.client.paho.on_message = watcher.note
        assert await watcher.client.subscribe(STATUS + person) == [1]
        return watcher

    async def person(self, employee_id: str) -> PersonRow:
        async with self.stage.database.read() as connection:
            found = await standing.people(connection, [employee_id])
        return found.get(employee_id, PersonRow(employee_id=employee_id))

    async def is_(self, employee_id: str, status: str, devices: int, within_s: float = 30.0) -> None:
        """Wait until a status is derived from so many devices, and published."""

        async def so() -> bool:
            row = await self.person(employee_id)
            return (row.status, row.devices, row.published) == (status, devices, True)

        await until(so, within_s)

    async def quiet(self, employee_id: str) -> None:
        """Wait until a person's next projection need not wait for the last one, and nothing is due."""

        async def so() -> bool:
            row = await self.person(employee_id)
            waits = row.due_at is not None or row.contradicted_at is not None
            return not waits and now_ms() - row.published_at > APART_MS

        await until(so)

    async def taken_in(self) -> None:
        """Wait until all events that are stored now are taken in."""
        async with self.stage.database.read() as connection:
            newest = await events.newest(connection)

        async def so() -> bool:
            async with self.stage.database.read() as connection:
                return await presence.place(connection) >= newest

        await until(so)

    async def online(self) -> set[str]:
        """Client ids that are online; those that watch are left out."""
        async with self.stage.database.read() as connection:
            rows = await presence.online_after(connection)
        return {row.client_id for row in rows if not row.client_id.startswith(f"{WATCHER}_sees")}

    async def history(self, employee_id: str) -> list[HistoryRow]:
        """What became of a person's devices, the newest last."""
        async with self.stage.database.read() as connection:
            return list(reversed(await presence.history_of(connection, employee_id)))

    @contextmanager
    def again(self) -> Iterator["Scene"]:
        """The same with clients of its own, which end with the block."""
        with clients_of(self.stage.mqtt_port) as clients:
            yield Scene(self.stage, clients)


async def metrics(worker: Worker) -> str:
    """What a worker's `/metrics` says."""
    async with httpx.AsyncClient() as client:
        return (await client.get(f"{worker.admin}/metrics")).text


async def metric(worker: Worker, name: str, **labels: str) -> float:
    """One of a worker's metrics; 0 for labels that nothing was counted under."""
    text = await metrics(worker)
    assert f"\n# TYPE {name}" in text, f"{name} is not among the metrics"
    shown = ",".join(f'{key}="{value}"' for key, value in sorted(labels.items()))
    sample = name + (f"{{{shown}}}" if shown else "")
    found = re.search(rf"^{re.escape(sample)} (\S+)$", text, re.MULTILINE)
    return 0.0 if found is None else float(found[1])


async def health(worker: Worker) -> str:
    """What a worker's health says of presence."""
    async with httpx.AsyncClient() as client:
        checks: dict[str, str] = (await client.get(f"{worker.admin}/health/ready")).json()["checks"]
    return checks["presence"]


async def reconciled(worker: Worker) -> float:
    """How often a worker has reconciled, for whatever reason."""
    name = "mchat_presence_reconciled_total"
    return sum([await metric(worker, name, why=why) for why in ("start", "timer", "gap")])


async def plant(scene: Scene, client_id: str) -> MqttClient:
    """A client that comes in while the broker asks nobody, as one does while EMQX starts, and tells nobody of it.

    It bears a person's name and a client id of that person's. Who has nobody's, or of whose connection the broker
    tells, is put out by the enforcement before presence looks.
    """
    authentication = scene.stage.api.authentication
    (authenticator,) = await authentication.all()
    secret = {"authorization": BEARER["authorization"], "content-type": "application/json"}
    scene.stage.asked.meddler = lost = Lost()
    await authentication.put(authenticator.id, authenticator.writable(enable=False, headers=secret))
    try:
        username = client_id.split("_")[0]
        planted = await scene.clients.connected(client_id, username=username, password="none")
    finally:
        await authentication.put(authenticator.id, authenticator.writable(enable=True, headers=secret))
    await until(lambda: lost.told(client_id))
    scene.stage.asked.meddler = pass_on
    return planted
