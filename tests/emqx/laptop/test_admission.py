import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
from starlette.responses import RedirectResponse, Response

from tests.emqx import raw
from tests.emqx.mchat import FakeMChat, allow, answer, deny
from tests.emqx.raw import RawClients

REFUSED = {code: bytes((0x20, 2, 0, code)) for code in range(6)}


def soon() -> int:
    # An hour: the parameters are made when the module is collected, long before its tests run.
    return int(time.time()) + 3_600


@pytest.mark.parametrize(
    ("answered", "code"),
    [
        (allow(), 0),
        (Response(status_code=204), 0),
        (allow(acl=[]), 0),
        (allow(client_attrs={}), 0),
        (allow(expire_at=soon()), 0),
        (answer({"result": "allow"}, content_type="application/json; charset=utf-8"), 0),
        # Measured: return code 5.
        (deny(), 5),
        (answer({"result": "ignore"}), 5),
        (answer({}), 5),
        (answer([]), 5),
        (answer({"result": "yes"}), 5),
        (Response("no json", media_type="application/json"), 5),
        (Response('{"result": "allow"}', media_type="text/plain"), 5),
        (Response('{"result": "allow"}'), 5),
        (RedirectResponse("/emqx/authz", 302), 5),
        *(
            (answer({"result": "allow"}, status), 5)
            for status in (201, 202, 400, 401, 403, 404, 429, 500, 503)
        ),
        (allow(acl=None), 5),
        (allow(acl={}), 5),
        (allow(client_attrs=None), 5),
        (allow(client_attrs=[]), 5),
        (allow(client_attrs={"level": 3}), 5),
        (allow(client_attrs={"level": None}), 5),
        # Measured: return code 4.
        (allow(acl=[{"permission": "allow", "action": "publish", "topic": "t", "qos": 5}]), 4),
        (allow(acl=[{"permission": "allow", "action": "publish"}]), 4),
        (allow(expire_at=None), 4),
        (allow(expire_at=1), 4),
        (allow(expire_at=soon() * 1000), 4),
        (allow(expire_at=str(soon())), 4),
        (allow(expire_at=soon() + 0.5), 4),
        (allow(expire_at=True), 4),
    ],
)
async def test_answers(mchat: FakeMChat, bare: RawClients, answered: Response, code: int) -> None:
    mchat.authn = lambda body: answered
    client = await bare.make()
    assert await client.ask(raw.connect("c")) == REFUSED[code]
    assert len(mchat.asked("authn")) == 1
    told = await mchat.event_of("client.connack", "c")
    assert told["reason_code"] == {0: "success", 4: "bad_username_or_password", 5: "not_authorized"}[code]
    if code:
        assert await client.closed()
        assert mchat.events("client.connected", "client.disconnected") == []


async def test_no_answer_in_time(start: Callable[..., Any], mchat: FakeMChat) -> None:
    broker, _ = await start(authn_timeout=0.2)
    clients = RawClients(broker.tcp_port)
    mchat.hold("/emqx/authn")
    assert await (await clients.make()).ask(raw.connect()) == REFUSED[5]
    assert len(mchat.asked("authn")) == 1
    mchat.release()
    await clients.connected()
    await clients.stop()


async def test_connection_that_breaks_is_tried_thrice(start: Callable[..., Any]) -> None:
    calls = 0

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal calls
        calls += 1
        await reader.read(10)
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        broker, _ = await start(hooks_url=f"http://127.0.0.1:{port}", events=())
        clients = RawClients(broker.tcp_port)
        assert await (await clients.make()).ask(raw.connect()) == REFUSED[5]
        assert calls == 3
        await clients.stop()


async def test_nobody_listens(start: Callable[..., Any], free_port: int) -> None:
    broker, _ = await start(hooks_url=f"http://127.0.0.1:{free_port}", events=())
    clients = RawClients(broker.tcp_port)
    assert await (await clients.make()).ask(raw.connect()) == REFUSED[5]
    await clients.stop()


@pytest.mark.parametrize(
    "names",
    [{"client_id": b"\xff"}, {"username": b"\xfe"}, {"client_id": b"\xed\xa0\x80"}, {"password": b"\xff"}],
)
async def test_not_utf8_is_refused_without_a_call(
    mchat: FakeMChat, bare: RawClients, names: dict[str, Any]
) -> None:
    client = await bare.make()
    assert await client.ask(raw.connect(**names)) == REFUSED[5]
    assert mchat.asked("authn") == []


async def test_empty_client_id_gets_one(mchat: FakeMChat, bare: RawClients) -> None:
    await bare.connected("", clean=True)
    await bare.connected("", clean=True)
    first, second = (body["clientid"] for body in mchat.asked("authn"))
    assert len(first) == len(second) == 22
    assert first != second
    assert (await mchat.event_of("client.connected", first))["clean_start"] is True


async def test_empty_client_id_cannot_be_persistent(mchat: FakeMChat, bare: RawClients) -> None:
    client = await bare.make()
    assert await client.ask(raw.connect("", clean=False)) == REFUSED[2]
    assert await client.closed()
    assert mchat.requests == []


async def test_attributes_are_kept_and_told(mchat: FakeMChat, bare: RawClients) -> None:
    attributes = {
        "employee_id": "emp_1",
        "role": "employee",
        "grants_version": "7",
        "zone": "desk",
        "-x": "no",
    }
    mchat.authn = lambda body: allow(client_attrs=attributes)
    client = await bare.connected("c")
    assert await client.ask(raw.publish("t", qos=1)) == raw.puback(1)
    del attributes["-x"]
    assert (await mchat.event_of("client.connected", "c"))["client_attrs"] == attributes
    (question,) = mchat.asked("authz")
    asked = {name: question[name] for name in ("employee_id", "grants_version", "credential_id", "zone")}
    assert asked == {"employee_id": "emp_1", "grants_version": "7", "credential_id": "", "zone": "desk"}


@pytest.mark.parametrize(
    ("said", "is_superuser"),
    [
        (True, True),
        ("true", True),
        ("1", True),
        (1, True),
        (2, True),
        (False, False),
        (0, False),
        ("no", False),
    ],
)
async def test_superuser_is_not_asked_about(
    mchat: FakeMChat, bare: RawClients, said: object, is_superuser: bool
) -> None:
    mchat.authn = lambda body: allow(is_superuser=said)
    client = await bare.connected("c")
    assert await client.ask(raw.publish("t", qos=1)) == raw.puback(1)
    assert len(mchat.asked("authz")) == (not is_superuser)


async def test_refused_client_touches_nobody(mchat: FakeMChat, bare: RawClients) -> None:
    """Neither a session nor a connection of the same id, and its will is never published."""
    victim = await bare.connected("victim", clean=False)
    watcher = await bare.connected("watcher")
    await watcher.ask(raw.subscribe("will"))
    await victim.ask(raw.subscribe("t"))
    mchat.authn = lambda body: deny()
    attacker = await bare.make()
    for clean in (True, False):
        attacker = await bare.make()
        attack = raw.connect("victim", clean=clean, will=("will", b"boo", 1, False))
        assert await attacker.ask(attack) == REFUSED[5]
        assert await attacker.closed()
    assert await victim.silent()
    watcher.send(raw.publish("t", b"for the victim"))
    assert raw.payload_of(await victim.receive()) == b"for the victim"
    assert await watcher.silent()


async def test_proxy_of_the_environment_is_not_used(
    mchat: FakeMChat, start: Callable[..., Any], free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port}")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    broker, _ = await start()
    clients = RawClients(broker.tcp_port)
    await clients.connected("c")
    await clients.stop()
