import asyncio

import pytest

from acl_service.errors import Overloaded
from acl_service.group_commit import GroupCommit
from directory.errors import Conflict, Unavailable
from tests.acl_service.serving import until


class Table:
    """What is committed, through a gate that a test may close; `entered` tells of each write before it."""

    def __init__(self) -> None:
        self.groups: list[list[str]] = []
        self.entered = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()
        self.away = False

    async def __call__(self, rows: list[str]) -> None:
        self.entered.set()
        await self.gate.wait()
        if self.away:
            raise Unavailable("away")
        if "poison" in rows:
            raise Conflict("this row cannot be stored")
        self.groups.append(rows)


async def test_rows_that_gather_during_a_commit_go_together_in_their_order() -> None:
    table = Table()
    table.gate.clear()
    store = GroupCommit(table)
    adding = [asyncio.create_task(store.add("a"))]
    await table.entered.wait()
    adding += [asyncio.create_task(store.add(name)) for name in "bcd"]
    await until(lambda: store.waiting == 3)
    table.gate.set()
    await asyncio.gather(*adding)
    assert table.groups == [["a"], ["b", "c", "d"]]


async def test_add_returns_only_after_the_commit() -> None:
    table = Table()
    table.gate.clear()
    store = GroupCommit(table)
    adding = asyncio.create_task(store.add("a"))
    await table.entered.wait()
    assert not adding.done()
    table.gate.set()
    await adding
    assert table.groups == [["a"]]


async def test_too_many_rows_are_refused_before_memory_grows() -> None:
    table = Table()
    table.gate.clear()
    store = GroupCommit(table, batch=1, waiting=2)
    held = [asyncio.create_task(store.add("a"))]
    await table.entered.wait()
    held += [asyncio.create_task(store.add(name)) for name in "bc"]
    await until(lambda: store.waiting == 2)
    with pytest.raises(Overloaded):
        await store.add("d")
    table.gate.set()
    await asyncio.gather(*held)


async def test_a_row_that_cannot_be_stored_does_not_fail_its_neighbours() -> None:
    table = Table()
    table.gate.clear()
    store = GroupCommit(table)
    first = asyncio.create_task(store.add("first"))
    await table.entered.wait()
    adding = [asyncio.create_task(store.add(name)) for name in ("a", "b", "poison", "c")]
    await until(lambda: store.waiting == 4)
    table.gate.set()
    await first
    results = await asyncio.gather(*adding, return_exceptions=True)
    assert [isinstance(result, Conflict) for result in results] == [False, False, True, False]
    assert sorted(row for group in table.groups for row in group) == ["a", "b", "c", "first"]


async def test_a_database_that_is_away_is_told_to_everybody_who_waits() -> None:
    table = Table()
    table.away = True
    store = GroupCommit(table)
    results = await asyncio.gather(*(store.add(name) for name in "abc"), return_exceptions=True)
    assert all(isinstance(result, Unavailable) for result in results)
    table.away = False
    await store.add("d")


async def test_closing_writes_what_has_gathered() -> None:
    table = Table()
    table.gate.clear()
    store = GroupCommit(table)
    adding = [asyncio.create_task(store.add("a"))]
    await table.entered.wait()
    adding += [asyncio.create_task(store.add(name)) for name in "bc"]
    await until(lambda: store.waiting == 2)
    closing = asyncio.create_task(store.close())
    table.gate.set()
    await asyncio.gather(closing, *adding)
    assert sorted(row for group in table.groups for row in group) == ["a", "b", "c"]
