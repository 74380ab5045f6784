"""Passwords are hashed in a small pool of threads, off the event loop that answers the hooks (decision 10)."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor

import structlog

from acl_service.errors import Overloaded
from directory.errors import InvalidValue
from directory.secret import decoy_hash, verify_password

log = structlog.get_logger(__name__)


class _Lane:
    """Threads that hash, and how much they have before them.

    Args:
        threads: hashes computed at the same time.
        waiting: checks under way or queued at most.
        wait_s: how long a check may wait for its turn (seconds).
    """

    def __init__(self, threads: int, waiting: int, wait_s: float) -> None:
        self.executor = ThreadPoolExecutor(threads, thread_name_prefix="password")
        self.pending = 0
        self._threads = threads
        self._limit = waiting
        self._wait = wait_s
        self._hash_s = 0.0

    @property
    def busy(self) -> bool:
        """Whether a check has to wait for its turn."""
        return self.pending >= self._threads

    @property
    def full(self) -> bool:
        """Whether one more check is too many, or would wait too long."""
        return self.pending >= self._limit or self.pending * self._hash_s / self._threads > self._wait

    def took(self, seconds: float) -> None:
        """Learn from one check how long they take."""
        self._hash_s = seconds if not self._hash_s else 0.8 * self._hash_s + 0.2 * seconds


class PasswordPool:
    """Checks passwords against stored hashes, a bounded number at a time.

    argon2id costs tens of milliseconds by design and releases the interpreter's lock, so ``threads`` is about
    the number of cores to spend. What could not be answered in time is refused at once, and so is what one
    peer sends beyond its share: one guesser must not stand in everybody's way. What nobody waits for any
    more is not begun.

    Guessers from many places could still fill it. So one thread more is kept for who has come in from that
    place before, which no guesser has: their check goes there whenever it would have to wait.

    Args:
        threads: hashes computed at the same time.
        waiting: checks under way or queued at most.
        wait_s: how long a password may wait for its turn (seconds): less than the caller's patience.
        peer_share: checks of one peer under way or queued at most.
        trusted_peers: proxies, which carry many people's connections and have no share.
    """

    def __init__(
        self,
        threads: int = 2,
        waiting: int = 64,
        *,
        wait_s: float = 0.5,
        peer_share: int = 4,
        trusted_peers: Collection[str] = (),
    ) -> None:
        self._open = _Lane(threads, waiting, wait_s)
        self._kept = _Lane(1, waiting, wait_s)
        self._share = peer_share
        self._trusted = frozenset(trusted_peers)
        self._peers: Counter[tuple[str, bool]] = Counter()

    @property
    def pending(self) -> int:
        """Checks under way or queued now."""
        return self._open.pending + self._kept.pending

    async def first_match(
        self,
        password: str,
        hashes: Sequence[str],
        *,
        peer: str = "",
        known: bool = False,
        done: Callable[[int | None], None] = lambda matched: None,
    ) -> int | None:
        """The index of the first hash that the password fits, or None.

        Without a hash to compare (an unknown person, or one without a password) a decoy is computed, so that
        the time taken tells nobody which names exist.

        Args:
            password: as it was sent.
            hashes: what is stored for the person.
            peer: the address that it came from.
            known: whether the person has come in from there by a password before.
            done: told the outcome on the event loop, even if the caller has given up meanwhile: a guess counts
                although the guesser did not wait for it.

        Raises:
            Overloaded: the pool is full, would answer too late, or the peer has its share in it.
        """
        lane = self._kept if known and self._open.busy else self._open
        if lane.full:
            raise Overloaded(f"{lane.pending} passwords are being checked: the pool is full")
        place = (peer, known)
        if peer not in self._trusted and self._peers[place] >= self._share:
            raise Overloaded(f"{self._share} passwords of this peer are being checked already")
        lane.pending += 1
        self._peers[place] += 1
        work = lane.executor.submit(_first_match, password, tuple(hashes))
        loop = asyncio.get_running_loop()
        answer = asyncio.wrap_future(work, loop=loop)
        answer.add_done_callback(lambda ended: self._end(ended, lane, place, done))
        try:
            matched, _ = await asyncio.shield(answer)
        except asyncio.CancelledError:
            work.cancel()  # takes it out of the queue if no thread has begun it
            raise
        return matched

    def _end(
        self,
        ended: asyncio.Future[tuple[int | None, float]],
        lane: _Lane,
        place: tuple[str, bool],
        done: Callable[[int | None], None],
    ) -> None:
        lane.pending -= 1
        self._peers[place] -= 1
        if not self._peers[place]:
            del self._peers[place]
        if ended.cancelled() or ended.exception() is not None:
            return
        matched, took = ended.result()
        lane.took(took)
        done(matched)

    def close(self) -> None:
        """Drop what is queued and let running hashes end."""
        for lane in (self._open, self._kept):
            lane.executor.shutdown(wait=False, cancel_futures=True)


def _first_match(password: str, hashes: tuple[str, ...]) -> tuple[int | None, float]:
    """The index that fits, and the seconds taken."""
    began = time.perf_counter()
    matched: int | None = None
    if not hashes:
        verify_password(password, decoy_hash())
    for index, stored in enumerate(hashes):
        try:
            if verify_password(password, stored):
                matched = index
                break
        except InvalidValue as error:
            # A damaged hash is nobody's password; the person's other ones still count.
            log.error("a stored password hash cannot be used", error=str(error))
    return matched, time.perf_counter() - began
