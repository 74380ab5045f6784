import time
from collections.abc import Callable
from typing import Any

import pytest
from starlette.responses import Response

from tests.emqx import raw
from tests.emqx.mchat import FakeMChat, allow, answer, deny
from tests.emqx.raw import RawClients

RECORDED_KEYS = {
    "username",
    "topic",
    "retain",
    "qos",
    "proto_name",
    "peerhost",
    "mountpoint",
    "clientid",
    "cert_common_name",
    "action",
}
GRANTED, REFUSED = b"\x90\x03\x00\x01\x01", b"\x90\x03\x00\x01\x80"


@pytest.mark.parametrize(
    ("answered", "allowed"),
    [
        (allow(), True),
        (Response(status_code=204), True),
        (Response('{"result": "allow"}'), True),  # without a content type: JSON, unlike authn
        (deny(), False),
        (answer({"result": "ignore"}), False),
        (answer({}), False),
        (answer([]), False),
        (answer({"result": "yes"}), False),
        (Response("no json", media_type="application/json"), False),
        (Response('{"result": "allow"}', media_type="text/plain"), False),
        *(
            (answer({"result": "allow"}, status), False)
            for status in (201, 302, 400, 401, 403, 404, 500, 503)
        ),
    ],
)
async def test_answers(mchat: FakeMChat, bare: RawClients, answered: Response, allowed: bool) -> None:
    client = await bare.connected("c")
    mchat.authz = lambda body: answered
    assert await client.ask(raw.subscribe("t")) == (GRANTED if allowed else REFUSED)
    # MQTT 3.1.1 has no word for no: the acknowledgement of a refused message is an ordinary one.
    client.send(raw.publish("t", b"1", 1, 5), raw.publish("t", b"2", 2, 6))
    got = [await client.receive() for _ in range(4 if allowed else 2)]
    assert {raw.puback(5), raw.packet(0x50, raw.number(6))} <= set(got)


async def test_no_answer_in_time_is_a_deny(start: Callable[..., Any], mchat: FakeMChat) -> None:
    broker, _ = await start(authz_timeout=0.2)
    clients = RawClients(broker.tcp_port)
    client = await clients.connected("c")
    mchat.hold("/emqx/authz")
    assert await client.ask(raw.subscribe("t")) == REFUSED
    told = await mchat.event_of("client.check_authz_complete", "c")
    assert (told["result"], told["authz_source"]) == ("deny", "default")
    await clients.stop()


async def test_rules_decide_before_anybody_is_asked(mchat: FakeMChat, bare: RawClients) -> None:
    mchat.authn = lambda body: allow(
        acl=[
            {
                "permission": "allow",
                "action": "publish",
                "topic": "mchat/msg/req/${clientid}/+",
                "retain": False,
            },
            {"permission": "deny", "action": "publish", "topic": "mchat/msg/req/${clientid}/+", "qos": 2},
            {"permission": "allow", "action": "subscribe", "topic": "eq mchat/msg/resp/${clientid}/+"},
            {"permission": "allow", "action": "subscribe", "topic": "eq mchat/msg/resp/c/+"},
            {"permission": "deny", "action": "subscribe", "topic": "mchat/group/g1"},
        ]
    )
    mchat.authz = lambda body: deny()
    client = await bare.connected("c")
    assert await client.ask(raw.publish("mchat/msg/req/c/1", qos=1)) == raw.puback(1)
    assert await client.ask(raw.subscribe("mchat/msg/resp/c/+")) == GRANTED
    assert await client.ask(raw.subscribe("$share/g/mchat/msg/resp/c/+")) == GRANTED
    assert await client.ask(raw.subscribe("mchat/group/g1")) == REFUSED
    assert mchat.asked("authz") == []
    assert await client.ask(raw.publish("mchat/msg/req/c/1", qos=1, flags=1)) == raw.puback(1)
    assert await client.ask(raw.subscribe("mchat/msg/resp/c/#")) == REFUSED
    assert await client.ask(raw.publish("mchat/msg/req/d/1", qos=1)) == raw.puback(1)
    assert [
        (body["action"], body["topic"], body["qos"], body["retain"]) for body in mchat.asked("authz")
    ] == [
        ("publish", "mchat/msg/req/c/1", "1", "true"),
        ("subscribe", "mchat/msg/resp/c/#", "1", "false"),
        ("publish", "mchat/msg/req/d/1", "1", "false"),
    ]


@pytest.mark.parametrize("clean", [True, False])
async def test_take_over_brings_its_own_rules(mchat: FakeMChat, bare: RawClients, clean: bool) -> None:
    mchat.authn = lambda body: allow(acl=[{"permission": "allow", "action": "all", "topic": "t"}])
    await bare.connected("c", clean=clean)
    mchat.authn = lambda body: allow()
    client = await bare.connected("c", clean=clean, present=not clean)
    assert await client.ask(raw.subscribe("t")) == GRANTED
    assert [body["topic"] for body in mchat.asked("authz")] == ["t"]


@pytest.mark.parametrize(
    ("filter_text", "asked", "granted"),
    [
        ("$share/g/t/+", "t/+", True),
        ("$queue/t", "t", True),
        ("$exclusive/t", "t", False),
        ("$share/g/$exclusive/x", "$exclusive/x", True),
        ("$exclusive/$queue/x", "$queue/x", False),
        ("$delayed/1/x", "x", True),
        ("$share/g/$delayed/1/x", "x", True),
        ("$delayed/#", None, False),
        ("$delayed/1", None, False),
    ],
)
async def test_topic_of_a_subscription(
    mchat: FakeMChat, bare: RawClients, filter_text: str, asked: str | None, granted: bool
) -> None:
    client = await bare.connected("c")
    assert await client.ask(raw.subscribe(filter_text)) == (GRANTED if granted else REFUSED)
    assert [body["topic"] for body in mchat.asked("authz")] == ([] if asked is None else [asked])
    assert await client.silent()
    if granted:
        assert (await mchat.event_of("session.subscribed", "c"))["topic"] == filter_text


@pytest.mark.parametrize(
    ("name", "asked", "delivered"),
    [
        ("$delayed/0/t", "t", "t"),
        ("$delayed/-1/t", "t", "t"),
        ("$delayed/0/$delayed/0/t", "t", "t"),
        ("$delayed/x/t", "t", "$delayed/x/t"),
        ("$delayed//t", "t", "$delayed//t"),
        ("$delayed/99999999999/t", "t", "$delayed/99999999999/t"),
        ("$share/g/t", "$share/g/t", "$share/g/t"),
        ("$queue/t", "$queue/t", "$queue/t"),
        ("$exclusive/t", "$exclusive/t", "$exclusive/t"),
        ("$delayed/1", None, None),
    ],
)
async def test_topic_of_a_publish(
    mchat: FakeMChat, bare: RawClients, name: str, asked: str | None, delivered: str | None
) -> None:
    client = await bare.connected("c")
    assert await client.ask(raw.publish(name, qos=1)) == raw.puback(1)
    assert [body["topic"] for body in mchat.asked("authz")] == ([] if asked is None else [asked])
    if delivered is not None:
        assert (await mchat.event_of("message.dropped", "c"))["topic"] == delivered
    else:
        assert mchat.events("message.dropped") == []


async def test_delayed_message_comes_later(mchat: FakeMChat, bare: RawClients) -> None:
    client = await bare.connected("c")
    assert await client.ask(raw.subscribe("t", qos=0)) == b"\x90\x03\x00\x01\x00"
    began = time.monotonic()
    assert await client.ask(raw.publish("$delayed/1/t", b"late", 1)) == raw.puback(1)
    assert raw.payload_of(await client.receive()) == b"late"
    assert time.monotonic() - began > 0.9


@pytest.mark.parametrize(
    ("body", "more"),
    [("recorded", set()), ("mchat", {"employee_id", "grants_version", "credential_id", "zone"})],
)
async def test_body_of_a_question(
    start: Callable[..., Any], mchat: FakeMChat, body: str, more: set[str]
) -> None:
    broker, _ = await start(authz_body=body)
    clients = RawClients(broker.tcp_port)
    client = await clients.connected("c", username=None, password=None)
    await client.ask(raw.publish("t", qos=1))
    (asked,) = mchat.asked("authz")
    assert set(asked) == RECORDED_KEYS | more
    assert {type(value) for value in asked.values()} == {str}
    assert all(asked[key] == "" for key in more | {"username", "mountpoint", "cert_common_name"})
    await clients.stop()


async def test_expire_at_ends_the_session(mchat: FakeMChat, bare: RawClients) -> None:
    expires_at = int(time.time()) + 1
    mchat.authn = lambda body: allow(expire_at=expires_at) if body["clientid"] == "c" else allow()
    watcher = await bare.connected("watcher")
    await watcher.ask(raw.subscribe("will"))
    client = await bare.connected("c", will=("will", b"gone", 0, False))
    assert await client.closed()
    assert time.time() >= expires_at
    assert (await mchat.event_of("client.disconnected", "c"))["reason"] == "not_authorized"
    assert await watcher.receive()


async def test_rules_end_with_expire_at(mchat: FakeMChat, start: Callable[..., Any]) -> None:
    """The client is gone at that moment; until it is, its rules grant nothing any more (contract 1.4)."""
    from emqx.laptop.client import Client

    now = [1_000_000.0]
    broker, _ = await start()
    access = broker.broker.access
    access._clock = lambda: now[0]
    acl: list[object] = [{"permission": "allow", "action": "all", "topic": "t"}]
    client = Client("c", "e1", ("127.0.0.1", 1), ("127.0.0.1", 2), "default", 0, True)
    client = client.admitted(acl=acl, expires_at=1_000_010)
    now[0] = 1_000_010.9
    assert await access.allows(client, "publish", "t", 0)
    now[0] = 1_000_011.0
    assert not await access.allows(client, "publish", "t", 0)
    assert mchat.asked("authz") == []


async def test_subscriptions_are_bounded(start: Callable[..., Any]) -> None:
    broker, _ = await start(max_subscriptions=1)
    clients = RawClients(broker.tcp_port)
    client = await clients.connected("c")
    assert await client.ask(raw.subscribe("a")) == GRANTED
    assert await client.ask(raw.subscribe("b")) == REFUSED
    assert await client.ask(raw.subscribe("a")) == GRANTED
    await clients.stop()
