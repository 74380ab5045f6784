"""Who may come in, asked over a real socket."""

import asyncio
import threading
from typing import Any

import pytest
from sqlalchemy import event, update

from acl_service.identity import passwords
from directory import credentials, people, registrations, rules, schema, sessions
from directory.database import Database
from directory.errors import Conflict
from directory.secret import hash_password, new_token, token_digest, verify_password
from tests.acl_service.serving import Served, activate_profile, add_person, now_ms, serving, until

PASSWORD = "correct horse battery"


async def allowed(served: Served, client_id: str, username: str, secret: str, **more: Any) -> bool:
    return bool((await served.authn(client_id, username, secret, **more))["result"] == "allow")


async def give_password(database: Database, employee_id: str, **values: Any) -> str:
    async with database.change("test", now_ms()) as change:
        return await credentials.add_password(change, employee_id, hash_password(PASSWORD), **values)


async def test_the_answer_says_who_it_is_and_what_needs_no_question(served: Served) -> None:
    answer = await served.authn("alice_pc", "alice", served.tokens["alice"], zone="office")
    attributes = answer["client_attrs"]
    assert attributes["employee_id"] == "alice"
    assert attributes["role"] == "employee"
    assert attributes["zone"] == "office"
    assert attributes["grants_version"] == str(served.service.feed.version)
    assert "expire_at" not in answer
    rules_given = {(rule["action"], rule["topic"]) for rule in answer["acl"]}
    assert ("subscribe", "eq mchat/msg/resp/alice_pc/+") in rules_given
    assert ("publish", "mchat/msg/req/alice_pc/+") in rules_given
    assert not any("group" in topic for _, topic in rules_given), (
        "groups change during a session (decision 2)"
    )


async def test_without_connect_rules_everything_is_asked(database: Database, company: dict[str, str]) -> None:
    async with serving(database, connect_rules=False) as served:
        answer = await served.authn("alice_pc", "alice", company["alice"])
        assert answer["result"] == "allow"
        assert "acl" not in answer


@pytest.mark.parametrize("client_id", ["alice", "alice_pc", "alice_pc_1", "alice_"])
async def test_a_person_has_the_client_ids_that_begin_with_the_own_id(served: Served, client_id: str) -> None:
    assert await allowed(served, client_id, "alice", served.tokens["alice"])
    assert not await allowed(served, client_id, "bob", served.tokens["bob"])


@pytest.mark.parametrize(
    "client_id", ["alicepc", "alice-pc", "alice.pc", "Alice_pc", "bob_pc", "pc", "", "alice/pc", "$alice"]
)
async def test_and_no_other(served: Served, client_id: str) -> None:
    assert not await allowed(served, client_id, "alice", served.tokens["alice"])


async def test_the_longest_employee_id_owns_a_client_id(served: Served, database: Database) -> None:
    token = await add_person(database, "alice_b")
    assert await allowed(served, "alice_b_pc", "alice_b", token)
    assert not await allowed(served, "alice_b_pc", "alice", served.tokens["alice"])
    assert await allowed(served, "alice_c_pc", "alice", served.tokens["alice"])


async def test_a_new_person_whose_id_takes_over_a_known_client_id_is_refused_or_blocks_it(
    served: Served, database: Database
) -> None:
    assert await allowed(served, "alice_b_pc", "alice", served.tokens["alice"])
    async with asyncio.timeout(5):
        while not await _known(database, "alice_b_pc"):
            await asyncio.sleep(0.005)
    with pytest.raises(Conflict, match="alice_b_pc"):
        await add_person(database, "alice_b")
    token = await add_person(database, "alice_b", force=True)
    await _until_denied(served, "alice_b_pc", "alice", served.tokens["alice"])
    assert not await allowed(served, "alice_b_pc", "alice_b", token), "blocked until the old session is gone"
    assert await allowed(served, "alice_b_phone", "alice_b", token)


async def test_devices_come_in_by_registration(served: Served, database: Database) -> None:
    token = served.tokens["carol"]
    assert not await allowed(served, "dev-0001", "carol", token)
    async with database.change("test", now_ms()) as change:
        await registrations.add(change, "dev-", "prefix", "carol")
        await registrations.add(change, "客户端-1", "exact", "carol")
    assert await allowed(served, "dev-0001", "carol", token)
    assert await allowed(served, "客户端-1", "carol", token)
    assert not await allowed(served, "dev-0001", "alice", served.tokens["alice"])
    async with database.change("test", now_ms()) as change:
        await registrations.remove(change, "dev-")
    await _until_denied(served, "dev-0001", "carol", token)
    assert await allowed(served, "客户端-1", "carol", token)


async def test_a_password_logs_in_and_a_wrong_one_does_not(served: Served, database: Database) -> None:
    await give_password(database, "alice")
    assert await allowed(served, "alice_pc", "alice", PASSWORD)
    assert not await allowed(served, "alice_pc", "alice", "another horse")
    assert not await allowed(served, "alice_pc", "alice", "")
    assert not await allowed(served, "alice_pc", "alice", "x" * 1025)
    assert await allowed(served, "alice_pc", "alice", PASSWORD)


async def test_a_token_of_somebody_else_or_of_nobody_does_not(served: Served) -> None:
    assert await allowed(served, "alice_pc", "alice", served.tokens["alice"])
    assert not await allowed(served, "alice_pc", "alice", served.tokens["bob"])
    assert not await allowed(served, "alice_pc", "alice", new_token())
    assert not await allowed(served, "alice_pc", "nobody", served.tokens["alice"])
    assert not await allowed(served, "alice_pc", "", served.tokens["alice"])


async def test_a_disabled_person_does_not(served: Served, database: Database) -> None:
    async with database.change("test", now_ms()) as change:
        await people.set_status(change, "alice", "disabled")
    await _until_denied(served, "alice_pc", "alice", served.tokens["alice"])
    async with database.change("test", now_ms()) as change:
        await people.set_status(change, "alice", "active")
    assert await allowed(served, "alice_pc", "alice", served.tokens["alice"])


async def test_a_revoked_credential_does_not_and_another_of_the_same_person_does(
    served: Served, database: Database
) -> None:
    second = new_token()
    async with database.change("test", now_ms()) as change:
        credential_id = await credentials.add_token(change, "alice", token_digest(second))
    assert await allowed(served, "alice_pc", "alice", second)
    async with database.change("test", now_ms()) as change:
        await credentials.revoke(change, credential_id)
    await _until_denied(served, "alice_pc", "alice", second)
    assert await allowed(served, "alice_pc", "alice", served.tokens["alice"])


async def test_an_expiring_credential_ends_the_session_and_an_expired_one_is_refused(
    served: Served, database: Database
) -> None:
    ends, over = new_token(), new_token()
    ends_at = now_ms() + 3_600_000
    async with database.change("test", now_ms()) as change:
        await credentials.add_token(change, "alice", token_digest(ends), expires_at=ends_at)
        await credentials.add_token(change, "alice", token_digest(over), expires_at=now_ms() + 1)
    answer = await served.authn("alice_pc", "alice", ends)
    assert answer["result"] == "allow"
    assert answer["expire_at"] == ends_at // 1000
    assert not await allowed(served, "alice_pc", "alice", over)


async def test_a_credential_made_a_moment_ago_works_at_once(served: Served, database: Database) -> None:
    for number in range(20):
        name = f"new{number}"
        assert not await allowed(served, f"{name}_pc", name, new_token())
        token = await add_person(database, name)
        assert await allowed(served, f"{name}_pc", name, token), "a deny is confirmed (decision 6)"


async def test_wrong_passwords_lock_the_pair_and_not_the_victim_elsewhere(
    database: Database, company: dict[str, str]
) -> None:
    await give_password(database, "alice")
    async with serving(database, lockout_pair=3) as served:
        for number in range(3):
            assert not await allowed(served, "alice_pc", "alice", f"guess {number} guess", peer="10.6.6.6")
        assert not await allowed(served, "alice_pc", "alice", PASSWORD, peer="10.6.6.6"), "locked"
        assert await allowed(served, "alice_pc", "alice", PASSWORD, peer="10.0.0.1")
        assert await allowed(served, "alice_pc", "alice", company["alice"], peer="10.6.6.6"), (
            "tokens never lock"
        )
        assert served.service.tally.denied["authn", "lockout"] == 1


async def test_a_full_password_pool_denies_at_once(database: Database, company: dict[str, str]) -> None:
    await give_password(database, "alice")
    async with serving(database, password_threads=1, password_waiting=1, lockout_peer=10_000) as served:
        answers = await asyncio.gather(
            *(allowed(served, "bob_pc", f"n{n}", "guess guess") for n in range(30))
        )
        assert not any(answers)
        assert served.service.tally.denied["authn", "overloaded"] > 0
        assert await allowed(served, "alice_pc", "alice", company["alice"])
        assert await allowed(served, "alice_pc", "alice", PASSWORD)


async def test_the_realm_of_a_user_name_is_this_service_or_none(database: Database) -> None:
    await activate_profile(database)
    token = await add_person(database, "alice")
    async with serving(database, service="acme") as served:
        answer = await served.authn("alice_pc", "alice@acme", token)
        assert answer["result"] == "allow"
        assert all(rule["topic"].removeprefix("eq ").startswith("acme/mchat/") for rule in answer["acl"])
        assert await allowed(served, "alice_pc", "alice", token)
        assert not await allowed(served, "alice_pc", "alice@other", token)
        assert await served.authz("alice_pc", "subscribe", "acme/mchat/inbox/alice")
        assert not await served.authz("alice_pc", "subscribe", "mchat/inbox/alice")


async def test_without_a_policy_nobody_comes_in(database: Database) -> None:
    token = await add_person(database, "alice")
    async with serving(database) as served:
        assert not await allowed(served, "alice_pc", "alice", token)
        await activate_profile(database)
        assert await allowed(served, "alice_pc", "alice", token)


async def test_an_exception_that_nobody_can_read_denies_its_person_everything(
    served: Served, database: Database
) -> None:
    async with database.change("test", now_ms()) as change:
        rule_id = await rules.add(
            change,
            subject_kind="employee",
            subject_id="alice",
            effect="deny",
            action="publish",
            filter="a/b",
            reason="to be broken",
        )
    async with database.write() as connection:
        await connection.execute(
            update(schema.acl_rule).where(schema.acl_rule.c.rule_id == rule_id).values(filter="a/#/b")
        )
    async with serving(database) as fresh:
        assert not await allowed(fresh, "alice_pc", "alice", served.tokens["alice"])
        assert not await fresh.authz("alice_pc", "subscribe", "mchat/inbox/alice")
        assert await allowed(fresh, "bob_pc", "bob", served.tokens["bob"])


async def test_a_cold_start_of_many_clients_reads_few_snapshots(database: Database) -> None:
    await activate_profile(database)
    async with database.change("test", now_ms()) as change:
        token = new_token()
        for number in range(300):
            await people.add(change, name="n", employee_id=f"p{number}")
        await credentials.add_token(change, "p0", token_digest(token))
    async with serving(database) as served:
        answers = await asyncio.gather(
            *(served.authz(f"p{number}_pc", "subscribe", f"mchat/inbox/p{number}") for number in range(300))
        )
        assert all(answers)
        assert served.service.memory.rounds <= 60


async def _known(database: Database, client_id: str) -> bool:
    async with database.read() as connection:
        return client_id in await sessions.of_clients(connection, [client_id])


async def _until_denied(served: Served, client_id: str, username: str, secret: str) -> None:
    """Allows may come from memory for as long as the feed takes: two seconds at the very most (decision 7)."""
    async with asyncio.timeout(2):
        while await allowed(served, client_id, username, secret):
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("what", ["revoked", "disabled", "demoted", "blocked"])
async def test_what_is_revoked_while_a_password_is_hashed_counts(
    database: Database, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An allow that overtook its revocation, stamped with a newer version, would never be ended (decision 8)."""
    await activate_profile(database)
    await add_person(database, "root", role="admin")
    await add_person(database, "alice", role="admin")
    credential_id = await give_password(database, "alice")
    hashing, go_on = threading.Event(), threading.Event()
    verify = verify_password

    def slow(password: str, stored: str) -> bool:
        hashing.set()
        assert go_on.wait(5)
        return verify(password, stored)

    monkeypatch.setattr(passwords, "verify_password", slow)
    async with serving(database) as served:
        asked = asyncio.create_task(served.authn("alice_pc", "alice", PASSWORD))
        while not hashing.is_set():
            await asyncio.sleep(0.001)
        async with database.change("test", now_ms()) as change:
            if what == "revoked":
                await credentials.revoke(change, credential_id)
            elif what == "disabled":
                await people.set_status(change, "alice", "disabled")
            elif what == "demoted":
                await people.set_role(change, "alice", "employee")
            else:
                change.block("alice_pc", "alice", "alice")
        await served.service.feed.catch_up()
        go_on.set()
        answer = await asked
        if what == "demoted":
            assert answer["client_attrs"]["role"] == "employee"
            assert "eq mchat/status/+" not in {rule["topic"] for rule in answer["acl"]}
        else:
            assert answer == {"result": "deny"}


@pytest.mark.timed
async def test_one_guesser_does_not_stand_in_everybodys_way(
    database: Database, company: dict[str, str]
) -> None:
    await give_password(database, "alice")
    async with serving(database) as served:
        stop = asyncio.Event()

        async def guess(number: int) -> None:
            while not stop.is_set():
                await served.authn("x_pc", f"nobody{number}", f"guess {number} guess", peer="10.6.6.6")

        guessing = [asyncio.create_task(guess(number)) for number in range(10)]
        answers = [await allowed(served, "alice_pc", "alice", PASSWORD, peer="10.0.0.1") for _ in range(3)]
        stop.set()
        await asyncio.gather(*guessing)
        assert all(answers)


async def test_the_brokers_retries_of_a_wrong_password_lock_nobody(
    database: Database, company: dict[str, str]
) -> None:
    await give_password(database, "alice")
    async with serving(database) as served:
        for guess in ("first guess", "second guess"):
            for _ in range(3):
                assert not await allowed(served, "alice_pc", "alice", guess)
        assert await allowed(served, "alice_pc", "alice", PASSWORD)
        for number in range(5):
            assert not await allowed(served, "alice_pc", "alice", f"guess number {number}")
        assert not await allowed(served, "alice_pc", "alice", PASSWORD), "five different guesses lock"


async def test_in_steady_state_a_log_in_reads_nothing(served: Served, database: Database) -> None:
    """Counted at the database's own driver; the session row is written behind."""
    assert await allowed(served, "bob_pc", "bob", served.tokens["bob"])
    await until(lambda: served.service.sessions.waiting == 0)
    read: list[str] = []

    def executed(_: Any, __: Any, statement: str, *___: Any) -> None:
        if statement.lstrip().upper().startswith("SELECT"):
            read.append(statement)

    engine = database._engine.sync_engine
    event.listen(engine, "before_cursor_execute", executed)
    try:
        for _ in range(20):
            assert await allowed(served, "bob_pc", "bob", served.tokens["bob"])
        assert read == []
        assert not await allowed(served, "new_pc", "new", served.tokens["bob"])
        assert read, "the counter counts"
    finally:
        event.remove(engine, "before_cursor_execute", executed)


async def test_a_credential_tells_when_it_was_last_used(served: Served, database: Database) -> None:
    before = now_ms()
    assert await allowed(served, "bob_pc", "bob", served.tokens["bob"])
    await until(lambda: served.service.sessions.waiting == 0)
    async with database.read() as connection:
        (credential,) = await credentials.list_(connection, "bob")
    assert credential.last_used_at is not None
    assert credential.last_used_at >= before
