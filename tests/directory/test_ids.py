"""Ids, client ids and texts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from directory.errors import InvalidId, InvalidValue
from directory.ids import check_client_id, check_id, check_text, is_id, new_id


@pytest.mark.parametrize("value", ["a", "A-1_b.c", "0", "x" * 64, "emp_01hq"])
def test_an_id_of_the_syntax_is_returned(value: str) -> None:
    assert check_id("employee", value) == value


@pytest.mark.parametrize(
    "value", ["", "_a", "-a", ".a", "a" * 65, "a/b", "a+", "#", "a b", "ä", "a\n", "\na", "a\0", "张三", "١"]
)
def test_any_other_is_refused_by_name(value: str) -> None:
    with pytest.raises(InvalidId, match="employee id"):
        check_id("employee", value)


def test_new_ids_have_the_syntax_and_sort_by_age() -> None:
    ids = [new_id("emp_", now_ms) for now_ms in (0, 1, 1_700_000_000_000, 1_700_000_000_001)]
    assert ids == sorted(ids)
    assert all(is_id(one) and len(one) == 30 for one in ids)
    assert len({new_id("emp_", 1) for _ in range(1_000)}) == 1_000
    assert new_id("emp_") > ids[-1]


@pytest.mark.parametrize("prefix", ["emp", "E_", "", "a/_", "_"])
def test_a_prefix_of_another_form_is_refused(prefix: str) -> None:
    with pytest.raises(InvalidId):
        new_id(prefix)


@pytest.mark.parametrize("value", ["a", "a b", "张三_手机", "x" * 256, "é" * 128, "a$b", "_", "a\u00a0b"])
def test_a_client_id_within_the_limits_is_returned(value: str) -> None:
    assert check_client_id(value) == value


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("", "empty"),
        ("x" * 257, "257 bytes"),
        ("é" * 129, "258 bytes"),
        ("$SYS", r"begins with \$"),
        ("a/b", "contains /"),
        ("a+b", r"contains \+"),
        ("a#", "contains #"),
        ("a\0", r"U\+0000"),
        ("a\x7f", r"U\+007F"),
        ("a\x85", r"U\+0085"),
        ("\ud800", "UTF-8"),
    ],
)
def test_a_client_id_outside_is_refused_with_the_reason(value: str, why: str) -> None:
    with pytest.raises(InvalidId, match=why):
        check_client_id(value)


@given(st.text(max_size=300))
def test_a_client_id_that_is_allowed_breaks_no_limit(value: str) -> None:
    try:
        check_client_id(value)
    except InvalidId:
        return
    assert 0 < len(value.encode()) <= 256
    assert not set(value) & set("/+#") and not value.startswith("$")
    assert not any(ord(one) < 32 or 127 <= ord(one) < 160 for one in value)


def test_texts_are_of_any_language_but_without_controls() -> None:
    assert check_text("name", "张三 Ünal 🚀") == "张三 Ünal 🚀"
    assert check_text("label", "", empty=True) == ""
    for value in ("", "  ", "a\nb", "a\0", "x" * 201, "\ud800"):
        with pytest.raises(InvalidValue, match="name"):
            check_text("name", value)
