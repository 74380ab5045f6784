"""Session rows on both databases, and how often the use of a credential is noted."""

from msgspec.structs import replace

from acl_service.session_store import MARKED_MS, SessionStore
from directory import credentials, people, sessions
from directory.database import Database
from directory.secret import new_token, token_digest
from directory.sessions import SessionRow

NOW = 1_000_000_000_000


async def with_token(database: Database) -> str:
    async with database.change("test", NOW) as change:
        await people.add(change, name="Bob", employee_id="bob")
        return await credentials.add_token(change, "bob", token_digest(new_token()))


async def test_rows_are_kept_as_they_are(database: Database) -> None:
    credential_id = await with_token(database)
    first = SessionRow(
        client_id='bob_"é客\\',
        employee_id="bob",
        grants_version=2**53 + 1,
        updated_at=NOW,
        credential_id=credential_id,
        peer="::1",
        protocol="mqtt",
        zone="区",
        expires_at=NOW + 1,
        node="emqx@a",
        device_info='{"os": "x"}',
        connected_at=NOW - 5,
        online=True,
        reason="",
    )
    second = SessionRow(client_id="bob", employee_id="bob", grants_version=1, updated_at=NOW)
    store = SessionStore(database)
    await store.write([first, second])
    async with database.read() as connection:
        found = await sessions.of_clients(connection, [first.client_id, "bob"])
    assert found == {first.client_id: first, "bob": second}
    # What a connect knows is replaced by a newer one, what events know is not, and nothing by an older one.
    newer = replace(first, peer="10.0.0.1", updated_at=NOW + 1, online=False, node="", connected_at=0)
    older = replace(second, zone="old", updated_at=NOW - 1)
    await store.write([newer, older])
    async with database.read() as connection:
        found = await sessions.of_clients(connection, [first.client_id, "bob"])
    assert found == {first.client_id: replace(first, peer="10.0.0.1", updated_at=NOW + 1), "bob": second}


async def test_the_use_of_a_credential_is_noted_once_a_minute(database: Database) -> None:
    credential_id = await with_token(database)
    store = SessionStore(database)
    noted = []
    for after in (0, 1, MARKED_MS - 1, MARKED_MS, MARKED_MS + 1):
        row = SessionRow(
            client_id="bob_pc",
            employee_id="bob",
            grants_version=1,
            updated_at=NOW + after,
            credential_id=credential_id,
        )
        await store.write([row])
        async with database.read() as connection:
            (credential,) = await credentials.list_(connection, "bob")
        assert credential.last_used_at is not None
        noted.append(credential.last_used_at - NOW)
    assert noted == [0, 0, 0, MARKED_MS, MARKED_MS]
