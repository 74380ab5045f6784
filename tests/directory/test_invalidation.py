from hypothesis import given
from hypothesis import strategies as st

from directory.changes import Subject
from directory.invalidation import Invalidations

KINDS = ("employee", "group", "department", "role", "everyone", "client", "owner", "policy")
subjects = st.builds(Subject, st.sampled_from(KINDS), st.sampled_from("abc"))
histories = st.lists(st.one_of(st.none(), st.lists(subjects, min_size=1, max_size=3)), max_size=12)


def test_a_row_read_before_a_change_of_its_subject_is_stale_and_one_read_after_is_not() -> None:
    invalidations = Invalidations()
    invalidations.record(5, [Subject("employee", "a")])
    assert not invalidations.holds(4, [("employee", "a")])
    assert invalidations.holds(5, [("employee", "a")])
    assert invalidations.holds(4, [("employee", "b")])


def test_a_change_whose_subjects_are_unknown_makes_everything_before_it_stale() -> None:
    invalidations = Invalidations()
    invalidations.record(5, None)
    assert not invalidations.holds(4, [])
    assert invalidations.holds(5, [])


@given(histories, st.integers(0, 12), st.sets(st.sampled_from("abc")), st.integers(1, 3))
def test_no_stale_row_is_ever_held(
    history: list[list[Subject] | None], read_at: int, groups: set[str], remembered: int
) -> None:
    """Whatever is forgotten for want of memory, a change after the reading is never overlooked."""
    bounded = Invalidations(remembered)
    full = Invalidations(1_000)
    for version, changed in enumerate(history, start=1):
        bounded.record(version, changed)
        full.record(version, changed)
    after = history[read_at:]
    touched = {("employee", "a"), *(("group", group) for group in groups)}
    stale = any(one is None or any((s.kind, s.id) in touched for s in one) for one in after)
    holds = (("employee", "a"),)
    assert full.holds(read_at, holds, groups) == (not stale)
    if stale:
        assert not bounded.holds(read_at, holds, groups)


def test_each_change_begins_an_epoch() -> None:
    invalidations = Invalidations()
    seen = {invalidations.epoch}
    for version in range(1, 5):
        invalidations.record(version, [Subject("employee", "a")])
        seen.add(invalidations.epoch)
    assert len(seen) == 5
