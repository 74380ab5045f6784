"""Secrets that must be read back."""

import asyncio

import pytest
from sqlalchemy import select, update

from directory import schema, sealed
from directory.database import Database
from directory.errors import CannotOpen, InvalidValue
from directory.sealed import Sealer

OLD, NEW = "o" * 32, "n" * 32
SECRET = b"a secret of thirty-two bytes ..."


async def _kept(database: Database, sealer: Sealer, name: str = "key", fresh: bytes = SECRET) -> bytes:
    async with database.write() as connection:
        return await sealed.kept(connection, sealer, name, fresh, 5)


async def _row(database: Database, name: str = "key") -> tuple[str, str]:
    table = schema.sealed_secret
    async with database.read() as connection:
        row = (await connection.execute(select(table).where(table.c.name == name))).one()
    return row.key_id, row.sealed


def test_what_is_sealed_opens_under_its_name_only() -> None:
    sealer = Sealer([OLD])
    text = sealer.seal("a", SECRET)
    assert sealer.open("a", sealer.key_id, text) == SECRET
    assert text != sealer.seal("a", SECRET)
    with pytest.raises(CannotOpen, match="b is damaged, or was sealed under another name"):
        sealer.open("b", sealer.key_id, text)


@pytest.mark.parametrize("text", ["", "AAAA", "not base64!", "é"])
def test_what_is_damaged_does_not_open(text: str) -> None:
    sealer = Sealer([OLD])
    with pytest.raises(CannotOpen, match="damaged"):
        sealer.open("a", sealer.key_id, text)


def test_a_changed_bit_is_seen() -> None:
    sealer = Sealer([OLD])
    text = sealer.seal("a", SECRET)
    other = text[:30] + ("A" if text[30] != "A" else "B") + text[31:]
    with pytest.raises(CannotOpen, match="damaged"):
        sealer.open("a", sealer.key_id, other)


@pytest.mark.parametrize(
    ("keys", "says"), [([], "MCHAT_SECRET_KEY"), ([OLD, "s" * 31], "less than 32 bytes")]
)
def test_keys_that_cannot_be_are_refused_unseen(keys: list[str], says: str) -> None:
    with pytest.raises(InvalidValue, match=says) as caught:
        Sealer(keys)
    assert "sss" not in str(caught.value) and "ooo" not in str(caught.value)


async def test_the_first_to_ask_makes_it_and_it_stays(database: Database) -> None:
    assert await _kept(database, Sealer([OLD])) == SECRET
    assert await _kept(database, Sealer([OLD]), fresh=b"another") == SECRET
    assert await _kept(database, Sealer([OLD]), "other", b"another") == b"another"
    assert SECRET.decode() not in (await _row(database))[1]


async def test_many_that_ask_at_once_get_the_same(database: Database) -> None:
    found = await asyncio.gather(*(_kept(database, Sealer([OLD]), fresh=bytes([n]) * 32) for n in range(8)))
    assert len(set(found)) == 1


async def test_a_new_key_seals_anew_what_stays_the_same(database: Database) -> None:
    await _kept(database, Sealer([OLD]))
    before = await _row(database)
    assert await _kept(database, Sealer([NEW, OLD])) == SECRET
    after = await _row(database)
    assert after[0] == Sealer([NEW]).key_id != before[0]
    assert await _kept(database, Sealer([NEW])) == SECRET
    with pytest.raises(CannotOpen, match=rf"key is sealed with the key {after[0]}.*MCHAT_SECRET_KEY"):
        await _kept(database, Sealer([OLD]))


async def test_a_row_copied_over_another_does_not_open(database: Database) -> None:
    await _kept(database, Sealer([OLD]), "a", b"for a")
    await _kept(database, Sealer([OLD]), "b", b"for b")
    table = schema.sealed_secret
    async with database.write() as connection:
        copied = (await _row(database, "a"))[1]
        await connection.execute(update(table).where(table.c.name == "b").values(sealed=copied))
    with pytest.raises(CannotOpen, match="b is damaged"):
        await _kept(database, Sealer([OLD]), "b")
