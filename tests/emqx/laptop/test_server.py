import asyncio
import socket
from collections.abc import Callable
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from emqx.errors import BindError, EmqxError
from emqx.laptop.server import LaptopBroker
from tests.emqx import raw
from tests.emqx.conftest import laptop_settings
from tests.emqx.mchat import FakeMChat
from tests.emqx.mqtt import Clients
from tests.emqx.raw import RawClients

MQTT = [Subprotocol("mqtt")]


@pytest.mark.parametrize("setting", ["tcp_bind", "ws_bind"])
async def test_taken_port_is_said_and_nothing_stays_open(mchat: FakeMChat, setting: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        bind = f"127.0.0.1:{taken.getsockname()[1]}"
        broker = LaptopBroker(laptop_settings(mchat.url, **{setting: bind}))
        with pytest.raises(BindError, match=rf"{bind}: .*set MCHAT_LAPTOP_{setting.upper()} to another"):
            await broker.start()
    assert (broker.tcp_port, broker.ws_port) == (0, 0)
    assert issubclass(BindError, EmqxError)


async def test_a_further_listener_that_is_taken_is_said(mchat: FakeMChat) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        bind = f"127.0.0.1:{taken.getsockname()[1]}"
        broker = LaptopBroker(laptop_settings(mchat.url, listeners=[{"bind": "127.0.0.1:0"}, {"bind": bind}]))
        with pytest.raises(BindError, match=rf"{bind}: .*set MCHAT_LAPTOP_LISTENERS to another"):
            await broker.start()
    assert (broker.tcp_port, broker.ports) == (0, ())


async def test_stop_closes_everything(start: Callable[..., Any], mchat: FakeMChat) -> None:
    broker, _ = await start()
    clients = RawClients(broker.tcp_port)
    online = await clients.connected("c")
    half = await clients.make()
    port = broker.tcp_port
    await broker.stop()
    assert await online.closed()
    assert await half.closed()
    with pytest.raises(OSError, match="Connect call failed"):
        await asyncio.open_connection("127.0.0.1", port)
    assert (await mchat.event_of("client.disconnected", "c"))["reason"] == "server_shutting_down"
    await clients.stop()


async def test_websocket_needs_its_path_and_subprotocol(laptop: tuple[LaptopBroker, Clients]) -> None:
    base = f"ws://127.0.0.1:{laptop[0].ws_port}"
    with pytest.raises(InvalidStatus, match="404"):
        await connect(f"{base}/other", subprotocols=MQTT, proxy=None)
    with pytest.raises(InvalidStatus, match="400"):
        await connect(f"{base}/mqtt", proxy=None)
    async with connect(f"{base}/mqtt", subprotocols=MQTT, proxy=None) as websocket:
        assert websocket.subprotocol == "mqtt"


async def test_packets_may_cross_websocket_messages(laptop: tuple[LaptopBroker, Clients]) -> None:
    url = f"ws://127.0.0.1:{laptop[0].ws_port}/mqtt"
    data = raw.connect("c") + raw.PINGREQ
    async with connect(url, subprotocols=MQTT, proxy=None) as websocket:
        for start in range(0, len(data), 3):
            await websocket.send(data[start : start + 3])
        await websocket.send(b"")
        got = b""
        while len(got) < 6:
            answer = await websocket.recv()
            assert isinstance(answer, bytes)
            got += answer
        assert got == b"\x20\x02\x00\x00\xd0\x00"


async def test_text_message_ends_the_connection(laptop: tuple[LaptopBroker, Clients]) -> None:
    url = f"ws://127.0.0.1:{laptop[0].ws_port}/mqtt"
    async with connect(url, subprotocols=MQTT, proxy=None) as websocket:
        await websocket.send("text")
        with pytest.raises(ConnectionClosed):
            await websocket.recv()


async def test_internal_fault_ends_one_connection_only(
    laptop: tuple[LaptopBroker, Clients], mchat: FakeMChat, bare: RawClients, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a fault")

    bystander = await bare.connected("bystander")
    client = await bare.connected("c")
    monkeypatch.setattr(laptop[0].broker, "publish", broken)
    client.send(raw.publish("t"))
    assert await client.closed()
    assert (await mchat.event_of("client.disconnected", "c"))["reason"] == "internal_error"
    assert await bystander.silent()
