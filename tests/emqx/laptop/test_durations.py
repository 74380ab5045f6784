import pytest
from hypothesis import given
from hypothesis import strategies as st

from emqx.laptop.durations import seconds, written


@pytest.mark.parametrize(
    ("text", "value"),
    [("5s", 5), ("1m", 60), ("1h30m", 5_400), ("500ms", 0.5), ("1d", 86_400), ("1.5s", 1.5), ("0s", 0)],
)
def test_durations_are_read(text: str, value: float) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "5", "s", "5 s", "-5s", "soon", "infinity", "5s "])
def test_what_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no duration"):
        seconds(text)


@given(st.integers(0, 10**9))
def test_what_is_written_reads_back(milliseconds: int) -> None:
    assert seconds(written(milliseconds / 1_000)) == pytest.approx(milliseconds / 1_000)


def test_the_shortest_way_is_written() -> None:
    assert [written(value) for value in (7_200, 90, 0.25, 0)] == ["2h", "90s", "250ms", "0s"]
