import itertools

from acl_service.identity.lockout import Lockout, LockoutLimits

GUESSES = (f"guess {number}" for number in itertools.count())
LIMITS = LockoutLimits(pair=3, peer=6, window_s=60, locked_s=60, remembered=100)


def test_a_pair_is_locked_after_its_failures_and_free_again_later() -> None:
    lockout = Lockout(LIMITS)
    for _ in range(2):
        lockout.failed("alice", "10.0.0.1", next(GUESSES), 0)
    assert not lockout.locked("alice", "10.0.0.1", 0)
    lockout.failed("alice", "10.0.0.1", next(GUESSES), 0)
    assert lockout.locked("alice", "10.0.0.1", 59.9)
    assert not lockout.locked("alice", "10.0.0.1", 60)


def test_a_flood_from_elsewhere_does_not_keep_the_victim_out() -> None:
    lockout = Lockout(LIMITS)
    for _ in range(100):
        lockout.failed("alice", "10.6.6.6", next(GUESSES), 0)
    assert lockout.locked("alice", "10.6.6.6", 0)
    assert not lockout.locked("alice", "10.0.0.1", 0)


def test_a_peer_that_guesses_over_many_names_is_locked_as_a_peer() -> None:
    lockout = Lockout(LIMITS)
    for number in range(6):
        lockout.failed(f"person{number}", "10.6.6.6", next(GUESSES), 0)
    assert lockout.locked("somebody-else", "10.6.6.6", 0)


def test_a_proxy_is_never_locked_as_a_peer_but_its_pairs_are() -> None:
    lockout = Lockout(LIMITS, trusted_peers=["10.0.0.9"])
    for number in range(50):
        lockout.failed(f"person{number}", "10.0.0.9", next(GUESSES), 0)
    assert not lockout.locked("somebody-else", "10.0.0.9", 0)
    for _ in range(3):
        lockout.failed("alice", "10.0.0.9", next(GUESSES), 0)
    assert lockout.locked("alice", "10.0.0.9", 0)


def test_old_failures_are_forgotten() -> None:
    lockout = Lockout(LIMITS)
    for moment in (0, 59, 61, 118):
        lockout.failed("alice", "10.0.0.1", next(GUESSES), moment)
    assert not lockout.locked("alice", "10.0.0.1", 118)


def test_a_success_clears_the_pair_and_not_the_peer() -> None:
    lockout = Lockout(LIMITS)
    for number in range(5):
        lockout.failed(f"person{number}", "10.6.6.6", next(GUESSES), 0)
    lockout.succeeded("own-account", "10.6.6.6")
    lockout.failed("person5", "10.6.6.6", next(GUESSES), 0)
    assert lockout.locked("anybody", "10.6.6.6", 0)
    lockout.failed("alice", "10.0.0.1", next(GUESSES), 0)
    lockout.failed("alice", "10.0.0.1", next(GUESSES), 0)
    lockout.succeeded("alice", "10.0.0.1")
    lockout.failed("alice", "10.0.0.1", next(GUESSES), 0)
    assert not lockout.locked("alice", "10.0.0.1", 0)


def test_memory_is_bounded() -> None:
    lockout = Lockout(LIMITS)
    for number in range(1_000):
        lockout.failed("alice", f"10.0.{number // 250}.{number % 250}", next(GUESSES), 0)
    assert sum(len(failures._seen) for failures in (lockout._pairs, lockout._peers)) <= 200


def test_the_brokers_retries_of_one_guess_count_once() -> None:
    """EMQX sends a question up to three times (contract 2.7)."""
    lockout = Lockout(LIMITS)
    for guess in ("one", "two"):
        for _ in range(3):
            lockout.failed("alice", "10.0.0.1", guess, 0)
    assert not lockout.locked("alice", "10.0.0.1", 0)
    lockout.failed("alice", "10.0.0.1", "three", 0)
    assert lockout.locked("alice", "10.0.0.1", 0)


def test_one_guess_repeated_for_ever_locks_too() -> None:
    lockout = Lockout(LIMITS)
    for _ in range(5):
        lockout.failed("alice", "10.0.0.1", "the same", 0)
    assert lockout.locked("alice", "10.0.0.1", 0)


def test_the_addresses_of_one_ipv6_subscriber_are_one_peer() -> None:
    lockout = Lockout(LIMITS)
    for number in range(6):
        lockout.failed(f"person{number}", f"2001:db8:0:1::{number:x}", next(GUESSES), 0)
    assert lockout.locked("anybody", "2001:db8:0:1:ffff::1", 0)
    assert not lockout.locked("anybody", "2001:db8:0:2::1", 0)
    assert not lockout.locked("anybody", "::not an address", 0)


def test_a_place_is_known_once_somebody_has_come_in_from_it() -> None:
    lockout = Lockout(LIMITS)
    lockout.failed("alice", "10.0.0.1", next(GUESSES), 0)
    assert not lockout.known("alice", "10.0.0.1")
    lockout.succeeded("alice", "10.0.0.1")
    lockout.succeeded("bob", "2001:db8:0:1::1")
    assert lockout.known("alice", "10.0.0.1")
    assert lockout.known("bob", "2001:db8:0:1::2"), "one subscriber"
    assert not lockout.known("alice", "10.0.0.2")
    assert not lockout.known("bob", "10.0.0.1")
    lockout.failed("alice", "10.0.0.1", next(GUESSES), 0)
    assert lockout.known("alice", "10.0.0.1"), "a wrong password makes nobody a stranger"


def test_known_places_are_bounded_and_the_oldest_go() -> None:
    lockout = Lockout(LIMITS)
    lockout.succeeded("alice", "10.0.0.1")
    for number in range(LIMITS.remembered - 1):
        lockout.succeeded("bob", f"10.0.1.{number}")
    lockout.succeeded("alice", "10.0.0.1")
    lockout.succeeded("bob", "10.0.2.1")
    assert lockout.known("alice", "10.0.0.1"), "used a moment ago"
    assert not lockout.known("bob", "10.0.1.0")
    assert len(lockout._places) == LIMITS.remembered
