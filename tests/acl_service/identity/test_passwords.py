import asyncio
import threading

import pytest

from acl_service.errors import Overloaded
from acl_service.identity import passwords
from acl_service.identity.passwords import PasswordPool
from directory.secret import hash_password


async def test_the_first_hash_that_fits_is_told() -> None:
    pool = PasswordPool(1, 4)
    hashes = [hash_password("a wrong password"), hash_password("the right password")]
    assert await pool.first_match("the right password", hashes) == 1
    assert await pool.first_match("another password", hashes) is None
    assert await pool.first_match("the right password", []) is None
    assert pool.pending == 0
    pool.close()


async def test_a_full_pool_refuses_at_once_and_frees_its_places(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()
    monkeypatch.setattr(passwords, "verify_password", lambda *_: gate.wait(5))
    pool = PasswordPool(1, 2)
    held = [asyncio.create_task(pool.first_match("a", ["x"])) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await pool.first_match("a", ["x"])
    gate.set()
    assert await asyncio.gather(*held) == [0, 0]
    assert pool.pending == 0
    assert await pool.first_match("a", ["x"]) == 0
    pool.close()


async def test_a_caller_who_gives_up_leaves_its_place_to_the_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()
    monkeypatch.setattr(passwords, "verify_password", lambda *_: gate.wait(5))
    pool = PasswordPool(1, 1)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await pool.first_match("a", ["x"])
    assert pool.pending == 1
    gate.set()
    async with asyncio.timeout(5):
        while pool.pending:
            await asyncio.sleep(0)
    pool.close()


async def test_hashing_does_not_hold_up_the_event_loop() -> None:
    pool = PasswordPool(1, 4)
    hashing = asyncio.create_task(
        pool.first_match("the right password", [hash_password("the right password")] * 1)
    )
    turns = 0
    while not hashing.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns > 10
    pool.close()
