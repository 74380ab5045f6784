"""Devices of real people on the laptop broker, as everything is run: who is shown as online, and when no more."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio
from sqlalchemy import delete

from directory import sessions, work
from directory.schema import client_session
from tests.acceptance.enforcement.company import token_of
from tests.acceptance.enforcement.stage import Stage, Worker
from tests.acceptance.enforcement.work import WORKER
from tests.acceptance.presence.conftest import GRACE_S, ON_SQLITE
from tests.acceptance.presence.scene import STATUS, Scene, Seen, metric, metrics, plant, reconciled
from tests.acl_service.enforcement.stage import until
from tests.acl_service.serving import now_ms
from tests.emqx.mqtt import MqttClient, clients_of
from tests.emqx.raw import RawClients

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timed, ON_SQLITE]

PUT_BACK_S = 1.0

YOUNG_MS = 10_000
"""A client that is younger is not taken for an intruder (presence.md, rule 12)."""


@dataclass(slots=True)
class Intruder:
    """What becomes of somebody whom MChat did not let in.

    Attributes:
        client: of the intruder.
        bystanders: clients that were let in.
        lived_ms: how long it was connected.
        looks: how often was reconciled from when it was old enough until it was out.
    """

    client: MqttClient
    bystanders: tuple[MqttClient, MqttClient]
    lived_ms: int = 0
    looks: float = 0.0

    async def watch(self, worker: Worker) -> None:
        came_ms = now_ms()
        await until(lambda: self.client.closed or now_ms() > came_ms + YOUNG_MS)
        before = await reconciled(worker)
        await until(lambda: self.client.closed)
        self.lived_ms = now_ms() - came_ms
        self.looks = await reconciled(worker) - before


@pytest_asyncio.fixture(scope="module", loop_scope="module", autouse=True)
async def intruder(running: Stage) -> AsyncIterator[tuple[Intruder, asyncio.Task[None]]]:
    """An intruder who is there from the beginning, for it has to be a while until it counts as one."""
    (worker,) = running.workers

    async def looked() -> bool:
        """Whether the enforcement has looked at everybody for the last time: by its sweep, and for the policy."""
        async with running.database.read() as connection:
            pending = await work.pending(connection, WORKER)
        return not pending and 'mchat_sweep_repairs_total{what="ended"}' in await metrics(worker)

    await until(looked)
    with clients_of(running.mqtt_port) as clients:
        scene = Scene(running, clients)
        bystanders = await scene.come("m9_laptop"), await scene.come("m10_laptop")
        await scene.is_("m10", "online", devices=1)
        async with running.database.write() as connection:
            # Its row is lost as in a crash; what MChat gave it stands in the broker.
            await connection.execute(delete(client_session).where(client_session.c.client_id == "m10_laptop"))
        found = Intruder(await plant(scene, "m9_evil"), bystanders)
        watching = asyncio.create_task(found.watch(worker))
        await until(lambda: put_back(worker))
        yield found, watching
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def put_back(worker: Worker) -> bool:
    """Whether the doubt is settled that lost events left: until then projections are published twice (rule 13)."""
    return await metric(worker, "mchat_presence_repairs_total", what="projection") > 0


async def test_a_person_is_online_while_one_device_is_and_offline_the_grace_time_after_the_last(
    scene: Scene,
) -> None:
    eye = await scene.watch("m1")
    laptop, phone = await scene.come("m1_laptop"), await scene.come("m1_phone")
    await scene.is_("m1", "online", devices=2)
    laptop.cut()
    await scene.is_("m1", "online", devices=1)
    cut_s = time.monotonic()
    # The first end's grace time is over, and changed nothing.
    await until(lambda: time.monotonic() > cut_s + GRACE_S)
    await scene.taken_in()
    await scene.is_("m1", "online", devices=1)
    assert eye.statuses == ["online"]
    cut_s, cut_ms = time.monotonic(), now_ms()
    phone.cut()
    await until(lambda: len(eye.seen) == 2)
    offline = eye.seen[-1]
    assert offline.told["status"] == "offline"
    assert offline.told["devices"] == 0
    assert GRACE_S <= offline.at_s - cut_s < GRACE_S + 3
    # When the connection ended, not when that was announced.
    assert cut_ms <= offline.moment("last_seen") < cut_ms + 500
    assert offline.moment("updated_at") >= cut_ms + GRACE_S * 1000
    row = await scene.person("m1")
    assert row.last_seen_at == offline.moment("last_seen")
    ends = [(one.client_id, one.reason) for one in await scene.history("m1") if one.kind == "offline"]
    assert ends == [("m1_laptop", "tcp_closed"), ("m1_phone", "tcp_closed")]


async def test_a_will_says_offline_while_the_laptop_is_on_and_online_is_put_back_within_a_second(
    scene: Scene,
) -> None:
    eye = await scene.watch("m2")
    await scene.come("m2_laptop")
    will = (STATUS + "m2", b'{"status":"offline"}', 1, True)
    phone = await scene.come("m2_phone", will=will)
    await scene.is_("m2", "online", devices=2)
    await scene.quiet("m2")
    (worker,) = scene.stage.workers
    contradictions = await metric(worker, "mchat_presence_contradictions_total")
    put_back = await metric(worker, "mchat_presence_published_total", why="contradicted")
    phone.cut()
    await until(lambda: len(eye.seen) == 3)
    online, lie, again = eye.seen
    assert [one.ours for one in eye.seen] == [True, False, True]
    assert eye.statuses == ["online", "offline", "online"]
    assert again.at_s - lie.at_s < PUT_BACK_S
    assert again.payload == online.payload, "it is the same projection, put back"
    # Our own publish came back as an event, was taken in, and contradicts nothing.
    await scene.quiet("m2")
    await scene.taken_in()
    await scene.is_("m2", "online", devices=1)
    assert len(eye.seen) == 3
    assert await metric(worker, "mchat_presence_contradictions_total") == contradictions + 1
    assert await metric(worker, "mchat_presence_published_total", why="contradicted") == put_back + 1


async def test_who_answers_each_projection_with_a_forged_one_causes_one_publish_a_second_at_most(
    scene: Scene,
) -> None:
    eye = await scene.watch("m3")
    await scene.come("m3_laptop")
    forger = await scene.come("m3_forger")
    await scene.is_("m3", "online", devices=2)
    await scene.quiet("m3")
    going_on = True

    def answer(client, _, message) -> None:  # type: ignore[no-untyped-def]
        if going_on and "version" in json.loads(message.payload):
            client.publish(STATUS + "m3", b'{"status":"offline"}', 1, retain=True)

    forger.paho.on_message = answer
    # The retained projection that comes with it is answered too.
    assert await forger.subscribe(STATUS + "m3") == [1]

    def ours() -> list[Seen]:
        return [one for one in eye.seen if one.ours]

    await until(lambda: len(ours()) == 4)
    going_on = False
    began_s = eye.seen[0].at_s
    print("published, in seconds:", [(round(one.at_s - began_s, 2), one.ours) for one in eye.seen])
    took_s = ours()[-1].at_s - ours()[1].at_s
    assert took_s > 2 * 0.9, f"two more in {took_s:.2f} s"
    await scene.quiet("m3")
    await scene.taken_in()
    await scene.quiet("m3")
    # Whatever was forged, the truth stands last, and stays for whoever comes later.
    assert eye.seen[-1].ours
    late = await scene.watch("m3")
    await until(lambda: late.seen)
    assert late.seen[0].retain
    assert late.seen[0].told["status"] == "online"


async def test_take_over_and_discard_turn_nobody_off(scene: Scene) -> None:
    eye = await scene.watch("m4")
    first = await scene.come("m4_laptop", clean_session=False)
    second = await scene.come("m4_laptop", clean_session=False)
    await first.was_closed()
    await scene.come("m4_laptop")
    await second.was_closed()
    # A grace time later they are as they were.
    ended_s = time.monotonic()
    await until(lambda: time.monotonic() > ended_s + GRACE_S)
    await scene.taken_in()
    await scene.is_("m4", "online", devices=1)
    assert eye.statuses == ["online"]
    assert [one.kind for one in await scene.history("m4") if one.kind == "offline"] == []


@pytest.mark.parametrize("person", ["m5", "m6"])
async def test_who_leaves_or_is_kicked_is_offline_at_once(scene: Scene, person: str) -> None:
    eye = await scene.watch(person)
    laptop = await scene.come(f"{person}_laptop")
    await scene.is_(person, "online", devices=1)
    await scene.quiet(person)
    ended_ms = now_ms()
    if person == "m5":
        await laptop.disconnect()
    else:
        await scene.stage.api.clients.kick("m6_laptop")
    await until(lambda: eye.statuses == ["online", "offline"])
    # Announced before a grace time could be over.
    assert eye.seen[-1].moment("updated_at") < ended_ms + GRACE_S * 1000
    assert (await scene.history(person))[-1].reason == {"m5": "normal", "m6": "kicked"}[person]


async def test_who_stops_pinging_is_offline_and_who_pings_stays(scene: Scene) -> None:
    eyes = await scene.watch("m7"), await scene.watch("m8")
    mute = RawClients(scene.stage.mqtt_port)
    try:
        # Before it comes: how long that takes is the machine's affair.
        came_s = time.monotonic()
        silent = await mute.connected("m7_clock", username="m7", password=token_of("m7"), keepalive=1)
        pings = await scene.come("m8_clock", keepalive=1)
        await asyncio.gather(scene.is_("m7", "online", 1), scene.is_("m8", "online", 1))
        assert await silent.closed()
        # The broker waits one and a half times as long as the client promised.
        assert time.monotonic() - came_s >= 1.4
        await until(lambda: eyes[0].statuses == ["online", "offline"])
    finally:
        await mute.stop()
    assert (await scene.history("m7"))[-1].reason == "keepalive_timeout"
    assert (eyes[1].statuses, pings.closed) == (["online"], 0)


async def test_an_intruder_is_out_within_two_reconciliations_and_nobody_else(
    scene: Scene, intruder: tuple[Intruder, asyncio.Task[None]]
) -> None:
    found, watching = intruder
    await watching
    assert found.lived_ms >= YOUNG_MS
    assert found.looks <= 2
    assert [one.closed for one in found.bystanders] == [0, 0]
    (worker,) = scene.stage.workers

    async def kicks() -> float:
        return await metric(worker, "mchat_presence_intruders_total", done="kicked")

    await until(kicks)
    assert await kicks() == 1
    assert await metric(worker, "mchat_presence_intruders_total", done="seen") == 1
    assert await metric(worker, "mchat_sessions_kicked_total") == 0, "the enforcement did not do it"
    async with scene.stage.database.read() as connection:
        assert "m10_laptop" in await sessions.of_clients(connection, ["m10_laptop"])
    await scene.is_("m9", "online", devices=1)
