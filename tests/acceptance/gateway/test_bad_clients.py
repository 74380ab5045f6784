"""Clients that send what no client should: the gateway lives, answers them as it should, and answers the others."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest
import pytest_asyncio

from directory.database import Database
from tests.acceptance.enforcement.conftest import stage_url as stage_url
from tests.acceptance.gateway.field import FieldClient, cut_apart, field_clients
from tests.acceptance.gateway.scene import ADMIN, Scene, scene
from tests.emqx.waiting import until

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(180),
    # Nothing of this is the database's.
    pytest.mark.parametrize("stage_url", ["sqlite"], indirect=True),
]

PACKET = 4_096
"""MCHAT_GATEWAY_PACKET_SIZE here: the company's tree does not go into it."""

FLOOD = 600
IN_HAND = 16


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def attacked(stage_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    database = Database.open(stage_url)
    folder = tmp_path_factory.mktemp("bad")
    async with AsyncExitStack() as stack:
        stack.push_async_callback(database.close)
        small = {"gateway_packet_size": PACKET, "gateway_in_hand_client": IN_HAND}
        yield await stack.enter_async_context(scene(folder, database, stage_url, company=20, **small))


@dataclass(slots=True)
class Cast:
    """Who is there.

    Attributes:
        bad: Sends what it should not.
        good: Must not notice.
    """

    scene: Scene
    bad: FieldClient
    good: FieldClient

    async def unimpressed(self) -> None:
        """The gateway answers both of them, over the connection that it had all the time."""
        for client in (self.bad, self.good):
            assert (await client.asks("group.list")).code == 0
        link = await self.scene.gateway.link()
        assert (link["connected"], link["connections"], link["lost"]) == (True, 1, 0)


@pytest_asyncio.fixture(loop_scope="module")
async def cast(attacked: Scene) -> AsyncIterator[Cast]:
    with field_clients(attacked.stage.mqtt_port) as field:
        own = Scene(attacked.stage, attacked.gateway, field)
        yield Cast(own, await own.come("m1"), await own.come("m2"))


def _deep(opening: bytes, closing: bytes, levels: int) -> bytes:
    return b'{"action":"group.list","x":' + opening * levels + b"1" + closing * levels + b"}"


PAYLOADS = {
    "1 MiB": (b'{"action":"group.list","x":"' + b"a" * (2**20 - 300) + b'"}', 413),
    "lists, deep": (_deep(b"[", b"]", 100_000), 400),
    "objects, deep": (_deep(b'{"a":', b"}", 20_000), 400),
    "not so deep": (_deep(b"[", b"]", 40), 400),
    "open": (b"[" * 200_000, 400),
    "wrong UTF-8": (b'{"action":"group.list","x":"\xff\xfe"}', 400),
    "surrogate": (b'{"action":"group.list","x":"\xed\xa0\x80"}', 400),
    "null": (b"null", 400),
    "nothing": (b"", 400),
    "list": (b'["action"]', 400),
    "NaN": (b'{"action":"group.list","limit":NaN}', 400),
    "1e999": (b'{"action":"group.list","limit":1e999}', 400),
    "action null": (b'{"action":null}', 400),
    "action __proto__": (b'{"action":"__proto__"}', 400),
    "action constructor": (b'{"action":"constructor"}', 400),
    "action __class__": (b'{"action":"__class__.__init__"}', 400),
    "params null": (b'{"action":"msg.send_private","to_employee_id":null,"content":null}', 400),
    # The twins: odd, and allowed.
    "params __proto__": (b'{"action":"group.list","__proto__":{"role":"admin"},"constructor":1}', 0),
    "deep enough": (_deep(b"[", b"]", 20), 0),
}


@pytest.mark.parametrize("name", PAYLOADS)
async def test_a_payload_that_is_none_is_answered_so(cast: Cast, name: str) -> None:
    payload, code = PAYLOADS[name]
    assert (await cast.bad.sends(payload)).code == code
    await cast.unimpressed()


async def test_a_packet_over_the_brokers_limit_costs_its_sender_the_connection(cast: Cast) -> None:
    cast.bad.mqtt.paho.publish(f"mchat/msg/req/{cast.bad.client_id}/s", b"a" * 2**21, 1)
    await cast.bad.mqtt.was_closed()
    cast.bad = await cast.scene.come("m1")
    await cast.unimpressed()


@pytest.mark.parametrize("odd", ["#", "+", "a/#", "$SYS", "", " ", "a\tb", "x" * 300, "__proto__/", "../m2"])
async def test_ids_that_are_none_reach_no_topic(cast: Cast, odd: str) -> None:
    await cast.good.follows("mchat/inbox/m2")
    admin = await cast.scene.come(ADMIN, ADMIN)
    for client, action, params in (
        (cast.bad, "msg.send_private", {"to_employee_id": odd, "content": "x"}),
        (cast.bad, "msg.send_group", {"group_id": odd, "content": "x"}),
        (cast.bad, "group.get", {"group_id": odd}),
        (admin, "employee.create", {"name": "x", "employee_id": odd}),
        (admin, "department.create", {"name": "x", "department_id": odd}),
        (admin, "group.create", {"name": "x", "member_ids": ["m2"], "group_id": odd}),
        (admin, "group.create", {"name": "x", "member_ids": [odd]}),
        (admin, "employee.update", {"employee_id": odd, "updates": {"name": "x"}}),
    ):
        answer = await client.asks(action, **params)
        assert answer.code == 400, f"{action} {params}: {answer}"
    await cast.unimpressed()
    assert cast.good.told("mchat/inbox/m2") == []
    # The twin: an id that is one.
    assert (await cast.bad.asks("msg.send_private", to_employee_id="m2", content="x")).code == 0
    await cast.good.hears("mchat/inbox/m2", content="x")


async def test_an_answer_that_is_too_large_is_said_to_be_so(cast: Cast) -> None:
    whole = await cast.good.asks("org.tree")
    assert whole.code == 413
    assert (await cast.good.asks("employee.list", limit=2)).code == 0
    await cast.unimpressed()


async def test_a_message_that_is_too_large_is_not_tried_for_ever(cast: Cast) -> None:
    sent = await cast.bad.asks("msg.send_private", to_employee_id="m2", content="x" * PACKET)
    assert sent.code == 413
    assert (await cast.bad.asks("msg.send_private", to_employee_id="m2", content="x" * 65_537)).code == 413
    await cast.unimpressed()


async def test_a_flood_of_one_client_holds_up_no_other(cast: Cast) -> None:
    cast.bad = cast.scene.client("m1", "m1_flood_1", clean_session=True)
    cast.bad.mqtt.paho.max_inflight_messages_set(FLOOD)
    assert await cast.bad.come()
    asked = json.dumps({"action": "employee.list", "limit": 2}).encode()
    for number in range(FLOOD):
        cast.bad.mqtt.paho.publish(f"mchat/msg/req/{cast.bad.client_id}/f{number}", asked, 1)
    answers = await asyncio.gather(*(cast.good.asks("group.list") for _ in range(10)))
    assert {answer.code for answer in answers} == {0}
    await until(lambda: len(cast.bad.mqtt.received) == FLOOD, 30)
    codes = Counter(cut_apart(one.payload.decode()).code for one in cast.bad.mqtt.received)
    # Each of them is answered, most with a no at once.
    assert set(codes) == {0, 503} and codes[0] >= IN_HAND
    await cast.unimpressed()


async def test_a_request_in_anothers_name_is_refused_by_the_broker(cast: Cast) -> None:
    asked = json.dumps({"action": "msg.send_private", "to_employee_id": "m1", "content": "forged"}).encode()
    topic = f"mchat/msg/req/{cast.good.client_id}/forged"
    await cast.bad.mqtt.publish(topic, asked)
    await cast.bad.follows("mchat/inbox/m1")
    await cast.unimpressed()
    assert "forged" not in dict(cast.scene.gateway.codes(cast.good.client_id))
    assert cast.bad.told("mchat/inbox/m1") == []
    # Nor is what it may not hear.
    assert not await cast.bad.listens(f"mchat/msg/resp/{cast.good.client_id}/+")
    # The twin: the same from whose name it is.
    await cast.good.mqtt.publish(topic, asked)
    await cast.bad.hears("mchat/inbox/m1", content="forged", from_employee_id="m2")


async def test_a_number_that_is_none_is_not_answered(cast: Cast) -> None:
    for seq in ("x" * 300, "a b", "", "a\tb"):
        topic = f"mchat/msg/req/{cast.bad.client_id}/{seq}"
        cast.bad.mqtt.paho.publish(topic, b'{"action":"group.list"}', 1)
    await cast.unimpressed()


@pytest.fixture(autouse=True)
def lives(attacked: Scene) -> Iterator[None]:
    """After each test the same process runs."""
    yield
    assert attacked.gateway.runs and len(attacked.gateway.told) == 1
