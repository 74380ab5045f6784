"""The gateway's memory: true, bounded, and doubted where decisions 6 and 7 say so."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from directory import departments, groups, people
from directory.database import Database
from directory.errors import InvalidValue, NotFound, Unavailable
from directory.feed import Feed
from gateway.errors import Refused
from gateway.house import House
from gateway.org_pages import OrgPages, PageKey
from tests.directory.company import hire, know


class StillFeed:
    """A feed that stands still until it is asked to catch up, or fails."""

    def __init__(self, age_s: float = 0.0, *, away: bool = False) -> None:
        self.version = 0
        self.proved_at = 100.0 - age_s
        self.away = away
        self.asked = 0

    async def catch_up(self) -> int:
        self.asked += 1
        if self.away:
            raise Unavailable("away")
        return self.version


@asynccontextmanager
async def _followed(database: Database, **more: int) -> AsyncIterator[tuple[House, Feed]]:
    house = House(database, time.monotonic, **more)
    feed = Feed(database, on_change=house.apply)
    await feed.start()
    house.follow(feed)
    try:
        yield house, feed
    finally:
        await feed.stop()
        await house.lookups.close()


async def test_people_and_clients_are_read_once_and_anew_when_they_change(database: Database) -> None:
    await hire(database, "zhang", "li")
    await know(database, "zhang_web", employee_id="zhang")
    async with _followed(database) as (house, feed):
        for _ in range(3):
            found = await house.person("zhang")
            assert found is not None and found.groups == {}
            assert (await house.device("zhang_web")).employee_id == "zhang"
        assert house.lookups.reads == 2 and house.size() == (1, 1)
        async with database.change("hr", 2) as change:
            await groups.create(change, name="G", creator="li", group_id="g", member_ids=["zhang"])
        await feed.catch_up()
        found = await house.person("zhang")
        assert found is not None and found.groups == {"g": "member"}
        async with database.change("hr", 2) as change:
            await groups.dismiss(change, "g")
        await feed.catch_up()
        found = await house.person("zhang")
        assert found is not None and found.groups == {}
        async with database.change("hr", 2) as change:
            await people.rename(change, "zhang", "Other")
        await feed.catch_up()
        found = await house.person("zhang")
        assert found is not None and found.name == "Other"
        # Changes of others cost nothing.
        reads = house.lookups.reads
        async with database.change("hr", 2) as change:
            await people.set_status(change, "li", "disabled")
        await feed.catch_up()
        assert await house.person("zhang") is not None and house.lookups.reads == reads


async def test_an_owner_that_comes_is_noticed(database: Database) -> None:
    await hire(database, "zhang")
    await know(database, "zhang_a_pc", employee_id="zhang")
    async with _followed(database) as (house, feed):
        owner = (await house.device("zhang_a_pc")).owner
        assert owner is not None and owner.employee_id == "zhang"
        async with database.change("hr", 2) as change:
            await people.add(change, name="x", employee_id="zhang_a", force=True)
        await feed.catch_up()
        owner = (await house.device("zhang_a_pc")).owner
        assert owner is not None and owner.employee_id == "zhang_a"


async def test_nothing_unknown_is_remembered(database: Database) -> None:
    async with _followed(database) as (house, _):
        assert await house.person("nobody") is None
        assert (await house.device("nobody_pc")).owner is None
        await hire(database, "nobody")
        assert await house.person("nobody") is not None
        assert (await house.device("nobody_pc")).employee_id is None
        await know(database, "nobody_pc", employee_id="nobody")
        assert (await house.device("nobody_pc")).employee_id == "nobody"


async def test_memory_is_bounded(database: Database) -> None:
    await hire(database, *(f"e{number}" for number in range(12)))
    async with _followed(database, most=5) as (house, _):
        for number in range(12):
            assert await house.person(f"e{number}") is not None
        assert house.size() == (5, 0)


async def test_all_who_miss_at_once_share_snapshots(database: Database) -> None:
    await hire(database, *(f"e{number}" for number in range(40)))
    async with _followed(database) as (house, _):
        found = await asyncio.gather(*(house.person(f"e{number}") for number in range(40)))
        assert all(found) and house.lookups.reads <= 3


async def test_a_failed_look_up_is_told_to_all_who_wait_and_the_next_one_works(database: Database) -> None:
    await hire(database, "zhang")
    async with _followed(database) as (house, _):
        snapshot = database.snapshot

        def away() -> object:
            raise Unavailable("away")

        database.snapshot = away  # type: ignore[method-assign, assignment]
        ends = await asyncio.gather(*(house.person("zhang") for _ in range(3)), return_exceptions=True)
        assert [type(one) for one in ends] == [Unavailable] * 3
        database.snapshot = snapshot  # type: ignore[method-assign]
        assert await house.person("zhang") is not None


@pytest.mark.parametrize(
    ("age_s", "away", "asked", "allowed"),
    [
        (1.9, True, 0, True),
        (2.0, False, 1, True),
        (2.0, True, 1, True),
        (300.0, True, 1, False),
        (300.0, False, 1, True),
    ],
)
async def test_how_old_a_proof_may_be(
    database: Database, age_s: float, away: bool, asked: int, allowed: bool
) -> None:
    house = House(database, lambda: 100.0, stale_s=2.0, grace_s=300.0)
    feed = StillFeed(age_s, away=away)
    house.follow(feed)
    if allowed:
        await house.settle()
    else:
        with pytest.raises(Refused) as caught:
            await house.settle()
        assert caught.value.code == 503
    assert feed.asked == asked


async def test_without_a_feed_nothing_is_answered(database: Database) -> None:
    house = House(database, lambda: 100.0)
    with pytest.raises(Refused) as caught:
        await house.settle()
    assert caught.value.code == 503 and not await house.confirm(0)


async def test_a_deny_is_looked_at_again_only_if_something_came(database: Database) -> None:
    house, feed = House(database, lambda: 100.0), StillFeed()
    house.follow(feed)
    assert not await house.confirm(0)
    feed.version = 1
    assert await house.confirm(0) and not await house.confirm(1)
    feed.away = True
    assert not await house.confirm(0)


async def test_memory_hears_at_once_of_what_its_process_committed(database: Database) -> None:
    house, feed = House(database, lambda: 100.0), StillFeed()
    await house.hear(1)
    house.follow(feed)
    await house.hear(1)
    assert feed.asked == 1
    feed.version = 1
    await house.hear(1)
    assert feed.asked == 1
    feed.away = True
    await house.hear(2)
    assert feed.asked == 2


async def test_pages_of_the_tree_are_read_once_and_anew_when_it_changes(database: Database) -> None:
    async with database.change("hr", 1) as change:
        await departments.add(change, name="A", department_id="a")
    await hire(database, "zhang")
    async with _followed(database) as (house, feed):
        pages = house.org_pages
        first = await asyncio.gather(*(pages.page(PageKey()) for _ in range(5)))
        assert len({bytes(one) for one in first}) == 1 and pages.reads == 1
        async with database.change("hr", 2) as change:
            await groups.create(change, name="G", creator="zhang")
        await feed.catch_up()
        await pages.page(PageKey())
        assert pages.reads == 1, "a group is not in the tree"
        for what in (
            lambda change: people.rename(change, "zhang", "Other"),
            lambda change: people.set_department(change, "zhang", "a"),
            lambda change: people.set_status(change, "zhang", "disabled"),
            lambda change: departments.update_(change, "a", name="B", parent_id=None, sort_order=0),
            lambda change: people.add(change, name="New", employee_id="new"),
        ):
            reads, before = pages.reads, await pages.page(PageKey())
            async with database.change("hr", 2) as change:
                await what(change)
            await feed.catch_up()
            assert bytes(await pages.page(PageKey())) != bytes(before) and pages.reads == reads + 1


async def test_a_page_that_was_begun_before_a_change_is_no_answer_after_it(database: Database) -> None:
    await hire(database, "zhang")
    changed = [0]
    pages = OrgPages(database, lambda: changed[0])
    early = asyncio.create_task(pages.page(PageKey()))
    await asyncio.sleep(0)
    changed[0] = 10**6
    late = await pages.page(PageKey())
    assert pages.reads == 2 and bytes(await early) == bytes(late)


@pytest.mark.parametrize("cursor", ["x", "x:1", ":"])
async def test_a_cursor_that_is_none_is_refused(database: Database, cursor: str) -> None:
    pages = OrgPages(database, lambda: 0)
    with pytest.raises(InvalidValue):
        await pages.page(PageKey(cursor=cursor))
    with pytest.raises(NotFound):
        await pages.page(PageKey("nowhere"))
