import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from starlette.responses import Response

from emqx.laptop.events import EventSink, Target
from emqx.laptop.http_backend import http_client
from emqx.settings import LaptopSettings
from tests.emqx import raw
from tests.emqx.conftest import SECRET
from tests.emqx.mchat import Body, FakeMChat, serving
from tests.emqx.raw import RawClients
from tests.emqx.waiting import until


def body(number: int, client_id: str = "c") -> Body:
    return {"event": "client.connected", "clientid": client_id, "number": number}


MakeSink = Callable[..., EventSink]


def target(url: str, ttl: float = 300.0) -> Target:
    headers = {"content-type": "application/json", "authorization": f"Bearer {SECRET}"}
    return Target(f"{url}/emqx/events", headers, ttl)


@pytest.fixture
async def sink_of() -> AsyncIterator[MakeSink]:
    """A sink to a service at this URL."""
    http = http_client()

    def made(
        url: str,
        *,
        lanes: int = 8,
        depth: int = 1_250,
        ttl: float = 300.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> EventSink:
        return EventSink(http, target(url, ttl), lanes=lanes, depth=depth, clock=clock)

    yield made
    await http.aclose()


def numbers(mchat: FakeMChat, client_id: str = "c") -> list[int]:
    return [event["number"] for event in mchat.events(client_id=client_id)]


async def test_default_kinds_are_what_mchat_selects(start: Callable[..., Any], mchat: FakeMChat) -> None:
    broker, _ = await start(events=LaptopSettings.model_fields["events"].default)
    clients = RawClients(broker.tcp_port)
    client = await clients.connected("c")
    await client.ask(raw.subscribe("t"))
    await client.ask(raw.unsubscribe("t"))
    for topic in ("t", "mchat/status/e1", "acme/mchat/status/e1", "mchat/status/e1/x", "x/y/mchat/status/e1"):
        await client.ask(raw.publish(topic, qos=1))
    client.send(raw.DISCONNECT)
    assert await client.closed()
    await mchat.event_of("client.disconnected", "c")
    assert [(event["event"], event.get("topic", "")) for event in mchat.events()] == [
        ("client.connected", ""),
        ("session.subscribed", "t"),
        ("session.unsubscribed", "t"),
        ("message.publish", "mchat/status/e1"),
        ("message.publish", "acme/mchat/status/e1"),
        ("client.disconnected", ""),
    ]
    await clients.stop()


@pytest.mark.parametrize("status", [429, 503])
async def test_passing_faults_are_tried_again_in_order(
    mchat: FakeMChat, sink_of: MakeSink, status: int
) -> None:
    answers = iter([status, status, 204, status])
    mchat.event = lambda body: Response(status_code=next(answers, 204))
    sink = sink_of(mchat.url)
    sink.start()
    sink.emit("c", body(1))
    sink.emit("c", body(2))
    await sink.close(5)
    assert numbers(mchat) == [1, 1, 1, 2, 2]
    assert sink.dropped == 0


@pytest.mark.parametrize("status", [301, 400, 401, 404, 500, 502, 504])
async def test_other_statuses_drop_the_event(mchat: FakeMChat, sink_of: MakeSink, status: int) -> None:
    mchat.event = lambda body: Response(status_code=204 if body["number"] == 2 else status)
    sink = sink_of(mchat.url)
    sink.start()
    sink.emit("c", body(1))
    sink.emit("c", body(2))
    await sink.close(5)
    assert numbers(mchat) == [1, 2]
    assert sink.dropped == 1


async def test_service_that_comes_back_gets_everything_in_order(free_port: int, sink_of: MakeSink) -> None:
    sink = sink_of(f"http://127.0.0.1:{free_port}")
    sink.start()
    for number in range(20):
        sink.emit("c", body(number))
    await asyncio.sleep(0)
    # SO_REUSEADDR lets the service bind what the fixture only reserves: nobody listens on it.
    async with serving(FakeMChat()) as mchat:
        sink.target = target(mchat.url)
        await sink.close(10)
        assert numbers(mchat) == list(range(20))


async def test_event_that_grew_old_is_dropped(free_port: int, sink_of: MakeSink) -> None:
    now = [0.0]
    sink = sink_of(f"http://127.0.0.1:{free_port}", ttl=60, clock=lambda: now[0])
    sink.start()
    sink.emit("c", body(1))
    await asyncio.sleep(0)
    assert sink.dropped == 0
    now[0] = 61.0
    await until(lambda: sink.dropped == 1)
    await sink.close(1)


async def test_full_lane_drops_its_oldest(mchat: FakeMChat, sink_of: MakeSink) -> None:
    sink = sink_of(mchat.url, lanes=16, depth=4)
    for number in range(10):
        sink.emit("c", body(number))
    assert sink.dropped == 6
    sink.start()
    await sink.close(5)
    assert numbers(mchat) == [6, 7, 8, 9]


async def test_slow_client_lane_does_not_hold_the_others(mchat: FakeMChat, sink_of: MakeSink) -> None:
    sink = sink_of(mchat.url)
    mchat.event = lambda body: Response(status_code=503 if body["clientid"] == "stuck" else 204)
    sink.start()
    sink.emit("stuck", body(1, "stuck"))
    sink.emit("c", body(1))
    await until(lambda: numbers(mchat))
    await sink.close(0.01)
    assert sink.dropped == 1


async def test_what_is_not_sent_in_time_is_counted(mchat: FakeMChat, sink_of: MakeSink) -> None:
    sink = sink_of(mchat.url)
    mchat.hold("/emqx/events")
    sink.start()
    sink.emit("c", body(1))
    sink.emit("c", body(2))
    await until(lambda: mchat.requests)
    await sink.close(0.01)
    assert sink.dropped == 2
    assert mchat.requests[0].headers["authorization"] == f"Bearer {SECRET}"


async def test_events_wait_while_there_is_nowhere_to_send_them(mchat: FakeMChat, sink_of: MakeSink) -> None:
    sink = sink_of("http://127.0.0.1:1")
    sink.target = None
    sink.start()
    sink.emit("c", body(1))
    assert sink.queuing == 1
    sink.target = target(mchat.url)
    await until(lambda: numbers(mchat) == [1])
    await sink.close(5)
    assert (sink.matched, sink.success, sink.dropped) == (1, 1, 0)
