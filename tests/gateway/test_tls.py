"""The gateway's connection over TLS: the broker's certificate is verified."""

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.emqx.api.certificates import Certificates
from tests.emqx.waiting import until
from tests.gateway.brokers import Place
from tests.gateway.echo import Echo
from tests.mosquitto import find_mosquitto, running_mosquitto
from tests.postgres import free_port


@dataclass(frozen=True, slots=True)
class Secured:
    """mosquitto with a listener that speaks TLS, beside the plain one."""

    plain: int
    port: int
    authority: Path
    stranger: Path


@pytest.fixture
def secured() -> Iterator[Secured]:
    program = find_mosquitto()
    if program is None:
        pytest.skip("mosquitto is not installed")
    folder = Path(tempfile.mkdtemp(prefix="mchat-tls-"))
    folder.chmod(0o755)  # mosquitto runs as another user
    try:
        certificate, key = Certificates(folder).issue("broker")
        key.chmod(0o644)
        (folder / "other").mkdir()
        stranger = Certificates(folder / "other").authority
        port = free_port()
        lines = (f"listener {port} 127.0.0.1", f"certfile {certificate}", f"keyfile {key}")
        with running_mosquitto(program, *lines) as plain:
            yield Secured(plain, port, folder / "authority.pem", stranger)
    finally:
        shutil.rmtree(folder)


async def test_requests_are_answered_over_tls(secured: Secured, five: Place) -> None:
    echo = Echo()
    # A large answer: what TLS has read ahead makes no socket readable.
    echo.response = lambda arrival: arrival.payload * 20_000
    await five.linked(echo, port=secured.port, tls=True, tls_ca=secured.authority, in_hand_client=200)
    client = five.clients.make("tls", port=secured.plain)
    assert await client.connect() == 0
    await client.subscribe(f"{five.prefix}mchat/msg/resp/a/+")
    for number in range(100):
        client.paho.publish(five.request("a", f"s{number}"), b"%02d" % number, 1)
    got = await client.gets(100)
    assert [one.payload for one in got] == [b"%02d" % number * 20_000 for number in range(100)]


async def test_a_broker_with_another_certificate_is_not_talked_to(secured: Secured, five: Place) -> None:
    link = five.link(port=secured.port, tls=True, tls_ca=secured.stranger)
    link.start(Echo())
    await until(lambda: "certificate verify failed" in link.figures.fault)
    assert not link.up.is_set()
    missing = five.link(port=secured.port, tls=True, tls_ca=secured.stranger.parent / "none", instance="2")
    missing.start(Echo())
    await until(lambda: "No such file" in missing.figures.fault)
    async with asyncio.timeout(5):
        await link.stop()
