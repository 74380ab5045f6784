from sqlalchemy import func, select

from acl_service.retention import Keeping, Retention
from directory import events, schema
from directory.changes import newest_version
from directory.database import Database
from directory.events import EventRow
from tests.acl_service.serving import add_group, add_person, join, leave, now_ms


async def kept(database: Database) -> int:
    async with database.read() as connection:
        return await connection.scalar(select(func.count()).select_from(schema.change)) or 0


async def test_old_changes_go_and_the_version_stays(database: Database) -> None:
    await add_person(database, "alice")
    await add_person(database, "bob")
    await add_group(database, "team", "alice")
    await join(database, "team", "bob")
    version = await leave(database, "team", "bob")
    assert await Retention(database, now_ms, Keeping(changes=3_600)).step() == 0
    assert await kept(database) > 0
    assert await Retention(database, lambda: now_ms() + 7_200_000, Keeping(changes=3_600)).step() > 0
    assert await kept(database) == 0
    async with database.read() as connection:
        assert await newest_version(connection) == version
    assert await join(database, "team", "bob") == version + 1


async def test_of_events_so_many_are_kept_whatever_their_age(database: Database) -> None:
    async def numbers() -> list[int]:
        async with database.read() as connection:
            return [one.event_id for one in await events.after(connection, 0)]

    async with database.write() as connection:
        await events.store(
            connection,
            [
                EventRow(received_at=now_ms(), kind="message.publish", client_id=f"c{number}")
                for number in range(30)
            ],
        )
    assert await Retention(database, now_ms, Keeping(most_events=30)).step() == 0
    assert await Retention(database, now_ms, Keeping(most_events=20)).step() == 10
    assert await numbers() == list(range(11, 31)), "the newest stay"
    assert await Retention(database, now_ms, Keeping(most_events=20)).step() == 0
