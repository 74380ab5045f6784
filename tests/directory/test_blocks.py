"""Client ids that are let in again after their old owner's session was seen gone."""

import asyncio

from sqlalchemy import select

from directory import audit, blocks, people, schema
from directory.blocks import Block
from directory.changes import Change
from directory.database import Database
from tests.directory.company import blocks as blocked
from tests.directory.company import hire, know, touched
from tests.directory.waiting import until_waiting


async def take_over(database: Database) -> int:
    """alice's client id alice_pc becomes that of the new person alice_pc; returns the version."""
    await hire(database, "alice")
    await know(database, "alice_pc", employee_id="alice")
    async with database.change("hr", 2_000) as change:
        await people.add(change, name="PC", employee_id="alice_pc", role="agent", force=True)
    assert change.version is not None
    return change.version


async def remove(database: Database, client_id: str, up_to_version: int) -> tuple[bool, Change]:
    async with database.change("enforcer", 3_000) as change:
        removed = await blocks.remove(change, client_id, up_to_version)
    return removed, change


async def test_a_block_is_read_with_its_owners_and_version(database: Database) -> None:
    version = await take_over(database)
    async with database.read() as connection:
        assert await blocks.of_clients(connection, ["alice_pc", "alice"]) == {
            "alice_pc": Block("alice_pc", "alice", "alice_pc", 2_000, version)
        }


async def test_a_removed_block_is_told_to_readers_and_audited_once(database: Database) -> None:
    version = await take_over(database)
    removed, change = await remove(database, "alice_pc", version)
    assert removed and change.version == version + 1
    assert await touched(database, version) == [("client", "alice_pc")]
    assert await blocked(database) == []
    async with database.read() as connection:
        (row,) = await audit.list_(connection, action="client_block.remove")
    assert (row.author, row.target, row.detail) == ("enforcer", "alice_pc", {"version": version})
    again, change = await remove(database, "alice_pc", version)
    assert not again and change.version is None


async def test_a_block_of_a_later_change_stays(database: Database) -> None:
    version = await take_over(database)
    removed, change = await remove(database, "alice_pc", version - 1)
    assert not removed and change.version is None
    assert await blocked(database) == [("alice_pc", "alice", "alice_pc")]


async def test_removing_and_blocking_never_wait_for_each_other(database: Database) -> None:
    version = await take_over(database)

    async def block() -> None:
        async with database.change("hr", 4_000) as change:
            await change.lock("client_ids")
            change.block("alice_pc", "alice_pc", None)

    if database.dialect == "sqlite":
        await asyncio.gather(block(), remove(database, "alice_pc", version))
    else:
        # Blocking takes the feed's row and then the block's; a removal that took them the other way round would have
        # the one while it waits for the other, behind whoever blocks.
        async with database.write() as connection:
            await connection.execute(select(schema.feed).with_for_update())
            first = asyncio.create_task(block())
            await until_waiting(database, 1)
            second = asyncio.create_task(remove(database, "alice_pc", version))
            await until_waiting(database, 2)
        await asyncio.gather(first, second)
    # Whichever came first: the later block stands.
    async with database.read() as connection:
        assert (await blocks.of_clients(connection, ["alice_pc"]))["alice_pc"].version > version
