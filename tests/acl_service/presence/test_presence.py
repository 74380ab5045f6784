"""Presence put together: hooks and the laptop broker on real sockets, real MQTT clients, both databases."""

import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import delete

from acl_service.presence.presence import Presence, Times
from acl_service.service import AccessService
from directory import broker_marks, events, leases, presence, schema, standing
from directory.database import Database
from directory.standing import PersonRow
from emqx.api.broker import BrokerApi
from emqx.laptop.server import LaptopBroker
from tests.acl_service.enforcement.stage import Clock, hooks_of, until
from tests.acl_service.serving import HOOK_SECRET, UntouchedSettings
from tests.emqx.api.conftest import KEY, SECRET, api_settings
from tests.emqx.conftest import laptop_settings
from tests.emqx.mqtt import Clients, MqttClient, clients_of

GRACE_S = 0.4
STATUS = "mchat/status/"
EVENTS = (
    "client.connected",
    "client.disconnected",
    "session.subscribed",
    "session.unsubscribed",
    "message.publish",
)


@dataclass(slots=True)
class Stage:
    """What runs.

    Attributes:
        database: the directory.
        service: answers the broker.
        laptop: the broker.
        api: of it.
        presence: its parts; it works within `running`.
        clients: makes MQTT clients.
        clock: of the service and presence.
        tokens: by employee id.
    """

    database: Database
    service: AccessService
    laptop: LaptopBroker
    api: BrokerApi
    presence: Presence
    clients: Clients
    clock: Clock
    tokens: dict[str, str]

    @asynccontextmanager
    async def another(self, **times: float) -> AsyncIterator[tuple[Presence, AccessService]]:
        """Another worker, which does not work yet."""
        known = {"grace": GRACE_S, "look": 0.2, **times}
        running = AccessService.running(self.database, UntouchedSettings(), now_ms=self.clock)
        async with running as service:
            yield Presence(service, self.api, Times(**known)), service

    async def come(self, person: str, client_id: str, **options: Any) -> MqttClient:
        return await self.clients.connected(
            client_id, username=person, password=self.tokens[person], **options
        )

    async def person(self, employee_id: str = "alice") -> PersonRow:
        async with self.database.read() as connection:
            found = await standing.people(connection, [employee_id])
        return found.get(employee_id, PersonRow(employee_id=employee_id))

    async def is_(self, status: str, employee_id: str = "alice", devices: int | None = None) -> None:
        """Wait until a status is derived and published."""

        async def so() -> bool:
            row = await self.person(employee_id)
            there = devices is None or row.devices == devices
            return row.status == status and row.published and there

        await until(so)

    async def online(self) -> list[str]:
        async with self.database.read() as connection:
            return [row.client_id for row in await presence.online_after(connection)]

    async def are_online(self, *client_ids: str) -> None:
        async def so() -> bool:
            return await self.online() == sorted(client_ids)

        await until(so)

    def metric(self, name: str, **labels: str) -> float:
        return self.service.registry.get_sample_value(name, labels) or 0.0


@asynccontextmanager
async def _stage(database: Database, tokens: dict[str, str]) -> AsyncIterator[Stage]:
    clock = Clock()
    async with AsyncExitStack() as stack:
        service, port = await stack.enter_async_context(hooks_of(database, clock))
        values = {
            "hook_secret": HOOK_SECRET,
            "api_bind": "127.0.0.1:0",
            "api_key": KEY,
            "api_secret": SECRET,
            "events": EVENTS,
        }
        laptop = await stack.enter_async_context(
            LaptopBroker(laptop_settings(f"http://127.0.0.1:{port}", **values))
        )
        api = await stack.enter_async_context(BrokerApi(api_settings(f"http://127.0.0.1:{laptop.api_port}")))
        clients = stack.enter_context(clients_of(laptop.tcp_port))
        works = Presence(service, api, Times(grace=GRACE_S, look=0.2))
        yield Stage(database, service, laptop, api, works, clients, clock, tokens)


@pytest.fixture
async def stage(database: Database, company: dict[str, str]) -> AsyncIterator[Stage]:
    async with _stage(database, company) as running:
        yield running


@pytest.fixture
async def live(stage: Stage) -> AsyncIterator[Stage]:
    async with stage.presence.running():
        yield stage


async def watcher(stage: Stage) -> MqttClient:
    """Somebody who may read everybody's status."""
    client = await stage.come("root", "root_pc")
    assert await client.subscribe(STATUS + "alice") == [1]
    return client


def told(client: MqttClient) -> list[str]:
    return [json.loads(one.payload)["status"] for one in client.received]


async def test_two_devices_of_a_person_one_of_which_dies(live: Stage) -> None:
    watching = await watcher(live)
    pc = await live.come("alice", "alice_pc")
    phone = await live.come("alice", "alice_phone")
    await live.is_("online", devices=2)
    pc.cut()
    await live.is_("online", devices=1)
    assert told(watching) == ["online"]
    before_ms = live.clock()
    phone.cut()
    cut_at = time.monotonic()
    await live.is_("offline")
    assert time.monotonic() - cut_at >= GRACE_S
    await until(lambda: told(watching) == ["online", "offline"])
    person = await live.person()
    assert before_ms - 50 <= person.last_seen_at <= live.clock()
    # Whoever subscribes now gets the last projection, which is retained.
    late = await live.come("bob", "bob_pc")
    assert await late.subscribe(STATUS + "alice") == [1]
    (kept,) = await late.gets(1)
    assert (kept.retain, json.loads(kept.payload)["status"]) == (True, "offline")


async def test_a_will_says_offline_and_online_is_put_back_at_once(live: Stage) -> None:
    watching = await watcher(live)
    await live.come("alice", "alice_pc")
    phone = await live.come("alice", "alice_phone", will=(STATUS + "alice", b'{"status":"offline"}', 1, True))
    await live.is_("online", devices=2)
    phone.cut()
    await until(lambda: told(watching)[-2:] == ["offline", "online"])
    assert told(watching) == ["online", "offline", "online"]
    await live.is_("online", devices=1)

    async def settled() -> bool:
        row = await live.person()
        return row.contradicted_at is None and row.due_at is None

    await until(settled)
    assert live.metric("mchat_presence_contradictions_total") == 1
    assert live.metric("mchat_presence_published_total", why="contradicted") == 1


async def test_take_over_and_discard_turn_nobody_off_and_a_kick_does(live: Stage) -> None:
    first = await live.come("alice", "alice_pc", clean_session=False)
    await live.come("alice", "alice_pc", clean_session=False)
    await first.was_closed()
    await live.come("alice", "alice_pc")
    await live.is_("online", devices=1)
    await live.are_online("alice_pc")
    async with live.database.read() as connection:
        kinds = [one.kind for one in await presence.history_of(connection, "alice")]
    assert kinds.count("offline") == 0, "whoever takes over was never away"
    await live.api.clients.kick("alice_pc")
    await live.is_("offline")
    async with live.database.read() as connection:
        assert (await presence.history_of(connection, "alice"))[0].reason == "kicked"


async def test_what_went_on_while_mchat_was_away_is_right_after_one_reconciliation(stage: Stage) -> None:
    async with stage.presence.running():
        pc = await stage.come("alice", "alice_pc")
        await stage.come("bob", "bob_pc")
        await stage.are_online("alice_pc", "bob_pc")
        await stage.is_("online", "alice")
    await pc.disconnect()
    await stage.come("alice", "alice_phone")
    await stage.come("carol", "carol_pc")
    await stage.api.clients.kick("bob_pc")
    await until(lambda: stage.laptop.broker.session("bob_pc") is None)

    async def stored() -> bool:
        async with stage.database.read() as connection:
            found = await events.after(connection, 0)
        ended = {one.client_id for one in found if one.kind == "client.disconnected"}
        return ended == {"alice_pc", "bob_pc"} and any(one.client_id == "carol_pc" for one in found)

    await until(stored)
    async with stage.database.write() as connection:
        # As if nobody had been there to take them, and the broker had given them up.
        await connection.execute(delete(schema.presence_event))
    async with stage.another() as (works, _), works.running():
        await stage.are_online("alice_phone", "carol_pc")
        await stage.is_("offline", "bob")
        await stage.is_("online", "carol")
        await stage.is_("online", "alice", devices=1)


async def test_an_intruder_is_out_within_two_reconciliations_and_nobody_else(stage: Stage) -> None:
    await stage.come("alice", "alice_pc")
    (authenticator,) = await stage.api.authentication.all()
    secret = {"authorization": f"Bearer {HOOK_SECRET}", "content-type": "application/json"}
    await stage.api.authentication.put(authenticator.id, authenticator.writable(enable=False, headers=secret))
    evil = await stage.clients.connected("evil", username="nobody", password="none")
    await stage.api.authentication.put(authenticator.id, authenticator.writable(enable=True, headers=secret))
    bob = await stage.come("bob", "bob_pc")
    stage.clock.ahead_ms += 20_000
    async with stage.another(reconcile=0.2) as (works, service), works.running():
        await evil.was_closed()
        await stage.are_online("alice_pc", "bob_pc")
        await until(
            lambda: service.registry.get_sample_value("mchat_presence_intruders_total", {"done": "kicked"})
        )
    assert bob.closed == 0


async def test_what_the_broker_dropped_is_reconciled_at_once(live: Stage) -> None:
    await live.come("alice", "alice_pc")
    await live.are_online("alice_pc")
    await until(lambda: live.metric("mchat_presence_reconciled_total", why="start") == 1)
    sending = live.laptop.broker.integrations.actions["mchat_events"]

    def lost(*_: Any) -> None:
        sending.sink.dropped += 1

    kept, sending.sink.emit = sending.sink.emit, lost  # type: ignore[method-assign, assignment]
    await live.come("bob", "bob_pc")
    sending.sink.emit = kept  # type: ignore[method-assign]
    await live.are_online("alice_pc", "bob_pc")
    await until(lambda: live.metric("mchat_presence_reconciled_total", why="gap") >= 1)


async def forge_unheard(stage: Stage, client: MqttClient) -> None:
    """Say on alice's topic that she is away, when the broker loses what it would tell of it."""
    sending = stage.laptop.broker.integrations.actions["mchat_events"]

    def lost(*_: Any) -> None:
        sending.sink.dropped += 1

    kept, sending.sink.emit = sending.sink.emit, lost  # type: ignore[method-assign, assignment]
    await client.publish(STATUS + "alice", b'{"status":"offline"}', retain=True)
    sending.sink.emit = kept  # type: ignore[method-assign]


async def test_a_forged_status_whose_event_is_lost_is_put_back(live: Stage) -> None:
    watching = await watcher(live)
    pc = await live.come("alice", "alice_pc")
    await live.is_("online", devices=1)
    await until(lambda: told(watching) == ["online"])
    await until(lambda: live.metric("mchat_presence_reconciled_total", why="start") == 1)
    before = await live.person()
    assert live.metric("mchat_presence_repairs_total", what="projection") == 0, "nothing was lost yet"
    await forge_unheard(live, pc)
    await until(lambda: told(watching) == ["online", "offline", "online"])
    assert live.metric("mchat_presence_contradictions_total") == 0, "nobody has heard of it"
    # hers, and that of root, who is there too
    assert live.metric("mchat_presence_repairs_total", what="projection") == 2
    after = await live.person()
    assert (after.version, after.changed_at) == (before.version, before.changed_at)
    late = await live.come("bob", "bob_pc")
    assert await late.subscribe(STATUS + "alice") == [1]
    (kept,) = await late.gets(1)
    assert (kept.retain, bytes(kept.payload).decode()) == (True, before.payload)


async def test_what_was_lost_while_no_worker_ran_is_put_back_by_the_next_and_by_no_other(
    stage: Stage,
) -> None:
    async with stage.presence.running():
        watching = await watcher(stage)
        pc = await stage.come("alice", "alice_pc")
        await stage.is_("online", devices=1)
        await until(lambda: stage.metric("mchat_presence_reconciled_total", why="start") == 1)
    await forge_unheard(stage, pc)
    await until(lambda: told(watching) == ["online", "offline"])
    async with stage.another() as (works, _), works.running():
        await until(lambda: told(watching) == ["online", "offline", "online"])

        async def settled() -> bool:
            async with stage.database.read() as connection:
                return await broker_marks.events_lost(connection) == 1

        await until(settled)
    async with stage.another() as (works, service), works.running():
        seen = service.registry.get_sample_value
        await until(lambda: seen("mchat_presence_reconciled_total", {"why": "start"}) == 1)
        assert seen("mchat_presence_repairs_total", {"what": "projection"}) == 0


async def test_history_is_kept_for_its_time_and_whoever_is_there_for_ever(stage: Stage) -> None:
    pc = await stage.come("alice", "alice_pc")
    await stage.come("alice", "alice_phone")

    async def known() -> tuple[int, set[str]]:
        async with stage.database.read() as connection:
            found = await presence.history_of(connection, "alice")
            return len(found), set(await presence.devices(connection, ["alice_pc", "alice_phone"]))

    async with stage.presence.running():
        await stage.is_("online", devices=2)
        await pc.disconnect()
        await stage.is_("online", devices=1)
        assert await known() == (3, {"alice_pc", "alice_phone"})
    async with stage.another(history=0.0, prune=0.05) as (works, _), works.running():

        async def pruned() -> bool:
            return await known() == (0, {"alice_phone"})

        await until(pruned)


async def test_one_worker_at_a_time_does_it(stage: Stage) -> None:
    async with stage.another() as (waiting, other):
        async with stage.presence.running():
            await until(lambda: stage.metric("mchat_presence_reconciled_total", why="start") == 1)
            async with waiting.running():
                await stage.come("alice", "alice_pc")
                await stage.is_("online")
                started = {"why": "start"}
                assert other.registry.get_sample_value("mchat_presence_reconciled_total", started) is None
        async with stage.database.write() as connection:
            # It was given back: the next one need not wait for its end.
            assert await leases.acquire(
                connection, "presence", holder="next", now_ms=stage.clock(), hold_ms=1
            )
