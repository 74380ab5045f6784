"""Passwords are hashed in a small pool of threads, off the event loop that answers the hooks (decision 10)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from acl_service.errors import Overloaded
from directory.secret import decoy_hash, verify_password


class PasswordPool:
    """Checks passwords against stored hashes, a bounded number at a time.

    argon2id costs tens of milliseconds by design and releases the interpreter's lock, so ``threads`` is about
    the number of cores to spend. What does not fit into ``waiting`` is refused at once: a queue of guesses
    must not hold up the people behind it.

    Args:
        threads: hashes computed at the same time.
        waiting: checks under way or queued at most.
    """

    def __init__(self, threads: int = 2, waiting: int = 64) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="password")
        self._limit = waiting
        self._pending = 0

    @property
    def pending(self) -> int:
        """Checks under way or queued now."""
        return self._pending

    async def first_match(self, password: str, hashes: Sequence[str]) -> int | None:
        """The index of the first hash that the password fits, or None.

        Without a hash to compare (an unknown person, or one without a password) a decoy is computed, so that
        the time taken tells nobody which names exist.

        Raises:
            Overloaded: the pool is full.
        """
        if self._pending >= self._limit:
            raise Overloaded(f"{self._pending} passwords are being checked: the pool is full")
        self._pending += 1
        future = asyncio.get_running_loop().run_in_executor(
            self._executor, _first_match, password, tuple(hashes)
        )
        # The slot is free when the thread is, not when the caller's patience ends.
        future.add_done_callback(self._release)
        return await asyncio.shield(future)

    def _release(self, future: asyncio.Future[int | None]) -> None:
        self._pending -= 1
        if not future.cancelled():
            future.exception()  # the awaiting caller, if it is still there, gets it too

    def close(self) -> None:
        """Drop what is queued and let running hashes end."""
        self._executor.shutdown(wait=False, cancel_futures=True)


def _first_match(password: str, hashes: tuple[str, ...]) -> int | None:
    if not hashes:
        verify_password(password, decoy_hash())
        return None
    for index, stored in enumerate(hashes):
        if verify_password(password, stored):
            return index
    return None
