"""Lock-out of guessed passwords (design.md, "Identity").

By (employee id of the user name, peer), and by peer with a higher limit. Tokens, JWTs and certificates never
come here, and a flood under a victim's name from elsewhere does not touch the victim's own pair. Counts live
in this process, in bounded memory: the oldest are forgotten first.
"""

from __future__ import annotations

import hmac
from collections import OrderedDict
from collections.abc import Collection, Hashable
from dataclasses import dataclass, field
from ipaddress import IPv6Network
from secrets import token_bytes


@dataclass(frozen=True, slots=True)
class LockoutLimits:
    """How many failures within how long lock a pair or a peer out, and for how long.

    Attributes:
        pair: failures of one (employee id, peer) until it is locked.
        peer: failures of one peer over all names until it is locked.
        window_s: a failure this old is forgotten (seconds).
        locked_s: how long a lock lasts, from the failure that reached the limit (seconds).
        remembered: pairs, peers and places of those who came in kept at most, each.
    """

    pair: int = 5
    peer: int = 50
    window_s: float = 60.0
    locked_s: float = 60.0
    remembered: int = 100_000


RETRIES = 2
"""EMQX sends a question again at most twice when its connection breaks (contract 2.7)."""


class Lockout:
    """Counts failed passwords and says who is locked out.

    The same wrong password of the same pair counts once for its first three times: those may be the broker's
    retries. IPv6 peers are taken by their /64, which is what one subscriber is given.

    Args:
        limits: the numbers.
        trusted_peers: addresses of proxies, which carry many people's connections: never locked as a peer.
    """

    def __init__(self, limits: LockoutLimits, trusted_peers: Collection[str] = ()) -> None:
        self._limits = limits
        self._trusted = frozenset(trusted_peers)
        self._pairs = _Failures(limits.pair, limits)
        self._peers = _Failures(limits.peer, limits)
        self._places: OrderedDict[tuple[str, str], None] = OrderedDict()
        # Guesses are told apart by a digest under a key of this process: no secret is kept.
        self._key = token_bytes(32)

    def locked(self, employee_id: str, peer: str, now: float) -> bool:
        """Whether a password of this name from this peer is refused unseen; ``now``: monotonic seconds."""
        network = _network(peer)
        return self._pairs.locked((employee_id, network), now) or self._peers.locked(network, now)

    def failed(self, employee_id: str, peer: str, guess: str, now: float) -> None:
        """Count a wrong password."""
        network = _network(peer)
        digest = hmac.digest(self._key, guess.encode("utf-8", "surrogatepass"), "sha256")
        counted = self._pairs.count((employee_id, network), now, digest)
        if counted and peer not in self._trusted:
            self._peers.count(network, now)

    def succeeded(self, employee_id: str, peer: str) -> None:
        """Forget this pair's failures; the peer's stay, or one good account would hide a guesser."""
        place = (employee_id, _network(peer))
        self._pairs.forget(place)
        self._places[place] = None
        self._places.move_to_end(place)
        if len(self._places) > self._limits.remembered:
            self._places.popitem(last=False)

    def known(self, employee_id: str, peer: str) -> bool:
        """Whether this person has come in from this peer before, as far as it is remembered."""
        return (employee_id, _network(peer)) in self._places


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

    def count(self, key: Hashable, now: float, guess: bytes = b"") -> bool:
        record = self._seen.get(key)
        if record is None:
            record = self._seen[key] = _Record(first=now)
        elif now - record.first >= self._window:
            record.restart(now)
        self._seen.move_to_end(key)
        if len(self._seen) > self._remembered:
            self._seen.popitem(last=False)
        if guess:
            record.guesses[guess] = times = record.guesses.get(guess, 0) + 1
            if 1 < times <= 1 + RETRIES:
                return False
        record.failures += 1
        if record.failures >= self._limit:
            record.locked_until = now + self._lock
            record.restart(now)
        return True

    def forget(self, key: Hashable) -> None:
        self._seen.pop(key, None)


@dataclass(slots=True)
class _Record:
    first: float
    failures: int = 0
    locked_until: float = 0.0
    guesses: dict[bytes, int] = field(default_factory=dict)

    def restart(self, now: float) -> None:
        self.first, self.failures = now, 0
        self.guesses.clear()


def _network(peer: str) -> str:
    """The peer as it is counted: an IPv6 address by its /64, anything else as it is."""
    if ":" not in peer:
        return peer
    try:
        return str(IPv6Network((peer.partition("%")[0], 64), strict=False))
    except ValueError:
        return peer
