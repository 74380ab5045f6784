"""What the hooks make of bodies, secrets and methods that are not as EMQX sends them (decision 1)."""

import asyncio
import json
from typing import Any

import pytest

from tests.acl_service.serving import BEARER, HOOK_SECRET, Served

GOOD_AUTHZ = {
    "clientid": "alice_pc",
    "username": "alice",
    "topic": "mchat/inbox/alice",
    "action": "subscribe",
    "qos": "1",
    "retain": "false",
}
LARGE = "x" * 65_536

BROKEN: dict[str, bytes] = {
    "empty": b"",
    "no JSON": b"clientid=alice_pc&topic=mchat/inbox/alice&action=subscribe",
    "cut": json.dumps(GOOD_AUTHZ).encode()[:-5],
    "not UTF-8": json.dumps(GOOD_AUTHZ).encode().replace(b"alice", b"\xff\xfe"),
    "a list": b"[]",
    "null": b"null",
    "no client id": json.dumps({**GOOD_AUTHZ, "clientid": None}).encode(),
    "a field is missing": json.dumps({k: v for k, v in GOOD_AUTHZ.items() if k != "topic"}).encode(),
    "a number for a text": json.dumps({**GOOD_AUTHZ, "topic": 7}).encode(),
    "nested": json.dumps({**GOOD_AUTHZ, "topic": {"x": "mchat/inbox/alice"}}).encode(),
    "deep": b'{"clientid":' + b"[" * 60_000,
    "deep where nobody looks": json.dumps(GOOD_AUTHZ).encode()[:-1]
    + b',"x":'
    + b"[" * 30_000
    + b"]" * 30_000
    + b"}",
    "over 64 KiB": json.dumps({**GOOD_AUTHZ, "extra": LARGE}).encode(),
}


async def post(
    served: Served, path: str, content: bytes, headers: dict[str, str] | None = None
) -> tuple[int, Any]:
    sent = {"content-type": "application/json", **BEARER, **(headers or {})}
    response = await served.hooks.post(path, content=content, headers=sent)
    return response.status_code, response.json() if response.content else None


def authn_body(served: Served, **changes: Any) -> dict[str, Any]:
    return {"clientid": "alice_pc", "username": "alice", "password": served.tokens["alice"], **changes}


@pytest.mark.parametrize("name", BROKEN)
async def test_a_broken_question_is_denied_with_200(served: Served, name: str) -> None:
    assert await post(served, "/emqx/authz", json.dumps(GOOD_AUTHZ).encode()) == (200, {"result": "allow"})
    for path in ("/emqx/authz", "/emqx/authn"):
        assert await post(served, path, BROKEN[name]) == (200, {"result": "deny"})
    assert served.service.tally.denied["authz", "body"] == 1


@pytest.mark.parametrize("name", BROKEN)
async def test_a_broken_event_is_refused_for_good(served: Served, name: str) -> None:
    # None of these is an event; the large one is read, and lacks what an event has.
    status, _ = await post(served, "/emqx/events", BROKEN[name])
    assert status == 400


async def test_a_body_of_just_64_kib_is_read(served: Served) -> None:
    body = json.dumps({**GOOD_AUTHZ, "extra": ""}).encode()
    padded = body.replace(b'"extra": ""', b'"extra": "' + b"x" * (65_536 - len(body)) + b'"')
    assert len(padded) == 65_536
    assert await post(served, "/emqx/authz", padded) == (200, {"result": "allow"})
    assert await post(served, "/emqx/authz", padded + b" ") == (200, {"result": "deny"})


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Bearer wrong"},
        {"authorization": ""},
        {"authorization": HOOK_SECRET},
        {"authorization": f"bearer {HOOK_SECRET}"},
        {"authorization": f"Bearer {HOOK_SECRET} "[:-2]},
        {"authorization": f"Basic {HOOK_SECRET}"},
    ],
)
async def test_a_wrong_hook_secret_is_a_deny_and_for_events_401(
    served: Served, headers: dict[str, str]
) -> None:
    good = json.dumps(GOOD_AUTHZ).encode()
    assert await post(served, "/emqx/authz", good) == (200, {"result": "allow"})
    assert await post(served, "/emqx/authz", good, headers) == (200, {"result": "deny"})
    assert await post(served, "/emqx/authn", json.dumps(authn_body(served)).encode(), headers) == (
        200,
        {"result": "deny"},
    )
    event = json.dumps({"event": "client.connected", "clientid": "alice_pc"}).encode()
    assert await post(served, "/emqx/events", event, headers) == (401, None)


async def test_two_authorization_headers_are_none(served: Served) -> None:
    for values in (("Bearer other", BEARER["authorization"]), (BEARER["authorization"], "Bearer other")):
        lines = "".join(f"authorization: {value}\r\n" for value in values)
        assert await raw_authz(served, lines) == {"result": "deny"}
    assert await raw_authz(served, f"authorization: {BEARER['authorization']}\r\n") == {"result": "allow"}


async def raw_authz(served: Served, lines: str) -> Any:
    """Ask over a bare socket: an HTTP library would fold two headers of one name."""
    body = json.dumps(GOOD_AUTHZ)
    head = f"POST /emqx/authz HTTP/1.1\r\nhost: x\r\n{lines}content-length: {len(body)}\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", served.hooks.base_url.port)
    writer.write((head + body).encode())
    await reader.readuntil(b"\r\n\r\n")
    answer = json.loads(await reader.readuntil(b"}"))
    writer.close()
    await writer.wait_closed()
    return answer


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_another_method_is_a_deny_too(served: Served, method: str) -> None:
    for path in ("/emqx/authz", "/emqx/authn"):
        response = await served.hooks.request(method, path, params=GOOD_AUTHZ)
        assert (response.status_code, response.json()) == (200, {"result": "deny"})


@pytest.mark.parametrize(
    ("field", "value"),
    [("qos", "${qos}"), ("retain", "${retain}"), ("employee_id", "${client_attrs.employee_id}")],
)
async def test_a_literal_placeholder_is_unknown_and_not_a_value(
    served: Served, field: str, value: str
) -> None:
    """Decision 4: what is unknown fails an allow's condition on it, and no rule here has one on these."""
    question = {**GOOD_AUTHZ, field: value}
    assert await post(served, "/emqx/authz", json.dumps(question).encode()) == (200, {"result": "allow"})
    publish = {**question, "action": "publish", "topic": "mchat/msg/req/alice_pc/1"}
    expected = "deny" if field == "retain" else "allow"
    assert await post(served, "/emqx/authz", json.dumps(publish).encode()) == (200, {"result": expected})


async def test_an_action_that_is_none_is_denied(served: Served) -> None:
    question = {**GOOD_AUTHZ, "action": "all"}
    assert await post(served, "/emqx/authz", json.dumps(question).encode()) == (200, {"result": "deny"})


async def test_a_fault_of_ours_is_a_deny(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(client_id: str) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr(served.service.memory, "bound", broken)
    assert await post(served, "/emqx/authz", json.dumps(GOOD_AUTHZ).encode()) == (200, {"result": "deny"})
    assert await post(served, "/emqx/authn", json.dumps(authn_body(served)).encode()) == (
        200,
        {"result": "deny"},
    )
    assert served.service.tally.denied["authz", "fault"] == 1


async def test_repeated_calls_are_harmless(served: Served) -> None:
    """EMQX sends a question up to three times when a connection breaks (contract 2.7)."""
    content = json.dumps(authn_body(served)).encode()
    answers = [await post(served, "/emqx/authn", content) for _ in range(3)]
    assert answers[0] == answers[1] == answers[2]
    assert answers[0][1]["result"] == "allow"


async def test_no_secret_is_logged(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    await post(served, "/emqx/authn", json.dumps(authn_body(served, password="hunter2-hunter2")).encode())
    await post(served, "/emqx/authn", b'{"clientid": "x", "password": 5, "username": "hunter2-hunter2"')
    await post(served, "/emqx/authz", b"{}", {"authorization": "Bearer hunter2-hunter2"})
    printed = capsys.readouterr()
    assert "denied" in printed.out + printed.err
    assert "hunter2" not in printed.out + printed.err
