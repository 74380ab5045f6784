"""Every question and event that EMQX 5.8.9 was recorded to send, replayed over a real socket.

The directory and the policy below give each recorded question the verdict that is right for it; the recorded
answers were those of a stub and prove nothing. Answers are checked against contract 1.4 and 2.3.
"""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from directory import credentials, events, registrations, rules
from directory.database import Database
from tests.acl_service.serving import (
    HOOK_SECRET,
    Served,
    activate_profile,
    add_group,
    add_person,
    now_ms,
    serving,
)
from tests.contract.recordings import lines
from tests.directory.company import quick_hash

# Client ids of the recording that may come in, each with the password "ok" of e1.
ADMITTED = {
    *("c-v5", "c-v3", "c-ws", "c-pub", "c-pub2", "c-sub", "c-delay", "c-lwt", "c-lwt2", "c-kick", "c-take"),
    *("c-disc", "c-ka", "acl-1", "exp-1"),
}

# What e1's clients may do with the rules below; everything else that was asked is denied.
ALLOWED = {
    ("publish", "t/pub/0"),
    ("publish", "t/pub/1"),
    ("publish", "t/pub/2"),
    ("publish", "t/cached"),
    ("publish", "t/late"),
    ("publish", "mchat/status/e1"),
    ("subscribe", "t/plain"),
    ("subscribe", "t/+/x"),
    ("subscribe", "t/#"),
    ("subscribe", "t/shared"),
    ("subscribe", "t/queued"),
    ("subscribe", "t/excl"),
    ("subscribe", "t/+"),
    ("subscribe", "t/m1"),
    ("subscribe", "t/m2"),
    ("subscribe", "mchat/group/g1"),
}
# Asked too, and denied for a reason each: `t/pub/r` is retained and no rule grants that; `#` and `$SYS/#` reach
# beyond every grant; `mchat/msg/resp/acl-1/#` is wider than the one filter that is granted; `deny/…` and
# another client's requests are granted to nobody.
DENIED = {
    ("publish", "t/pub/r"),
    ("publish", "deny/x"),
    ("publish", "deny/late"),
    ("publish", "deny/will"),
    ("publish", "mchat/msg/req/other/s1"),
    ("subscribe", "#"),
    ("subscribe", "$SYS/#"),
    ("subscribe", "deny/sub"),
    ("subscribe", "deny/m3"),
    ("subscribe", "mchat/msg/resp/acl-1/#"),
}


@pytest.fixture
async def emqx(database: Database) -> AsyncIterator[Served]:
    await activate_profile(database)
    await add_person(database, "e1")
    await add_group(database, "g1", "e1")
    async with database.change("test", now_ms()) as change:
        await credentials.add_password(change, "e1", quick_hash("ok"))
        for prefix in ("c-", "acl-", "exp-"):
            await registrations.add(change, prefix, "prefix", "e1")
        await rules.add(
            change,
            subject_kind="employee",
            subject_id="e1",
            effect="allow",
            action="all",
            filter="t/#",
            reason="the recording's clients",
        )
    async with serving(database, hook_secrets=f"a-newer-secret-of-the-tests,{HOOK_SECRET}") as served:
        yield served


def recorded(path: str) -> list[dict[str, Any]]:
    return [line for line in lines("hooks.jsonl") if line["path"] == path]


async def replay(served: Served, line: dict[str, Any]) -> httpx.Response:
    """Send a recorded request with its own headers, but for the host, the length and our secret."""
    headers = {
        name: value for name, value in line["headers"].items() if name not in ("host", "content-length")
    }
    assert headers["authorization"] == "Bearer hook-secret"
    headers["authorization"] = f"Bearer {HOOK_SECRET}"
    return await served.hooks.request(line["method"], line["path"], headers=headers, json=line["body"])


async def test_every_recorded_log_in_gets_its_verdict(emqx: Served) -> None:
    allowed = 0
    for line in recorded("/emqx/authn"):
        body = line["body"]
        expected = body["clientid"] in ADMITTED and (body["username"], body["password"]) == ("e1", "ok")
        response = await replay(emqx, line)
        check_authn_answer(response)
        assert (response.json()["result"] == "allow") == expected, (line["scenario"], body["clientid"])
        allowed += expected
    assert allowed >= 0.4 * len(recorded("/emqx/authn"))


async def test_every_recorded_question_gets_its_verdict(emqx: Served) -> None:
    asked, allowed = recorded("/emqx/authz"), 0
    for line in asked:
        question = (line["body"]["action"], line["body"]["topic"])
        assert (question in ALLOWED) != (question in DENIED), f"no verdict is expected for {question}"
        response = await replay(emqx, line)
        check_authz_answer(response)
        assert (response.json()["result"] == "allow") == (question in ALLOWED), (line["scenario"], question)
        allowed += question in ALLOWED
    assert allowed >= 0.4 * len(asked)
    assert {(line["body"]["action"], line["body"]["topic"]) for line in asked} == ALLOWED | DENIED


async def test_what_was_allowed_is_not_behind_a_mountpoint_that_the_policy_does_not_state(
    emqx: Served,
) -> None:
    asked = [
        line for line in recorded("/emqx/authz") if (line["body"]["action"], line["body"]["topic"]) in ALLOWED
    ]
    # Recorded without a mountpoint: the broker then says so, with a key that is there and empty.
    assert {line["body"]["mountpoint"] for line in asked} == {""}
    for line in asked:
        mounted = {**line, "body": {**line["body"], "mountpoint": "u/e1/"}}
        assert (await replay(emqx, mounted)).json() == {"result": "deny"}, line["scenario"]
        unrendered = {**line, "body": {**line["body"], "mountpoint": "${mountpoint}"}}
        assert (await replay(emqx, unrendered)).json() == {"result": "allow"}, line["scenario"]


async def test_every_recorded_event_is_taken_in_and_the_useful_ones_are_stored(
    emqx: Served, database: Database
) -> None:
    sent = recorded("/emqx/events")
    for line in sent:
        response = await replay(emqx, line)
        assert (response.status_code, response.content) == (204, b""), line["scenario"]
    useful = [line["body"] for line in sent if line["body"]["event"] in USEFUL]
    async with database.read() as connection:
        stored = await events.after(connection, 0)
    assert [(row.kind, row.client_id) for row in stored] == [
        (body["event"], body["clientid"]) for body in useful
    ]
    by_kind = {row.kind: row for row in stored}
    assert by_kind.keys() == USEFUL
    for row, body in zip(stored, useful, strict=True):
        assert row.epoch == body.get("connected_at")
        assert row.disconnected_at == body.get("disconnected_at")
        assert row.reason == body.get("reason")
        assert row.topic == body.get("topic")
        assert row.node == body["node"]
        assert row.username == ("" if body["username"] == "undefined" else body["username"])
        # A will has no peer (contract 4.5).
        assert row.peer == (None if body["peername"] == "undefined" else body["peername"])


USEFUL = {
    "client.connected",
    "client.disconnected",
    "session.subscribed",
    "session.unsubscribed",
    "message.publish",
}


async def test_a_recorded_request_with_another_secret_is_refused(emqx: Served) -> None:
    for path in ("/emqx/authn", "/emqx/authz"):
        line = recorded(path)[0]
        response = await emqx.hooks.post(path, json=line["body"], headers=line["headers"] | {"host": "x"})
        assert (response.status_code, response.json()) == (200, {"result": "deny"})
    line = recorded("/emqx/events")[0]
    refused = await emqx.hooks.post("/emqx/events", json=line["body"], headers={"authorization": "Bearer x"})
    assert refused.status_code == 401


def check_authn_answer(response: httpx.Response) -> None:
    """Contract 1.4 and 1.5: what EMQX accepts, to the letter; one bad rule refuses the log-in."""
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    answer = response.json()
    if answer["result"] != "allow":
        assert answer == {"result": "deny"}
        return
    assert answer.keys() <= {"result", "is_superuser", "client_attrs", "expire_at", "acl"}
    assert answer["is_superuser"] is False
    assert answer["client_attrs"].keys() == {
        "employee_id",
        "role",
        "grants_version",
        "credential_id",
        "zone",
        "told",
    }
    assert all(isinstance(value, str) for value in answer["client_attrs"].values())
    assert "tns" not in answer["client_attrs"]
    assert isinstance(answer.get("expire_at", 0), int)
    for rule in answer["acl"]:
        assert rule.keys() <= {"permission", "action", "topic", "qos", "retain"}
        assert rule["permission"] == "allow"
        assert rule["action"] in ("publish", "subscribe")
        assert rule["topic"]
        assert "${" not in rule["topic"]
        if rule["action"] == "subscribe":
            # Contract section 3: only an exact filter, or `eq`, can never be made wider.
            assert rule["topic"].startswith("eq ") or not set(rule["topic"]) & set("+#")
            assert "retain" not in rule
        else:
            assert rule.get("retain") is False or rule["topic"] == "mchat/status/e1"


def check_authz_answer(response: httpx.Response) -> None:
    """Contract 2.3."""
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.json() in ({"result": "allow"}, {"result": "deny"})
