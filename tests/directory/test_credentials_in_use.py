"""Whether anybody has a credential of a kind, for `mchat emqx check`."""

from directory import credentials
from directory.database import Database
from directory.secret import new_token, token_digest
from tests.directory.company import hire


async def test_only_what_is_neither_revoked_nor_expired_is_in_use(database: Database) -> None:
    await hire(database, "a")

    async def in_use(kind: str, now_ms: int) -> bool:
        async with database.read() as connection:
            return await credentials.in_use(connection, kind, now_ms)

    assert not await in_use("certificate", 5)
    async with database.change("hr", 5) as change:
        await credentials.add_token(change, "a", token_digest(new_token()))
        pinned = await credentials.add_certificate(change, "a", "ab" * 32, expires_at=9)
    assert not await in_use("password", 6)
    assert await in_use("token", 2**60)
    assert await in_use("certificate", 8) and not await in_use("certificate", 9)
    async with database.change("hr", 6) as change:
        await credentials.revoke(change, pinned)
    assert not await in_use("certificate", 7)
