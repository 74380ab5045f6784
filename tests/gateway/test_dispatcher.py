"""Requests from their topic to their answer: the order of checks, who asks, and what is said of it."""

import json
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from directory import people, registrations
from directory.database import Database
from directory.errors import Unavailable
from gateway.caller import LiveClient
from gateway.envelope import MAX_REQUEST_BYTES
from gateway.exchange import Arrival
from tests.gateway.stage import TERMS, Stage, connect, join, staged


@pytest.fixture
async def stage(database: Database) -> AsyncIterator[Stage]:
    await join(database, "zhang", "li")
    await join(database, "root", role="admin")
    async with staged(database) as running:
        yield running


ORDER = [
    (b"x", 400, "Invalid JSON"),
    (b"null", 400, "no JSON object"),
    (b'{"seq_id":"other"}', 400, "Missing action"),
    (b'{"action":"__proto__","seq_id":"other"}', 400, "seq_id"),
    (b'{"action":"__proto__"}', 401, "no session"),
]


@pytest.mark.parametrize(("payload", "code", "words"), ORDER, ids=[one[2] for one in ORDER])
async def test_a_stranger_is_checked_in_order(stage: Stage, payload: bytes, code: int, words: str) -> None:
    answer = await stage.raw("zhang_new", "s", payload)
    assert (answer.code, answer.seq_id) == (code, "s") and words in answer.message


async def test_a_caller_is_checked_in_order(stage: Stage) -> None:
    unknown = await stage.raw("zhang", "s1", b'{"action":"__proto__"}')
    assert unknown.code == 400 and "Unknown action" in unknown.message
    # Parameters before permission, permission before existence.
    assert (await stage.send("zhang", "department.update", department_id=7)).code == 400
    missing: dict[str, Any] = {"department_id": "nowhere", "updates": {"name": "D"}}
    assert (await stage.send("zhang", "department.update", **missing)).code == 403
    assert (await stage.send("root", "department.update", **missing)).code == 404


@pytest.mark.parametrize(
    "topic",
    ["mchat/msg/req/zhang", "mchat/msg/req/zhang/#", "mchat/msg/req/#/s", "mchat/msg/resp/zhang/s", "x"],
)
async def test_a_request_without_valid_ids_is_counted_and_dropped(stage: Stage, topic: str) -> None:
    arrival = Arrival(topic, b'{"action":"org.tree"}', time.monotonic())
    for reply in (await stage.handle(arrival), stage.dispatcher.refuse(arrival, 503)):
        assert (reply.response_topic, reply.response, reply.deliveries, reply.after) == (None, None, (), None)
    assert stage.dispatcher.metrics.dropped == 2
    assert not stage.dispatcher.metrics.requests


async def test_a_large_request_is_413(stage: Stage) -> None:
    assert (await stage.raw("zhang", "s", b"x" * (1024 * 1024))).code == 413
    padded = b'{"action":"config.server","x":"' + b"y" * (MAX_REQUEST_BYTES - 33) + b'"}'
    assert (await stage.raw("zhang", "s", padded)).code == 0


@pytest.mark.parametrize("service", ["", "acme"])
async def test_the_answer_goes_to_the_clients_own_topic(database: Database, service: str) -> None:
    await join(database, "zhang")
    prefix = f"{service}/" if service else ""
    async with staged(database, terms=replace(TERMS, service=service)) as stage:
        answer = await stage.send("zhang", "config.server", seq="s")
        assert answer.reply.response_topic == f"{prefix}mchat/msg/resp/zhang/s"
        own = f"{prefix}mchat/msg/resp/zhang/elsewhere"
        payload = b'{"action":"config.server"}'
        assert (await stage.raw("zhang", "s", payload, response_topic=own)).reply.response_topic == own
        others = ["mchat/msg/resp/li/s", "mchat/inbox/li", f"{prefix}mchat/msg/resp/zhang/#", "#", ""]
        others += [f"{prefix}mchat/msg/resp/zhang/", f"{prefix}mchat/msg/resp/zhang/s/t"]
        for other in others:
            answer = await stage.raw("zhang", "s", payload, response_topic=other)
            assert answer.reply.response_topic == f"{prefix}mchat/msg/resp/zhang/s", other


async def test_identity_is_never_taken_from_the_payload(stage: Stage) -> None:
    claims: dict[str, Any] = {
        "employee_id": "root",
        "client_id": "root",
        "caller": {"role": "admin"},
        "role": "admin",
    }
    assert (await stage.send("zhang", "department.create", name="D", **claims)).code == 403
    assert (await stage.send("root", "department.create", name="D", **claims)).code == 0


async def test_a_session_that_has_no_row_yet_is_asked_of_the_broker(stage: Stage) -> None:
    assert (await stage.send("zhang_new", "config.server")).code == 401
    stage.broker.clients["zhang_new"] = LiveClient("zhang")
    assert (await stage.send("zhang_new", "config.server")).code == 0
    assert stage.broker.asked == ["zhang_new"] * 2
    # A client with a row is not asked for, nor one that is nobody's.
    assert (await stage.send("zhang", "config.server")).code == 0
    assert (await stage.send("stranger", "config.server")).code == 401
    assert stage.broker.asked == ["zhang_new"] * 2


@pytest.mark.parametrize("how", ["row", "broker"])
async def test_a_session_of_somebody_else_than_the_owner_is_401(
    stage: Stage, database: Database, how: str
) -> None:
    if how == "row":
        await connect(database, li_pc="zhang")
    else:
        stage.broker.clients["li_pc"] = LiveClient("zhang")
    for action in ("config.server", "auth.bind"):
        answer = await stage.send("li_pc", action)
        assert answer.code == 401 and "li_pc" in answer.message
    await connect(database, li_web="li")
    assert (await stage.send("li_web", "auth.bind")).code == 0


async def test_a_client_id_that_changes_hands_is_its_old_owners_no_more(
    stage: Stage, database: Database
) -> None:
    await connect(database, zhang_a_pc="zhang")
    assert (await stage.send("zhang_a_pc", "config.server")).code == 0
    async with database.change("hr", 2_000) as change:
        await people.add(change, name="x", employee_id="zhang_a", force=True)
    await stage.house.confirm(-1)
    for action in ("config.server", "auth.bind"):
        assert (await stage.send("zhang_a_pc", action)).code == 401


async def test_a_registered_client_asks_for_its_person(stage: Stage, database: Database) -> None:
    async with database.change("hr", 2_000) as change:
        await registrations.add(change, "screen-", "prefix", "zhang")
    await connect(database, **{"screen-1": "zhang"})
    assert (await stage.send("screen-1", "auth.bind")).data == {"employee_id": "zhang"}


@pytest.mark.parametrize("status", ["disabled", "deleted"])
@pytest.mark.parametrize("action", ["config.server", "auth.bind"])
async def test_who_is_not_active_is_401_at_once(
    stage: Stage, database: Database, status: str, action: str
) -> None:
    assert (await stage.send("zhang", action)).code == 0
    async with database.change("hr", 2_000) as change:
        await people.set_status(change, "zhang", status)
    await stage.house.confirm(-1)
    answer = await stage.send("zhang", action)
    assert answer.code == 401 and status in answer.message
    assert (await stage.send("li", action)).code == 0


async def test_who_is_not_active_is_told_so_before_anything_else_of_the_request(
    stage: Stage, database: Database
) -> None:
    """actions.md: session, then action, then parameters."""
    requests: list[tuple[str, dict[str, Any], int]] = [
        ("__proto__", {}, 400),
        ("org.tree", {"department_id": 7}, 400),
        ("audit.query", {}, 403),
    ]
    for status in ("disabled", "active"):
        async with database.change("hr", 2_000) as change:
            await people.set_status(change, "zhang", status)
        for action, params, code in requests:
            answer = await stage.send("zhang", action, **params)
            assert answer.code == (401 if status == "disabled" else code)


async def test_who_changes_something_is_refused_by_rows_though_the_feed_is_away(
    stage: Stage, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away() -> None:
        raise Unavailable("the feed is away")

    for status, code in (("disabled", 401), ("active", 0)):
        await stage.house.confirm(-1)
        await stage.house.person("zhang")
        async with database.change("hr", 2_000) as change:
            await people.set_status(change, "zhang", status)
        with monkeypatch.context() as patched:
            assert stage.house._feed is not None
            patched.setattr(stage.house._feed, "catch_up", away)
            answer = await stage.send("zhang", "auth.bind")
        assert answer.code == code


async def test_what_is_counted_and_told_names_the_action_whoever_asks(stage: Stage) -> None:
    await stage.send("stranger", "org.tree")
    await stage.send("stranger", "org.forest")
    assert dict(stage.dispatcher.metrics.requests) == {("org.tree", 401): 1, ("unknown", 401): 1}


async def test_a_right_that_was_given_a_moment_ago_counts_at_once(stage: Stage, database: Database) -> None:
    assert (await stage.send("zhang", "audit.query")).code == 403
    async with database.change("hr", 2_000) as change:
        await people.set_role(change, "zhang", "security")
    # Memory may not have heard of it: a deny is confirmed.
    assert (await stage.send("zhang", "audit.query")).code == 0


@pytest.mark.parametrize(
    ("who", "to", "code"), [("li", "zhang", 401), ("zhang", "li", 403), ("zhang", "gate", 404)]
)
async def test_no_deny_is_said_from_memory_alone(
    stage: Stage, database: Database, who: str, to: str, code: int
) -> None:
    await join(database, "gate", role="service")
    async with database.change("hr", 2) as change:
        await people.set_status(change, "li", "disabled")
    await stage.house.confirm(-1)
    params: dict[str, Any] = {"to_employee_id": to, "content": "x"}
    assert (await stage.send(who, "msg.send_private", **params)).code == code
    async with database.change("hr", 3) as change:
        await people.set_status(change, "li", "active")
        await people.set_role(change, "gate", "agent")
    # Mostly memory has not heard of it by itself yet.
    assert (await stage.send(who, "msg.send_private", **params)).code == 0


async def test_a_fault_is_500_with_a_trace_and_nothing_else(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(employee_id: str) -> None:
        raise RuntimeError("mct_hush")

    monkeypatch.setattr(stage.house, "person", broken)
    with capture_logs() as lines:
        answer = await stage.send("zhang", "config.server")
    assert (answer.code, answer.data) == (500, {"trace_id": "trace1"})
    assert b"hush" not in answer.raw
    assert [line["code"] for line in lines if line["event"] == "request"] == [500]
    assert any(line.get("trace_id") == "trace1" and line["log_level"] == "error" for line in lines)


async def test_a_request_is_one_line_without_content(stage: Stage) -> None:
    with capture_logs() as lines:
        await stage.send("root", "system.notify", seq="s", title="hush", body="hush")
    (line,) = lines
    assert line.pop("latency_ms") >= 0
    assert line == {
        "event": "request",
        "log_level": "info",
        "client_id": "root",
        "seq_id": "s",
        "action": "system.notify",
        "code": 0,
        "trace_id": "trace1",
    }


async def test_requests_are_counted_by_action_and_code(stage: Stage) -> None:
    await stage.send("zhang", "config.server")
    await stage.send("zhang", "department.create", name="D")
    await stage.raw("zhang", "s", b"x")
    for name in ("a", "b"):
        await stage.raw("zhang", "s", json.dumps({"action": name}).encode())
    assert dict(stage.dispatcher.metrics.requests) == {
        ("config.server", 0): 1,
        ("department.create", 403): 1,
        ("unknown", 400): 3,
    }


async def test_what_is_refused_by_the_link_is_answered_without_doing_anything(stage: Stage) -> None:
    payload = json.dumps({"action": "department.create", "name": "D"}).encode()
    arrival = Arrival("mchat/msg/req/root/s", payload, time.monotonic())
    for code in (503, 413):
        reply = stage.dispatcher.refuse(arrival, code)
        assert reply.response_topic == "mchat/msg/resp/root/s" and reply.response is not None
        assert json.loads(reply.response)["code"] == code
    assert await stage.count("department") == 0


async def test_a_database_that_is_away_is_503(stage: Stage, database: Database) -> None:
    async def away() -> None:
        raise Unavailable("postgresql://hidden@host/db is away")

    stage.means.database.read = stage.means.database.write = lambda: _raising(away)  # type: ignore[method-assign, assignment, return-value]
    for action in ("department.list", "auth.bind"):
        answer = await stage.send("zhang", action)
        assert answer.code == 503 and b"hidden" not in answer.raw
    # What needs no database goes on.
    assert (await stage.send("zhang", "config.server")).code == 0


class _Away:
    """A feed that proved itself so many seconds ago, and cannot any more."""

    version = 0

    def __init__(self, seconds: float) -> None:
        self.proved_at = time.monotonic() - seconds

    async def catch_up(self) -> int:
        raise Unavailable("away")


async def test_memory_answers_for_a_bounded_time_without_the_directory(stage: Stage) -> None:
    asked: dict[str, Any] = {"to_employee_id": "li", "content": "x"}
    assert (await stage.send("zhang", "msg.send_private", **asked)).code == 0
    for seconds, code in ((TERMS.grace_s - 30, 0), (TERMS.grace_s, 503)):
        stage.house.follow(_Away(seconds))
        answer = await stage.send("zhang", "msg.send_private", **asked)
        assert (answer.code, bool(answer.delivered)) == (code, code == 0)


class _raising:  # noqa: N801 - a context manager
    def __init__(self, enter: Any) -> None:
        self._enter = enter

    async def __aenter__(self) -> None:
        await self._enter()

    async def __aexit__(self, *_: object) -> None:
        pass
