"""Whether the person at a client is who it says: its credential, asked for once more."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from directory import credentials
from directory.credentials import CredentialRow
from directory.database import Database
from directory.errors import InvalidValue
from directory.secret import MAX_SECRET_BYTES, TOKEN_PREFIX, token_digest, verify_password
from gateway.errors import LIMITED, OVERLOADED, Refused

_AT_ONCE: Final = 2
"""Passwords hashed at once: argon2id costs tens of milliseconds."""

_WAITING: Final = 16
"""Checks under way or waiting; one more is answered with 503."""

_TRIES: Final = 5
"""Wrong secrets in a window, after which a person is not checked any more until it ends."""

_WINDOW_MS: Final = 60_000
_REMEMBERED: Final = 10_000


class Proofs:
    """Checks secrets of people, a bounded number at a time and of tries each.

    A client is connected by then, so that only a person can shut itself out.

    Args:
        database: Where the credentials are.
        now_ms: Wall clock, milliseconds since the epoch.
    """

    def __init__(self, database: Database, now_ms: Callable[[], int]) -> None:
        self._database = database
        self._now_ms = now_ms
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._pending = 0
        # By person: when the window began, and the wrong secrets in it.
        self._wrong: OrderedDict[str, tuple[int, int]] = OrderedDict()

    async def proves(self, employee_id: str, secret: str) -> bool:
        """Tell whether a secret is a token or a password of the person, neither revoked nor expired.

        Raises:
            Refused: 429 after too many wrong ones; 503 if too many checks wait.
            directory.errors.Unavailable: the database does not answer.
        """
        now_ms = self._now_ms()
        began, wrong = self._wrong.get(employee_id, (now_ms, 0))
        if now_ms - began >= _WINDOW_MS:
            began, wrong = now_ms, 0
        if wrong >= _TRIES:
            wait_ms = began + _WINDOW_MS - now_ms
            raise Refused(
                LIMITED,
                f"too many wrong passwords: try again in {wait_ms} ms",
                {"retry_after_ms": wait_ms},
            )
        # Counted before it is looked at: many at once are as many tries.
        self._wrong[employee_id] = (began, wrong + 1)
        self._wrong.move_to_end(employee_id)
        while len(self._wrong) > _REMEMBERED:
            self._wrong.popitem(last=False)
        if not await self._fits(employee_id, secret, now_ms):
            return False
        self._wrong.pop(employee_id, None)
        return True

    async def _fits(self, employee_id: str, secret: str, now_ms: int) -> bool:
        if len(secret.encode("utf-8", "surrogatepass")) > MAX_SECRET_BYTES:
            return False
        async with self._database.read() as connection:
            held = [one for one in await credentials.list_(connection, employee_id) if one.usable(now_ms)]
        if secret.startswith(TOKEN_PREFIX):
            digest = token_digest(secret)
            return any(one.kind == "token" and one.hash == digest for one in held)
        passwords = [one for one in held if one.kind == "password"]
        if self._pending >= _WAITING:
            raise Refused(OVERLOADED, "too many passwords are being checked: try again")
        self._pending += 1
        try:
            async with self._turns:
                return await asyncio.to_thread(_any_fits, secret, passwords)
        finally:
            self._pending -= 1


def _any_fits(secret: str, held: list[CredentialRow]) -> bool:
    for one in held:
        try:
            if verify_password(secret, one.hash):
                return True
        except InvalidValue:
            continue  # A damaged hash fits nobody; the access service says so when it is logged in with.
    return False
