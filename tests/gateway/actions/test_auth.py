"""auth.bind and auth.challenge, and what a sensitive action needs."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from directory import credentials, departments, people, sessions
from directory.database import Database
from directory.participants import Participant
from directory.secret import new_token, token_digest
from gateway.caller import LiveClient
from gateway.terms import Terms
from tests.directory.company import quick_hash
from tests.gateway.stage import TERMS, Stage, connect, join, staged


@pytest.fixture
async def stage(database: Database) -> AsyncIterator[Stage]:
    await join(database, "root", "boss", role="admin")
    await join(database, "zhang")
    async with database.change("hr", 1) as change:
        for one in ("d", "e"):
            await departments.add(change, name=one, department_id=one)
    async with staged(database) as running:
        yield running


async def _row(stage: Stage, client_id: str) -> sessions.SessionRow | None:
    async with stage.database.read() as connection:
        return (await sessions.of_clients(connection, [client_id])).get(client_id)


async def test_a_client_says_hello_and_what_it_is(stage: Stage) -> None:
    for params in ({}, {"employee_id": "zhang"}, {"device_info": "a phone"}, {"device_info": {"os": "仪"}}):
        answer = await stage.send("zhang", "auth.bind", **params)
        assert (answer.code, answer.data) == (0, {"employee_id": "zhang"})
    row = await _row(stage, "zhang")
    assert row is not None and row.device_info == '{"os":"仪"}'


async def test_a_client_is_nobody_else_by_saying_so(stage: Stage) -> None:
    answer = await stage.send("zhang", "auth.bind", employee_id="root", device_info="x")
    assert (answer.code, answer.data) == (403, {}) and "zhang" in answer.message
    row = await _row(stage, "zhang")
    assert row is not None and row.employee_id == "zhang" and row.device_info == ""
    assert (await stage.send("zhang", "department.create", name="D")).code == 403


async def test_a_missing_session_is_repaired_and_never_newer_than_what_hooks_write(stage: Stage) -> None:
    stage.broker.clients["zhang_web"] = LiveClient("zhang", "cred_1", 7)
    assert (await stage.send("zhang_web", "auth.bind", device_info="x")).code == 0
    row = await _row(stage, "zhang_web")
    assert row is not None
    assert (row.employee_id, row.credential_id, row.grants_version) == ("zhang", "cred_1", 7)
    assert stage.broker.asked == ["zhang_web"] and stage.means.callers.heard("zhang_web") is None
    assert row.device_info == '"x"'
    # What the answered connect knows comes late, and counts.
    await connect(stage.database, zhang_web="zhang")
    async with stage.database.write() as connection:
        late = sessions.SessionRow(client_id="zhang_web", employee_id="zhang", grants_version=9, updated_at=2)
        await sessions.store(connection, [late])
    row = await _row(stage, "zhang_web")
    assert row is not None and row.grants_version == 9 and row.device_info == '"x"'


BINDS = [
    ({"employee_id": 7}, 400),
    ({"employee_id": "#"}, 400),
    ({"device_info": 7}, 400),
    ({"device_info": ["x"]}, 400),
    ({"device_info": "x" * 5_000}, 413),
]


@pytest.mark.parametrize(("params", "code"), BINDS, ids=[str(number) for number in range(len(BINDS))])
async def test_a_wrong_bind_is_refused(stage: Stage, params: dict[str, Any], code: int) -> None:
    assert (await stage.send("zhang", "auth.bind", **params)).code == code


async def test_controls_in_device_info_are_kept_harmless(stage: Stage) -> None:
    assert (await stage.send("zhang", "auth.bind", device_info={"a\x01": "\x1b[31m"})).code == 0
    row = await _row(stage, "zhang")
    assert row is not None and row.device_info.isprintable()


async def test_a_sensitive_action_needs_a_challenge_of_its_own(stage: Stage) -> None:
    proof = await stage.challenge("root", "department.delete", "d")
    wrong: list[tuple[str, dict[str, Any]]] = [
        ("root", {}),
        ("root", {"challenge_id": proof["challenge_id"]}),
        ("root", {"token": proof["token"]}),
        ("root", proof | {"token": "mcc_" + "A" * 32}),
        ("root", proof | {"challenge_id": "ch_none"}),
        ("boss", proof),
        ("root", await stage.challenge("root", "department.delete", "e")),
        ("root", await stage.challenge("root", "employee.delete", "d"))
        if "employee.delete" in _names()
        else ("root", {}),
    ]
    for client_id, given in wrong:
        refused = await stage.send(client_id, "department.delete", department_id="d", **given)
        assert (refused.code, refused.data) == (403, {"challenge_required": True})
    assert await stage.count("department") == 2
    assert (await stage.send("root", "department.delete", department_id="d", **proof)).code == 0
    # Spent.
    async with stage.database.change("hr", 1) as change:
        await departments.add(change, name="d", department_id="d")
    again = await stage.send("root", "department.delete", department_id="d", **proof)
    assert (again.code, again.data) == (403, {"challenge_required": True})


def _names() -> set[str]:
    from gateway.router import ROUTER

    return set(ROUTER.names())


async def test_a_challenge_is_for_its_client_and_its_time(stage: Stage) -> None:
    await connect(stage.database, root_phone="root")
    proof = await stage.challenge("root", "department.delete", "d")
    assert (await stage.send("root_phone", "department.delete", department_id="d", **proof)).code == 403
    stage.clock[0] += 300_000
    assert (await stage.send("root", "department.delete", department_id="d", **proof)).code == 403
    stage.clock[0] -= 1
    assert (await stage.send("root", "department.delete", department_id="d", **proof)).code == 0


async def test_an_action_about_nothing_can_be_sensitive_too(database: Database, stage: Stage) -> None:
    terms = replace(TERMS, sensitive=frozenset({"system.notify", "employee.create"}))
    asked: dict[str, dict[str, Any]] = {
        "system.notify": {"title": "T", "body": "B"},
        "employee.create": {"name": "New"},
    }
    async with staged(database, terms=terms) as careful:
        for action, params in asked.items():
            of_something = await careful.challenge("root", action, "d")
            refused = await careful.send("root", action, **params, **of_something)
            assert (refused.code, refused.data) == (403, {"challenge_required": True})
            proof = await careful.challenge("root", action, "")
            assert (await careful.send("root", action, **params, **proof)).code == 0


@pytest.mark.parametrize(("change", "code"), [("role", 403), ("status", 401)])
async def test_who_may_not_any_more_gets_no_challenge_whatever_memory_says(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, change: str, code: int
) -> None:
    person = await stage.house.person("boss")

    async def remembered(employee_id: str) -> Participant | None:
        return person

    monkeypatch.setattr(stage.house, "person", remembered)
    asked = {"for_action": "department.delete", "target": "d"}
    assert (await stage.send("boss", "auth.challenge", **asked)).code == 0
    async with stage.database.change("hr", 2) as written:
        if change == "role":
            await people.set_role(written, "boss", "employee")
        else:
            await people.set_status(written, "boss", "disabled")
    assert (await stage.send("boss", "auth.challenge", **asked)).code == code
    assert await stage.count("challenge") == 1


async def test_of_two_actions_with_one_challenge_one_is_done(stage: Stage) -> None:
    proof = await stage.challenge("root", "department.delete", "d")
    ends = await asyncio.gather(
        *(stage.send("root", "department.delete", department_id="d", **proof) for _ in range(2))
    )
    assert sorted(one.code for one in ends) == [0, 403]


async def test_a_challenge_is_made_anew_each_time_and_stored_as_a_digest(stage: Stage) -> None:
    first = await stage.send("root", "auth.challenge", seq="s", for_action="department.delete", target="d")
    assert first.data["challenge_id"].startswith("ch_") and first.data["token"].startswith("mcc_")
    assert first.data["expires_at"] == "2027-01-15T08:05:00.000Z"
    second = await stage.send("root", "auth.challenge", seq="s", for_action="department.delete", target="d")
    assert second.data["token"] != first.data["token"]
    assert await stage.count("request") == 0
    from directory import schema

    async with stage.database.read() as connection:
        for table in (schema.challenge, schema.audit_log):
            assert first.data["token"] not in str((await connection.execute(table.select())).all())
    row = (await stage.audited())[0]
    assert (row.action, row.target, row.client_id) == ("auth.challenge", "d", "root")


async def test_who_may_not_do_an_action_gets_no_challenge_for_it(stage: Stage) -> None:
    refused = await stage.send("zhang", "auth.challenge", for_action="department.delete", target="d")
    assert refused.code == 403 and await stage.count("challenge") == 0
    for params in (
        {"for_action": "org.tree", "target": "d"},
        {"for_action": "__proto__", "target": "d"},
        {"for_action": "department.delete"},
        {"for_action": "department.delete", "target": "#"},
        {"for_action": 7, "target": "d"},
        {"target": "d"},
    ):
        assert (await stage.send("root", "auth.challenge", **params)).code == 400


@pytest.fixture
async def proved(database: Database) -> AsyncIterator[tuple[Stage, str]]:
    """A gateway where admins prove themselves again, and the token of one."""
    await join(database, "root", "boss", role="admin")
    await join(database, "zhang")
    token = new_token()
    async with database.change("hr", 1) as change:
        await credentials.add_token(change, "root", token_digest(token))
        await credentials.add_token(change, "boss", token_digest(new_token()))
        await credentials.add_password(change, "boss", quick_hash("correct horse"))
    terms = Terms(version="x")
    assert terms.challenge_proof == {"admin", "security"}
    async with staged(database, terms=replace(terms, sensitive=TERMS.sensitive | {"auth.bind"})) as running:
        yield running, token


async def test_a_wrong_password_is_tried_once_whatever_else_changes(
    proved: tuple[Stage, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stage, token = proved
    tries, proves = list[str](), stage.means.proofs.proves

    async def meanwhile(employee_id: str, secret: str) -> bool:
        tries.append(secret)
        await join(stage.database, f"new{len(tries)}")  # Memory has something to hear of.
        return await proves(employee_id, secret)

    monkeypatch.setattr(stage.means.proofs, "proves", meanwhile)
    asked = {"for_action": "department.delete", "target": "d"}
    assert (await stage.send("root", "auth.challenge", password="wrong", **asked)).code == 403
    assert tries == ["wrong"]
    assert (await stage.send("root", "auth.challenge", password=token, **asked)).code == 0


async def test_admins_prove_themselves_again(proved: tuple[Stage, str]) -> None:
    stage, token = proved

    async def ask(client_id: str, **params: str) -> int:
        asked = {"for_action": "department.delete", "target": "d"} | params
        return (await stage.send(client_id, "auth.challenge", **asked)).code

    assert await ask("root") == 403
    assert await ask("root", password="mct_" + "A" * 32) == 403
    assert await ask("boss", password=token) == 403  # Another's.
    assert await stage.count("challenge") == 0
    assert await ask("root", password=token) == 0
    assert await ask("boss", password="wrong horse") == 403
    assert await ask("boss", password="correct horse") == 0
    # Others need no proof for what they may do.
    assert await ask("zhang", for_action="auth.bind") == 0


async def test_who_became_admin_just_now_proves_itself_too(
    proved: tuple[Stage, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stage, _ = proved
    token, find = new_token(), stage.house.person
    before = await find("zhang")

    async def remembered(employee_id: str) -> Participant | None:
        return before if employee_id == "zhang" else await find(employee_id)

    async with stage.database.change("hr", 2) as change:
        await credentials.add_token(change, "zhang", token_digest(token))
        await people.set_role(change, "zhang", "admin")
    # Memory has not heard of it.
    monkeypatch.setattr(stage.house, "person", remembered)
    asked = {"for_action": "employee.update", "target": "root"}
    for password in ({}, {"password": token}):
        refused = await stage.send("zhang", "auth.challenge", **asked, **password)
        assert (refused.code, refused.data) == (403, {"password_required": True})
    assert await stage.count("challenge") == 0
    monkeypatch.undo()
    assert (await stage.send("zhang", "auth.challenge", **asked, password=token)).code == 0


async def test_guessing_ends_after_a_few_tries(proved: tuple[Stage, str]) -> None:
    stage, token = proved
    asked = {"for_action": "department.delete", "target": "d"}
    codes = [
        (await stage.send("root", "auth.challenge", password=f"guess {n}", **asked)).code for n in range(7)
    ]
    assert codes == [403] * 5 + [429] * 2
    locked = await stage.send("root", "auth.challenge", password=token, **asked)
    assert (locked.code, locked.data) == (429, {"retry_after_ms": 60_000})
    assert (await stage.send("boss", "auth.challenge", password="correct horse", **asked)).code == 0
    stage.clock[0] += 60_000
    assert (await stage.send("root", "auth.challenge", password=token, **asked)).code == 0


async def test_an_ended_credential_proves_nothing(proved: tuple[Stage, str]) -> None:
    stage, token = proved
    async with stage.database.change("hr", 2) as change:
        for one in await credentials.list_(change.connection, "root"):
            await credentials.revoke(change, one.credential_id)
    asked = {"for_action": "department.delete", "target": "d", "password": token}
    assert (await stage.send("root", "auth.challenge", **asked)).code == 403
