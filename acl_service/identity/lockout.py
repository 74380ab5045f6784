"""Lock-out of guessed passwords (design.md, "Identity").

By (employee id of the user name, peer), and by peer with a higher limit. Tokens, JWTs and certificates never
come here, and a flood under a victim's name from elsewhere does not touch the victim's own pair. Counts live
in this process, in bounded memory: the oldest are forgotten first.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Hashable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LockoutLimits:
    """How many failures within how long lock a pair or a peer out, and for how long.

    Attributes:
        pair: failures of one (employee id, peer) until it is locked.
        peer: failures of one peer over all names until it is locked.
        window_s: a failure this old is forgotten (seconds).
        locked_s: how long a lock lasts, from the failure that reached the limit (seconds).
        remembered: pairs and peers kept at most, each.
    """

    pair: int = 5
    peer: int = 50
    window_s: float = 60.0
    locked_s: float = 60.0
    remembered: int = 100_000


class Lockout:
    """Counts failed passwords and says who is locked out.

    Args:
        limits: the numbers.
        trusted_peers: addresses of proxies, which carry many people's connections: never locked as a peer.
    """

    def __init__(self, limits: LockoutLimits, trusted_peers: Collection[str] = ()) -> None:
        self._limits = limits
        self._trusted = frozenset(trusted_peers)
        self._pairs = _Failures(limits.pair, limits)
        self._peers = _Failures(limits.peer, limits)

    def locked(self, employee_id: str, peer: str, now: float) -> bool:
        """Whether a password of this name from this peer is refused unseen; ``now``: monotonic seconds."""
        return self._pairs.locked((employee_id, peer), now) or self._peers.locked(peer, now)

    def failed(self, employee_id: str, peer: str, now: float) -> None:
        """Count a wrong password."""
        self._pairs.count((employee_id, peer), now)
        if peer not in self._trusted:
            self._peers.count(peer, now)

    def succeeded(self, employee_id: str, peer: str) -> None:
        """Forget this pair's failures; the peer's stay, or one good account would hide a guesser."""
        self._pairs.forget((employee_id, peer))


class _Failures:
    """Failures of each key within the window, in at most ``remembered`` keys."""

    def __init__(self, limit: int, limits: LockoutLimits) -> None:
        self._limit = limit
        self._window = limits.window_s
        self._lock = limits.locked_s
        self._remembered = limits.remembered
        self._seen: OrderedDict[Hashable, _Record] = OrderedDict()

    def locked(self, key: Hashable, now: float) -> bool:
        record = self._seen.get(key)
        return record is not None and now < record.locked_until

    def count(self, key: Hashable, now: float) -> None:
        record = self._seen.get(key)
        if record is None:
            record = self._seen[key] = _Record(first=now)
        elif now - record.first >= self._window:
            record.first, record.failures = now, 0
        self._seen.move_to_end(key)
        record.failures += 1
        if record.failures >= self._limit:
            record.locked_until = now + self._lock
            record.first, record.failures = now, 0
        if len(self._seen) > self._remembered:
            self._seen.popitem(last=False)

    def forget(self, key: Hashable) -> None:
        self._seen.pop(key, None)


@dataclass(slots=True)
class _Record:
    first: float
    failures: int = 0
    locked_until: float = 0.0
