"""Secrets that must be read back, sealed with `MCHAT_SECRET_KEY` (decision 10): AES-256-GCM and the id of the key.

Each is bound to its name: a row that is copied over another does not open.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping, Sequence
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from sqlalchemy import select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from directory.errors import CannotOpen, InvalidValue
from directory.schema import sealed_secret

MIN_KEY_BYTES: Final = 32
"""Bytes of UTF-8 in a key at least: `openssl rand -hex 32` gives twice as many."""

_NONCE_BYTES: Final = 12


class Sealer:
    """Seals with its first key and opens with any, so that keys can be replaced one after the other.

    Args:
        keys: As `MCHAT_SECRET_KEY` gives them; the first seals, the others only open.

    Raises:
        InvalidValue: There is none, or one is too short. The message does not show it.

    Attributes:
        key_id: Of the key that seals; tells nothing about the key.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        if not keys:
            raise InvalidValue(
                "there is no secret key: set MCHAT_SECRET_KEY, made with `openssl rand -hex 32`"
            )
        if any(len(key.encode()) < MIN_KEY_BYTES for key in keys):
            raise InvalidValue(
                f"a key of MCHAT_SECRET_KEY has less than {MIN_KEY_BYTES} bytes: make one with `openssl rand -hex 32`"
            )
        self._ciphers: Mapping[str, AESGCM] = {
            _derived(key, b"mchat key id", 8).hex(): AESGCM(_derived(key, b"mchat sealing", 32))
            for key in keys
        }
        self.key_id = next(iter(self._ciphers))

    def seal(self, name: str, plain: bytes) -> str:
        """Seal something under a name, without which it does not open; each time the text is another."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return base64.b64encode(
            nonce + self._ciphers[self.key_id].encrypt(nonce, plain, name.encode())
        ).decode()

    def open(self, name: str, key_id: str, sealed: str) -> bytes:
        """Open what was sealed under a name.

        Raises:
            CannotOpen: Its key is not among ours, or it is damaged or was sealed under another name.
        """
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            raise CannotOpen(
                f"{name} is sealed with the key {key_id}, which MCHAT_SECRET_KEY does not have: "
                "add it behind the new one"
            )
        try:
            raw = base64.b64decode(sealed, validate=True)
            return cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], name.encode())
        except (InvalidTag, ValueError) as error:
            raise CannotOpen(
                f"{name} is damaged, or was sealed under another name: restore the row"
            ) from error


async def kept(connection: AsyncConnection, sealer: Sealer, name: str, fresh: bytes, now_ms: int) -> bytes:
    """Return the secret of a name; the first of all processes to ask makes it.

    What an older key sealed is sealed anew, and stays the same secret.

    Args:
        connection: From `Database.write()`: it gives nobody rights.
        sealer: Opens and seals.
        name: Of the secret.
        fresh: What it becomes if there is none yet.
        now_ms: The time, milliseconds since the epoch.

    Raises:
        CannotOpen: It is there, but was sealed with a key that we do not have, or it is damaged.
    """
    table = sealed_secret
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    first = {"name": name, "key_id": sealer.key_id, "sealed": sealer.seal(name, fresh), "updated_at": now_ms}
    await connection.execute(dialect.insert(table).values(first).on_conflict_do_nothing())
    row = (await connection.execute(select(table).where(table.c.name == name).with_for_update())).one()
    plain = sealer.open(name, row.key_id, row.sealed)
    if row.key_id != sealer.key_id:
        again = {"key_id": sealer.key_id, "sealed": sealer.seal(name, plain), "updated_at": now_ms}
        await connection.execute(update(table).where(table.c.name == name).values(again))
    return plain


def _derived(key: str, purpose: bytes, length: int) -> bytes:
    # The key may be any text of enough bytes; nothing that is stored is made of it directly.
    return HKDF(algorithm=SHA256(), length=length, salt=None, info=purpose).derive(key.encode())
