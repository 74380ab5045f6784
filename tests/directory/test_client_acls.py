"""What the broker was given for each client id: claims, versions that only rise, stale rows."""

import asyncio
from collections.abc import Collection

import pytest

from directory import client_acls
from directory.client_acls import Claim, ClientAcl, Written
from directory.database import Database
from tests.directory.company import version_of
from tests.directory.waiting import until_waiting


async def claim(
    database: Database, *client_ids: str, version: int = 5, holder: str = "p", now_ms: int = 10
) -> set[str]:
    wanted = [Claim(one, "alice", version) for one in client_ids]
    async with database.write() as connection:
        return await client_acls.claim(connection, wanted, holder=holder, now_ms=now_ms, hold_ms=10)


async def write(
    database: Database, *client_ids: str, version: int = 5, holder: str = "p", now_ms: int = 11
) -> set[str]:
    rows = [Written(one, "alice", version, f'["{version}"]', '[{"topic":"张"}]') for one in client_ids]
    async with database.write() as connection:
        return await client_acls.written(connection, rows, holder=holder, now_ms=now_ms)


async def row_of(database: Database, client_id: str) -> ClientAcl:
    async with database.read() as connection:
        return (await client_acls.of_clients(connection, [client_id]))[client_id]


async def release(database: Database, *client_ids: str, holder: str = "p") -> None:
    async with database.write() as connection:
        await client_acls.release(connection, client_ids, holder=holder)


async def forget(database: Database, *client_ids: str, holder: str = "p") -> set[str]:
    async with database.write() as connection:
        return await client_acls.forget(connection, client_ids, holder=holder)


async def mark_stale(database: Database, *client_ids: str) -> None:
    async with database.write() as connection:
        await client_acls.mark_stale(connection, client_ids)


async def test_a_claim_makes_a_row_of_which_nothing_is_written(database: Database) -> None:
    assert await claim(database, "a_1") == {"a_1"}
    expected = ClientAcl("a_1", "alice", "[]", "[]", 0, 0, stale=False, claimed_by="p", claimed_until=20)
    assert await row_of(database, "a_1") == expected
    assert await version_of(database) == 0


async def test_what_was_written_is_kept_and_the_claim_released(database: Database) -> None:
    await claim(database, "a_1")
    assert await write(database, "a_1") == {"a_1"}
    assert await row_of(database, "a_1") == ClientAcl(
        "a_1", "alice", '["5"]', '[{"topic":"张"}]', 5, 11, stale=False, claimed_by=None, claimed_until=None
    )


async def test_a_claim_of_another_holds_until_it_runs_out(database: Database) -> None:
    await claim(database, "a_1", holder="q", now_ms=10)
    assert await claim(database, "a_1", "a_2", now_ms=19) == {"a_2"}
    assert await claim(database, "a_1", holder="q", now_ms=19) == {"a_1"}
    assert await claim(database, "a_1", now_ms=28) == set()
    assert await claim(database, "a_1", now_ms=29) == {"a_1"}
    assert (await row_of(database, "a_1")).claimed_by == "p"


async def test_a_claim_for_older_rights_than_were_written_is_refused(database: Database) -> None:
    await claim(database, "a_1", version=7)
    await write(database, "a_1", version=7)
    assert await claim(database, "a_1", version=6) == set()
    assert await claim(database, "a_1", version=7) == {"a_1"}
    assert await write(database, "a_1", version=6) == set()
    assert await write(database, "a_1", version=8) == {"a_1"}
    assert (await row_of(database, "a_1")).version == 8


async def test_who_lost_the_claim_is_told_and_writes_nothing(database: Database) -> None:
    await claim(database, "a_1", "a_2", version=5, now_ms=10)
    await claim(database, "a_1", version=6, holder="q", now_ms=20)
    assert await write(database, "a_1", "a_2", "unknown", version=9) == {"a_2"}
    assert (await row_of(database, "a_1")).rules == "[]"
    assert await write(database, "a_1", version=6, holder="q") == {"a_1"}
    assert await write(database, "a_1", version=9) == set()
    assert (await row_of(database, "a_1")).version == 6


async def test_a_claim_that_ran_out_and_that_nobody_took_still_writes(database: Database) -> None:
    await claim(database, "a_1", now_ms=10)
    assert await write(database, "a_1", now_ms=99) == {"a_1"}


async def test_a_claim_is_given_back_by_its_holder_only(database: Database) -> None:
    await claim(database, "a_1", "a_2")
    await release(database, "a_1", holder="q")
    assert await claim(database, "a_1", holder="q") == set()
    await release(database, "a_1", "unknown")
    assert await claim(database, "a_1", "a_2", holder="q") == {"a_1"}
    assert (await row_of(database, "a_1")).written_at == 0


async def test_rows_are_forgotten_by_their_holder_only(database: Database) -> None:
    await claim(database, "a_1", "a_2")
    await claim(database, "a_3", holder="q")
    assert await forget(database, "a_1", "a_3", "unknown") == {"a_1"}
    async with database.read() as connection:
        assert [row.client_id for row in await client_acls.page(connection)] == ["a_2", "a_3"]
        assert await client_acls.count(connection) == 2


async def test_a_stale_row_is_stale_until_it_is_written_again(database: Database) -> None:
    await claim(database, "a_1", "a_2")
    await write(database, "a_1", "a_2")
    await mark_stale(database, "a_1", "unknown")
    assert ((await row_of(database, "a_1")).stale, (await row_of(database, "a_2")).stale) == (True, False)
    assert await claim(database, "a_1") == {"a_1"}
    assert (await row_of(database, "a_1")).stale
    await write(database, "a_1")
    assert not (await row_of(database, "a_1")).stale


async def test_who_was_overtaken_while_writing_cannot_say_that_all_is_well(database: Database) -> None:
    # q tells the broker version 6; p, stopped before it did so, then tells it 5 and learns that it lost the claim.
    await claim(database, "a_1", version=5, now_ms=10)
    await claim(database, "a_1", version=6, holder="q", now_ms=20)
    assert await write(database, "a_1", version=5) == set()
    await mark_stale(database, "a_1")
    assert await write(database, "a_1", version=6, holder="q") == set()
    assert (await row_of(database, "a_1")).stale
    assert await claim(database, "a_1", version=6, holder="q", now_ms=21) == {"a_1"}
    assert await write(database, "a_1", version=6, holder="q") == {"a_1"}
    assert not (await row_of(database, "a_1")).stale


async def test_one_of_many_is_granted_each_client_id_and_none_waits_for_ever(database: Database) -> None:
    ids = [f"a_{number}" for number in range(40)]

    async def all_of(holder: str, some: Collection[str]) -> set[str]:
        return await claim(database, *some, holder=holder)

    # In different orders, rows that are there and rows that are not: neither may end in a deadlock.
    await claim(database, *ids[::3], holder="before", now_ms=-100)
    granted = await asyncio.gather(*(all_of(f"p{n}", ids if n % 2 else ids[::-1]) for n in range(8)))
    assert sorted(one for some in granted for one in some) == sorted(ids)
    winners = [f"p{n}" for n, some in enumerate(granted) if some]
    done = await asyncio.gather(
        *(write(database, *ids[:: 1 if n % 2 else -1], holder=f"p{n}") for n in range(8))
    )
    assert [f"p{n}" for n, some in enumerate(done) if some] == winners
    assert done == granted


async def test_of_two_who_claim_what_a_third_holds_up_one_is_granted(database: Database) -> None:
    if database.dialect == "sqlite":
        pytest.skip("SQLite has one writer at a time")
    await claim(database, "a_1")
    await release(database, "a_1")
    async with database.write() as connection:
        await client_acls.mark_stale(connection, ["a_1"])
        both = [asyncio.create_task(claim(database, "a_1", holder=holder)) for holder in ("p", "q")]
        await until_waiting(database, 2)
    assert sorted(map(len, await asyncio.gather(*both))) == [0, 1]


async def test_two_who_claim_new_client_ids_in_different_orders_do_not_wait_for_each_other(
    database: Database,
) -> None:
    if database.dialect == "sqlite":
        pytest.skip("SQLite has one writer at a time")
    # A third holds up both in the middle; each would have the end that the other needs, were it not for one order.
    async with database.write() as connection:
        await client_acls.claim(connection, [Claim("m", "m", 1)], holder="r", now_ms=-50, hold_ms=1)
        both = [
            asyncio.create_task(claim(database, *order, holder=holder))
            for order, holder in ((("a", "m", "z"), "p"), (("z", "m", "a"), "q"))
        ]
        await until_waiting(database, 2)
    assert sorted(map(len, await asyncio.gather(*both))) == [0, 3]


async def test_nothing_is_asked_for_no_client_ids(database: Database) -> None:
    assert await claim(database) == await write(database) == await forget(database) == set()
    await release(database)
    await mark_stale(database)
    async with database.read() as connection:
        assert await client_acls.count(connection) == 0


async def test_rows_are_read_by_client_by_person_and_in_pages(database: Database) -> None:
    async with database.write() as connection:
        wanted = [
            Claim("b_1", "bob", 1),
            Claim("a_2", "alice", 1),
            Claim("a_1", "alice", 1),
            Claim("张", "c", 1),
        ]
        await client_acls.claim(connection, wanted, holder="p", now_ms=1, hold_ms=1)
    async with database.read() as connection:
        assert set(await client_acls.of_clients(connection, ["b_1", "unknown"])) == {"b_1"}
        of = await client_acls.of_employees(connection, ["alice", "c", "nobody"])
        assert [row.client_id for row in of] == ["a_1", "a_2", "张"]
        first = await client_acls.page(connection, limit=3)
        assert [row.client_id for row in first] == ["a_1", "a_2", "b_1"]
        assert [row.client_id for row in await client_acls.page(connection, first[-1].client_id, 3)] == ["张"]
        assert await client_acls.count(connection) == 4


@pytest.mark.parametrize("client_id", ["a_1", "'; DROP TABLE client_acl; --", '{"a":"\\"}', "张,}{"])
async def test_any_client_id_is_a_value(database: Database, client_id: str) -> None:
    assert await claim(database, client_id) == {client_id}
    assert await write(database, client_id) == {client_id}
    assert (await row_of(database, client_id)).client_id == client_id


async def test_rules_are_as_old_as_the_last_change_of_them(database: Database) -> None:
    """Each look at a session says again what was written; `mchat acl show` tells since when it stands."""
    await claim(database, "a_1")
    await write(database, "a_1", now_ms=11)
    await claim(database, "a_1")
    await write(database, "a_1", now_ms=12)
    assert (await row_of(database, "a_1")).written_at == 11
    await claim(database, "a_1", version=6)
    await write(database, "a_1", version=6, now_ms=13)
    assert (await row_of(database, "a_1")).written_at == 13
    # The broker may have had something else in between.
    await mark_stale(database, "a_1")
    await claim(database, "a_1", version=6)
    await write(database, "a_1", version=6, now_ms=14)
    assert (await row_of(database, "a_1")).written_at == 14


async def test_having_no_rules_is_written_too(database: Database) -> None:
    await claim(database, "a_1")
    async with database.write() as connection:
        await client_acls.written(connection, [Written("a_1", "alice", 5, "[]", "[]")], holder="p", now_ms=11)
    assert (await row_of(database, "a_1")).written_at == 11
