"""Connecting: TCP, WebSocket, TLS, MQTT 3.1.1 and 5, and every way in which it is refused."""

import asyncio
import os
import socket
import ssl
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

import tests.mosquitto
from emqx.laptop.server import LaptopBroker
from mchat_client import (
    Broker,
    Client,
    Closed,
    ConnectRefused,
    PublishRefused,
    SubscriptionRefused,
    Unreachable,
    WrongValue,
)
from mchat_client.broker import Version
from tests.emqx.api.certificates import Certificates
from tests.emqx.conftest import laptop_settings
from tests.emqx.mchat import FakeMChat, answer, deny, serving
from tests.emqx.waiting import until
from tests.mchat_client.conftest import Place, placed
from tests.mchat_client.relay import relay_to
from tests.mosquitto import find_mosquitto, running_mosquitto


@pytest.fixture
async def laptop() -> AsyncIterator[tuple[FakeMChat, LaptopBroker, Place]]:
    async with AsyncExitStack() as stack:
        mchat = await stack.enter_async_context(serving(FakeMChat()))
        broker = await stack.enter_async_context(LaptopBroker(laptop_settings(mchat.url)))
        yield mchat, broker, await placed(stack, broker.tcp_port)


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    return Certificates(tmp_path)


async def talks(client: Client) -> None:
    """A request, and a large message to oneself."""
    text = "x" * 60_000
    async with client, client.inbox() as inbox:
        assert (await client.request("org.tree", depth=1)).data == {"depth": 1}
        await client.send_private(client.employee_id, text)
        async for message in inbox:
            assert getattr(message, "content", None) == text
            break


@pytest.mark.parametrize("version", ["3.1.1", "5"])
async def test_over_tcp(mosquitto: Place, version: Version) -> None:
    await talks(mosquitto.client("alice", version=version))


@pytest.mark.parametrize("version", ["3.1.1", "5"])
async def test_over_tls(mosquitto: Place, certificates: Certificates, version: Version) -> None:
    async with relay_to(mosquitto.gateway.port, certificates.server_side()) as secured:
        trusting = ssl.create_default_context(cafile=str(certificates.authority))
        url = f"mqtts://127.0.0.1:{secured.port}"
        await talks(mosquitto.client("alice", broker=Broker.from_url(url, tls=trusting, version=version)))


async def test_what_tls_took_off_the_socket_already_is_not_left_lying(certificates: Certificates) -> None:
    def publish(number: int) -> bytes:
        topic, payload = b"mchat/inbox/alice", b'{"type":"x","msg_id":"msg_%d"}' % number
        return bytes([0x30, 2 + len(topic) + len(payload), 0, len(topic)]) + topic + payload

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1_024)
        writer.write(b"\x20\x02\x00\x00")  # CONNACK
        for _ in range(2):
            subscribe = await reader.read(1_024)
            writer.write(b"\x90\x03" + subscribe[2:4] + b"\x01")  # SUBACK
        # One record, and nothing behind it that would wake the loop.
        writer.write(b"".join(publish(number) for number in range(5)))
        while await reader.read(1_024):
            pass
        writer.transport.abort()

    server = await asyncio.start_server(speak, "127.0.0.1", 0, ssl=certificates.server_side())
    async with server:
        trusting = ssl.create_default_context(cafile=str(certificates.authority))
        broker = Broker(port=server.sockets[0].getsockname()[1], tls=trusting)
        async with Client("alice", "ok", broker) as alice, alice.inbox() as inbox:
            async with asyncio.timeout(10):
                got = [await anext(inbox) for _ in range(5)]
            assert [getattr(each, "data", {}).get("msg_id") for each in got] == [f"msg_{n}" for n in range(5)]
            left = asyncio.get_running_loop().time()
    # This broker acknowledges no end of a subscription: nobody waits for it as long as the connection lives.
    assert asyncio.get_running_loop().time() - left < 20


async def test_over_websocket(laptop: tuple[FakeMChat, LaptopBroker, Place]) -> None:
    _, broker, place = laptop
    await talks(place.client("alice", broker=Broker.from_url(f"ws://127.0.0.1:{broker.ws_port}/mqtt")))


async def test_over_websocket_and_tls(
    laptop: tuple[FakeMChat, LaptopBroker, Place], certificates: Certificates
) -> None:
    _, broker, place = laptop
    trusting = ssl.create_default_context(cafile=str(certificates.authority))
    async with relay_to(broker.ws_port, certificates.server_side()) as secured:
        url = f"wss://127.0.0.1:{secured.port}/mqtt"
        await talks(place.client("alice", broker=Broker.from_url(url, tls=trusting)))


async def test_small_packets_are_sent_without_delay(mosquitto: Place) -> None:
    alice = await mosquitto.connected("alice")
    sock = (await alice._keeper.link())._client.socket()
    assert isinstance(sock, socket.socket)
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_a_certificate_that_nobody_vouches_for_is_refused(
    mosquitto: Place, certificates: Certificates
) -> None:
    async with relay_to(mosquitto.gateway.port, certificates.server_side()) as secured:
        stranger = Broker.from_url(f"mqtts://127.0.0.1:{secured.port}")
        with pytest.raises(Unreachable, match="certificate verify failed"):
            await mosquitto.client("alice", broker=stranger).connect()


async def test_who_is_not_let_in_is_told_and_the_secret_is_not(
    laptop: tuple[FakeMChat, LaptopBroker, Place],
) -> None:
    mchat, _, place = laptop
    mchat.authn = lambda body: deny() if body["password"] == "wrong" else answer({"result": "allow"})
    broker = Broker(port=place.gateway.port)
    client = Client("alice", "wrong", broker)
    with pytest.raises(ConnectRefused, match="refused the connection") as refused:
        await client.connect()
    assert refused.value.reason in (0x86, 0x87)
    assert "wrong" not in f"{refused.value!r} {client!r} {vars(client)!r} {client._keeper._door!r}"
    with pytest.raises(ConnectRefused):
        await client.request("org.tree")
    async with Client("alice", "right", broker) as let_in:
        await let_in.request("org.tree")


async def test_the_user_name_may_be_another_than_the_employee_id(
    laptop: tuple[FakeMChat, LaptopBroker, Place],
) -> None:
    mchat, _, place = laptop
    connection = {
        "broker_host": "127.0.0.1",
        "broker_port": place.gateway.port,
        "use_tls": False,
        "ws_url": "",
        "mqtt_username": "alice@acme",
        "mqtt_password": "mct_x",
        "client_id_scheme": "{employee_id}_{device}_{random}",
        "auth_bind_employee_id": "alice",
        "topic_prefix": "",
    }
    async with Client.from_connection(connection, device="pc") as alice:
        await alice.request("org.tree")
        asked = [body for body in mchat.asked("authn") if body["username"] == "alice@acme"]
        assert [body["clientid"] for body in asked] == [alice.client_id]
        assert alice.client_id.startswith("alice_pc_")


async def test_who_may_not_hear_its_own_answers_is_told(
    laptop: tuple[FakeMChat, LaptopBroker, Place],
) -> None:
    mchat, _, place = laptop
    mchat.authz = lambda body: deny() if "/resp/mallory" in body["topic"] else answer({"result": "allow"})
    with pytest.raises(ConnectRefused, match=r"subscription to mchat/msg/resp/mallory_.*/\+"):
        await place.client("mallory").connect()
    await place.connected("alice")


async def test_what_may_not_be_heard_is_refused_and_the_rest_goes_on(
    laptop: tuple[FakeMChat, LaptopBroker, Place],
) -> None:
    mchat, _, place = laptop
    mchat.authz = lambda body: deny() if body["topic"] == "mchat/group/g1" else answer({"result": "allow"})
    alice = await place.connected("alice")
    with pytest.raises(SubscriptionRefused, match="mchat/group/g1"):
        await alice.group("g1").__aenter__()
    async with alice.group("g2") as messages:
        await alice.send_group("g2", "hello")
        assert getattr(await anext(messages), "content", None) == "hello"
    assert (await alice.request("org.tree", depth=1)).data == {"depth": 1}


async def test_mqtt_5_tells_at_once_that_a_request_was_refused(
    mosquitto_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = find_mosquitto()
    assert program is not None
    with tempfile.TemporaryDirectory() as folder:
        rules = Path(folder) / "rules"
        rules.write_text("user mallory\ntopic read #\nuser alice\ntopic #\nuser mchat_gateway\ntopic #\n")
        os.chmod(folder, 0o755)  # noqa: PTH101, S103 - the broker reads it
        ruled = f"{tests.mosquitto._CONFIGURATION}acl_file {rules}\n"
        monkeypatch.setattr(tests.mosquitto, "_CONFIGURATION", ruled)
        async with AsyncExitStack() as stack:
            place = await placed(stack, stack.enter_context(running_mosquitto(program)))
            mallory = await place.connected("mallory", version="5")
            with pytest.raises(
                PublishRefused, match=r"does not let this client publish on mchat/msg/req/mallory_"
            ):
                await mallory.request("org.tree")
            alice = await place.connected("alice", version="5")
            await alice.request("org.tree")
            assert len(place.gateway.requests) == 1


async def test_what_the_network_takes_in_pieces_arrives_whole(
    laptop: tuple[FakeMChat, LaptopBroker, Place],
) -> None:
    _, broker, place = laptop
    relay = await place.stack.enter_async_context(relay_to(broker.ws_port))
    alice = await place.connected("alice", repeat_s=20.0, broker=Broker(port=relay.port, websocket=True))
    relay.stall()
    texts = [f"{number} " + "x" * 500_000 for number in range(20)]
    asking = [asyncio.create_task(alice.request("org.tree", text=text)) for text in texts]
    client = (await alice._keeper.link())._client
    # Half of it waits for room in the network's buffers.
    await until(lambda: len(client._out_packet) in range(1, 15))
    relay.passing.set()
    answers = await asyncio.gather(*asking)
    assert [answer.attempts for answer in answers] == [1] * 20
    assert [request.params["text"] for request in place.gateway.requests] == texts


async def test_nobody_listens_there() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        client = Client("alice", "ok", Broker(port=unused.getsockname()[1]))
        with pytest.raises(Unreachable, match=r"127\.0\.0\.1:.* cannot be reached"):
            await client.connect()


@pytest.mark.parametrize("websocket", [False, True], ids=["tcp", "ws"])
async def test_whoever_says_nothing_is_not_waited_for_for_ever(websocket: bool) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        broker = Broker(port=silent.getsockname()[1], websocket=websocket, connect_timeout_s=0.3)
        with pytest.raises(Unreachable, match=r"gave no answer within 0\.3 s"):
            await Client("alice", "ok", broker).connect()


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x20\x02\x00\x00\xf0\x01\x00"])
async def test_whoever_is_no_broker_is_left(said: bytes) -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(said)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(speak, "127.0.0.1", 0)
    async with server:
        broker = Broker(port=server.sockets[0].getsockname()[1], connect_timeout_s=2.0)
        with pytest.raises(Unreachable):
            await Client("alice", "ok", broker).connect()


async def test_a_broker_that_speaks_no_mqtt_5_is_said_to(
    laptop: tuple[FakeMChat, LaptopBroker, Place],
) -> None:
    _, _, place = laptop
    with pytest.raises((Unreachable, ConnectRefused), match=r"MQTT 5|protocol version"):
        await place.client("alice", version="5").connect()


async def test_closing_says_goodbye(laptop: tuple[FakeMChat, LaptopBroker, Place]) -> None:
    mchat, _, place = laptop
    client = place.client("alice")
    async with client:
        await client.request("org.tree")
    gone = await mchat.event_of("client.disconnected", client.client_id)
    assert gone["reason"] == "normal"


async def test_a_closed_client_is_closed(mosquitto: Place) -> None:
    client = mosquitto.client("alice")
    with pytest.raises(Closed, match="connect"):
        await client.request("org.tree")
    await client.connect()
    assert client.connected
    with pytest.raises(Closed, match="before"):
        await client.connect()
    mosquitto.gateway.swallow = 1_000
    asking = asyncio.create_task(client.request("org.tree"))
    stream = await client.inbox().__aenter__()
    await until(lambda: mosquitto.gateway.requests)
    await client.close()
    await client.close()
    assert not client.connected
    with pytest.raises(Closed, match="was closed"):
        await asking
    assert [message async for message in stream] == []
    with pytest.raises(Closed):
        await client.wait_connected()
    with pytest.raises(Closed):
        await client.group("g1").__aenter__()


async def test_a_client_closed_while_it_connects_does_not_stay(mosquitto: Place) -> None:
    mosquitto.relay.stall()
    client = mosquitto.client("alice")
    connecting = asyncio.create_task(client.connect())
    await until(lambda: mosquitto.relay.accepted)
    await client.close()
    mosquitto.relay.passing.set()
    with pytest.raises(Closed):
        await connecting
    assert not client.connected


async def test_connecting_can_be_broken_off(mosquitto: Place) -> None:
    mosquitto.relay.stall()
    client = mosquitto.client("alice")
    connecting = asyncio.create_task(client.connect())
    await until(lambda: mosquitto.relay.accepted)
    connecting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await connecting
    with pytest.raises(Closed, match="broken off"):
        await client.wait_connected()


def test_a_session_needs_a_name() -> None:
    with pytest.raises(WrongValue, match="client_id"):
        Client("alice", "ok", session_expiry_s=60)
    assert Client("alice", "ok", session_expiry_s=60, client_id="alice_pc").client_id == "alice_pc"
