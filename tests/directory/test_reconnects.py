"""What tells a gateway to connect anew."""

from directory import outbox, reconnects
from directory.database import Database


async def tell(database: Database, client_id: str, now_ms: int, kind: str = reconnects.KIND) -> None:
    async with database.change("enforcer", now_ms) as change:
        change.enqueue(reconnects.WORKER, kind, client_id, {"client_id": client_id})


async def told(database: Database, client_id: str) -> list[int]:
    async with database.read() as connection:
        return await reconnects.told(connection, client_id)


async def test_only_who_is_named_is_told_and_only_once(database: Database) -> None:
    await tell(database, "gw_1", 1_000)
    await tell(database, "gw_2", 1_000)
    await tell(database, "gw_1", 1_000, kind="publish")
    mine = await told(database, "gw_1")
    assert len(mine) == 1
    async with database.write() as connection:
        await reconnects.heard(connection, mine, 2_000)
    assert await told(database, "gw_1") == []
    assert len(await told(database, "gw_2")) == 1
    async with database.read() as connection:
        done = await outbox.recent(connection, reconnects.WORKER)
        left = await outbox.pending(connection, reconnects.WORKER)
    assert [(row.outbox_id, row.done_at) for row in done] == [(mine[0], 2_000)]
    assert sorted((row.subject, row.kind) for row in left) == [("gw_1", "publish"), ("gw_2", "reconnect")]


async def test_what_came_after_it_was_read_is_told_again(database: Database) -> None:
    await tell(database, "gw_1", 1_000)
    first = await told(database, "gw_1")
    await tell(database, "gw_1", 1_001)
    async with database.write() as connection:
        await reconnects.heard(connection, first, 2_000)
    second = await told(database, "gw_1")
    assert len(second) == 1
    assert second != first


async def test_what_nobody_heard_is_given_up_after_a_while(database: Database) -> None:
    await tell(database, "gone", 1_000)
    await tell(database, "gw_1", 5_000)
    await tell(database, "gone", 1_000, kind="publish")
    async with database.write() as connection:
        assert await reconnects.give_up(connection, 5_000, 9_000) == 1
    assert await told(database, "gone") == []
    assert len(await told(database, "gw_1")) == 1
    async with database.read() as connection:
        left = await outbox.pending(connection, reconnects.WORKER)
    assert ("gone", "publish") in [(row.subject, row.kind) for row in left]
