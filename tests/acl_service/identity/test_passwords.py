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
    outcomes: list[int | None] = []
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await pool.first_match("a", ["x"], done=outcomes.append)
    assert pool.pending == 1
    gate.set()
    async with asyncio.timeout(5):
        while pool.pending:
            await asyncio.sleep(0)
    assert outcomes == [0], "the outcome counts, although nobody waited for it"
    pool.close()


async def test_what_nobody_waits_for_any_more_is_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    gate, begun = threading.Event(), []

    def hashing(password: str, stored: str) -> bool:
        begun.append(password)
        return gate.wait(5)

    monkeypatch.setattr(passwords, "verify_password", hashing)
    pool = PasswordPool(1, 8)
    held = asyncio.create_task(pool.first_match("first", ["x"]))
    while not begun:
        await asyncio.sleep(0)
    impatient = asyncio.create_task(pool.first_match("second", ["x"]))
    await asyncio.sleep(0)
    impatient.cancel()
    await asyncio.gather(impatient, return_exceptions=True)
    gate.set()
    assert await held == 0
    assert await pool.first_match("third", ["x"]) == 0
    assert begun == ["first", "third"]
    assert pool.pending == 0
    pool.close()


async def test_one_peer_has_a_share_and_a_proxy_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()
    monkeypatch.setattr(passwords, "verify_password", lambda *_: gate.wait(5))
    pool = PasswordPool(1, 20, peer_share=2, trusted_peers=["proxy"])
    held = [asyncio.create_task(pool.first_match("a", ["x"], peer="guesser")) for _ in range(2)]
    held += [asyncio.create_task(pool.first_match("a", ["x"], peer="proxy")) for _ in range(5)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded, match="this peer"):
        await pool.first_match("a", ["x"], peer="guesser")
    held.append(asyncio.create_task(pool.first_match("a", ["x"], peer="victim")))
    gate.set()
    assert await asyncio.gather(*held) == [0] * 8
    assert await pool.first_match("a", ["x"], peer="guesser") == 0
    pool.close()


async def test_a_queue_longer_than_anybodys_patience_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()
    monkeypatch.setattr(passwords, "verify_password", lambda *_: gate.wait(0.4))
    pool = PasswordPool(1, 100, trusted_peers=["proxy"])
    await pool.first_match("a", ["x"], peer="proxy")  # 0.4 s: now it knows how long a hash takes
    held = [asyncio.create_task(pool.first_match("a", ["x"], peer="proxy")) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await pool.first_match("a", ["x"], peer="proxy")
    gate.set()
    await asyncio.gather(*held)
    pool.close()


async def test_a_damaged_hash_does_not_hide_a_good_one() -> None:
    pool = PasswordPool(1, 4)
    assert (
        await pool.first_match("the right password", ["$nothing$known", hash_password("the right password")])
        == 1
    )
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


async def test_a_place_that_is_known_does_not_wait_behind_strangers(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()
    monkeypatch.setattr(passwords, "verify_password", lambda password, _: password == "right" or gate.wait(5))
    pool = PasswordPool(1, 2)
    strangers = [asyncio.create_task(pool.first_match("guess", ["x"], peer=str(n))) for n in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await pool.first_match("right", ["x"], peer="victim")
    assert await pool.first_match("right", ["x"], peer="victim", known=True) == 0
    gate.set()
    await asyncio.gather(*strangers)
    assert pool.pending == 0
    pool.close()


async def test_who_is_known_has_a_share_too_beside_that_of_strangers(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()
    monkeypatch.setattr(passwords, "verify_password", lambda *_: gate.wait(5))
    pool = PasswordPool(1, 8, peer_share=2)
    held = [asyncio.create_task(pool.first_match("a", ["x"], peer="here")) for _ in range(2)]
    held += [asyncio.create_task(pool.first_match("a", ["x"], peer="here", known=True)) for _ in range(2)]
    await asyncio.sleep(0)
    for known in (False, True):
        with pytest.raises(Overloaded, match="this peer"):
            await pool.first_match("a", ["x"], peer="here", known=known)
    gate.set()
    assert await asyncio.gather(*held) == [0] * 4
    pool.close()
