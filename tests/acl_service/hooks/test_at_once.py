"""What the hooks answer without waiting for anything: allows of a fresh memory, and nothing else."""

import json
from typing import Any

import pytest

from acl_service.hooks.front import AUTHN, AUTHZ, EVENTS, Front
from directory import credentials, people
from directory.database import Database
from tests.acl_service.serving import BEARER, Served, now_ms

HEADERS = [(b"host", b"x"), (b"authorization", BEARER["authorization"].encode())]
INBOX = {
    "clientid": "bob_pc",
    "topic": "mchat/inbox/bob",
    "action": "subscribe",
    "qos": "1",
    "retain": "false",
}


@pytest.fixture
async def front(served: Served) -> Front:
    """With bob's client in memory."""
    app = served.service.hooks()
    assert isinstance(app, Front)
    assert await served.authz("bob_pc", "subscribe", "mchat/inbox/bob")
    return app


def log_in(served: Served, **changes: Any) -> dict[str, Any]:
    return {
        "clientid": "bob_pc",
        "username": "bob",
        "password": served.tokens["bob"],
        "peerhost": "::1",
        **changes,
    }


def ask(front: Front, hook: str, body: dict[str, Any] | bytes, headers: Any = HEADERS) -> Any:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = front.at_once(hook.encode(), headers, raw)
    return None if answer is None else json.loads(answer)


async def test_an_allow_is_answered_at_once_and_counted(served: Served, front: Front) -> None:
    tally = served.service.tally
    before = dict(tally.allowed)
    assert ask(front, AUTHZ, INBOX) == {"result": "allow"}
    answer = ask(front, AUTHN, log_in(served))
    assert answer == await served.authn("bob_pc", "bob", served.tokens["bob"], peer="::1", zone="")
    assert answer["client_attrs"]["employee_id"] == "bob"
    assert {hook: tally.allowed[hook] - before[hook] for hook in before} == {"authn": 2, "authz": 1}
    assert served.service.sessions.waiting == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"topic": "mchat/inbox/alice"},
        {"clientid": "nobody_pc"},
        {"clientid": "alice_phone", "topic": "mchat/inbox/alice"},
        {"employee_id": "alice"},
        {"credential_id": "cred_unknown"},
        {"mountpoint": "u/bob/"},
        {"action": "all"},
        {"qos": 1},
    ],
)
async def test_everything_else_of_authz_is_not(served: Served, front: Front, changes: dict[str, Any]) -> None:
    before = (dict(served.service.tally.allowed), dict(served.service.tally.denied))
    assert ask(front, AUTHZ, INBOX | changes) is None
    # The ordinary way counts and tells what is wrong.
    assert (dict(served.service.tally.allowed), dict(served.service.tally.denied)) == before


@pytest.mark.parametrize(
    "changes",
    [
        {"password": "mct_" + "x" * 32},
        {"password": "a password"},
        {"password": ""},
        {"username": "alice"},
        {"clientid": "alice_pc"},
        {"clientid": "bob_never_seen"},
        {"clientid": "bob/pc"},
    ],
)
async def test_everything_else_of_authn_is_not(served: Served, front: Front, changes: dict[str, Any]) -> None:
    assert ask(front, AUTHN, log_in(served, **changes)) is None
    assert served.service.sessions.waiting == 0


async def test_neither_broken_nor_foreign_questions_are(served: Served, front: Front) -> None:
    whole = json.dumps(INBOX).encode()
    assert ask(front, AUTHZ, whole) is not None
    for body in (b"", b"{", whole[:-1], whole[:-1] + b',"clientid":"bob_pc"}', whole + b" " * 70_000):
        assert ask(front, AUTHZ, body) is None
    for headers in ([], [HEADERS[0]], [*HEADERS, HEADERS[1]], [(b"authorization", b"Bearer wrong")]):
        assert ask(front, AUTHZ, INBOX, headers) is None
        assert ask(front, AUTHN, log_in(served), headers) is None
    for path in (EVENTS, "/", "/emqx/authz?", "/emqx/authz/"):
        assert ask(front, path, INBOX) is None


async def test_no_memory_that_is_stale_answers(
    served: Served, front: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ask(front, AUTHZ, INBOX) is not None
    monkeypatch.setattr(served.service.freshness, "_stale", 0.0)
    assert ask(front, AUTHZ, INBOX) is None
    assert ask(front, AUTHN, log_in(served)) is None


@pytest.mark.parametrize("what", ["person", "credential"])
async def test_what_ends_ends_here_too(served: Served, front: Front, database: Database, what: str) -> None:
    answer = ask(front, AUTHN, log_in(served))
    credential_id = answer["client_attrs"]["credential_id"]
    attributes = INBOX | {"employee_id": "bob", "credential_id": credential_id}
    assert ask(front, AUTHZ, attributes) is not None
    async with database.change("test", now_ms()) as change:
        if what == "person":
            await people.set_status(change, "bob", "disabled")
        else:
            await credentials.revoke(change, credential_id)
    await served.service.feed.catch_up()
    # Memory has to read anew, and then it says no.
    for _ in range(2):
        assert ask(front, AUTHZ, attributes) is None
        assert ask(front, AUTHN, log_in(served)) is None
        assert not await served.authz("bob_pc", "subscribe", "mchat/inbox/bob", credential_id=credential_id)
