"""How fast messages go through the rules of the authn answer: nothing is asked, as in EMQX."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import pytest

from emqx.settings import LaptopSettings
from tests.emqx import raw
from tests.emqx.mchat import FakeMChat, allow
from tests.emqx.raw import RawClient, RawClients

pytestmark = pytest.mark.timed

PUBLISHERS = 4
WINDOW = 50
MESSAGES = 4_000
ROUNDS = 5
SHARE = 0.3
"""Of the rate of a server that does nothing but acknowledge; about 0.6 was measured."""

# What MChat gives an employee at connect: a dozen rules, the one for requests in their midst.
ACL: list[object] = [
    *({"permission": "allow", "action": "subscribe", "topic": f"eq mchat/inbox/{n}"} for n in range(6)),
    {"permission": "allow", "action": "publish", "topic": "mchat/msg/req/${clientid}/+", "retain": False},
    *({"permission": "allow", "action": "subscribe", "topic": f"eq mchat/profile/{n}"} for n in range(5)),
]


async def flood(client: RawClient, client_id: str, messages: int) -> None:
    """Publish at QoS 1, a new topic each, with a window of unacknowledged ones."""
    for start in range(0, messages, WINDOW):
        numbers = range(start, min(start + WINDOW, messages))
        client.send(
            *(raw.publish(f"mchat/msg/req/{client_id}/{n}", b"x" * 100, 1, n % WINDOW + 1) for n in numbers)
        )
        for _ in numbers:
            assert (await client.receive())[0] == 0x40


async def acknowledge(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The least that can be done for a publisher: take its packets apart, acknowledge each, deliver nothing."""
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            head = await reader.readexactly(2)
            length, shift = head[1] & 0x7F, 7
            while head[-1] & 0x80:
                head += await reader.readexactly(1)
                length |= (head[-1] & 0x7F) << shift
                shift += 7
            body = await reader.readexactly(length)
            if head[0] == 0x10:
                writer.write(b"\x20\x02\x00\x00")
                continue
            ident = 2 + int.from_bytes(body[:2], "big")
            writer.write(b"\x40\x02" + body[ident : ident + 2])
            await writer.drain()
    writer.close()


async def rate(port: int, round_: int) -> float:
    """QoS 1 publishes per second by new publishers, in one process and on one event loop with who is asked."""
    clients = RawClients(port)
    publishers = {f"p{n}_{round_}": await clients.connected(f"p{n}_{round_}") for n in range(PUBLISHERS)}
    began = time.perf_counter()
    await asyncio.gather(
        *(flood(client, name, MESSAGES // PUBLISHERS) for name, client in publishers.items())
    )
    taken = time.perf_counter() - began
    await clients.stop()
    return MESSAGES / taken


async def test_qos_1_publishes_through_connect_time_rules_against_a_bare_acknowledger(
    start: Callable[..., Any], mchat: FakeMChat
) -> None:
    mchat.authn = lambda body: allow(acl=ACL)
    broker, _ = await start(events=LaptopSettings.model_fields["events"].default)
    server = await asyncio.start_server(acknowledge, "127.0.0.1", 0)
    bare_port = server.sockets[0].getsockname()[1]
    bare, ours = [], []
    for round_ in range(ROUNDS):
        bare.append(await rate(bare_port, round_))
        ours.append(await rate(broker.tcp_port, round_))
    server.close()
    await server.wait_closed()
    print(f"\n{median(ours):,.0f} QoS 1 publishes/s, {median(bare):,.0f} by a bare acknowledger")
    assert mchat.asked("authz") == []
    assert median(mine / least for mine, least in zip(ours, bare, strict=True)) >= SHARE
