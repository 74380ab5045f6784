"""Refusals are audited up to a number."""

from gateway.refusals import Refusals


def test_so_many_in_a_minute_are_audited_for_each_client() -> None:
    refusals = Refusals(most=3)
    assert [refusals.audited("a", 1_000) for _ in range(5)] == [True] * 3 + [False] * 2
    assert refusals.audited("b", 1_000)
    assert not refusals.audited("a", 60_999) and refusals.audited("a", 61_000)
    assert refusals.unaudited == 3


def test_what_is_remembered_is_bounded() -> None:
    refusals = Refusals(most=1)
    for number in range(10_001):
        assert refusals.audited(f"c{number}", 1)
    # The longest unheard is forgotten.
    assert refusals.audited("c0", 1) and not refusals.audited("c10000", 1)
