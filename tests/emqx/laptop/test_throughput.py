"""How fast messages go through the rules of the authn answer: nothing is asked, as in EMQX."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from emqx.settings import LaptopSettings
from tests.emqx import raw
from tests.emqx.mchat import FakeMChat, allow
from tests.emqx.raw import RawClient, RawClients

PUBLISHERS = 4
WINDOW = 50
MESSAGES = 20_000

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


async def test_qos_1_publishes_through_connect_time_rules(
    start: Callable[..., Any], mchat: FakeMChat
) -> None:
    mchat.authn = lambda body: allow(acl=ACL)
    broker, _ = await start(events=LaptopSettings.model_fields["events"].default)
    clients = RawClients(broker.tcp_port)
    publishers = {f"p{n}": await clients.connected(f"p{n}") for n in range(PUBLISHERS)}
    began = time.perf_counter()
    await asyncio.gather(
        *(flood(client, name, MESSAGES // PUBLISHERS) for name, client in publishers.items())
    )
    rate = MESSAGES / (time.perf_counter() - began)
    print(f"\n{rate:,.0f} QoS 1 publishes/s (broker and clients in one process, one event loop)")
    assert mchat.asked("authz") == []
    assert rate > 5_000
    await clients.stop()
