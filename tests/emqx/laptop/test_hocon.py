from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emqx.laptop.hocon import HoconError, parse, render

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
NAMES = st.one_of(st.from_regex(r"[a-z][a-z0-9_-]{0,8}", fullmatch=True), TEXTS.filter(bool))
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**53), 2**53), TEXTS, st.sampled_from(["true", "null", "deny"])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=12,
)


@given(st.dictionaries(NAMES, VALUES, max_size=4))
def test_what_is_written_reads_back(value: dict[str, Any]) -> None:
    assert parse(render(value)) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", {}),
        ("{}", {}),
        ("# nothing\n// at all\n", {}),
        ("a = 1", {"a": 1}),
        ("{ a = 1 }", {"a": 1}),
        ("a : -1.5, b = true; ".replace(";", ""), {"a": -1.5, "b": True}),
        ("a.b.c = x", {"a": {"b": {"c": "x"}}}),
        ("a.b { c = 1 }\na.b.d = 2", {"a": {"b": {"c": 1, "d": 2}}}),
        ("a { b = 1 }\na { b = 2 }", {"a": {"b": 2}}),
        ("a = { b = 1 }\na = 2", {"a": 2}),
        ('"a.b" = 1', {"a.b": 1}),
        ("a = 24h\nb = 1GB # each", {"a": "24h", "b": "1GB"}),
        ("a = [1, two\n 3 ]", {"a": [1, "two", 3]}),
        ("a =\n  b", {"a": "b"}),
        ('a = "\\u0041\\n"', {"a": "A\n"}),
        ('a = """x "y"\nz"""\nb = 1', {"a": 'x "y"\nz', "b": 1}),
        ('a = """"""', {"a": ""}),
        ('a {\n  sql = """~\n    SELECT *\n      FROM "t"~"""\n}', {"a": {"sql": 'SELECT *\n  FROM "t"'}}),
        ("a = ${x}".replace("${x}", '"${x}"'), {"a": "${x}"}),
    ],
)
def test_what_emqx_reads(text: str, value: dict[str, Any]) -> None:
    assert parse(text) == value


@pytest.mark.parametrize(
    "text",
    [
        *("a", "a =", "a = 1 }", "{ a = 1", "a = [1", "= 1", "a..b = 1", ".a = 1"),
        *(
            "a = ${b}",
            "include x",
            "a += 1",
            'a = """x',
            'a = """x""" y',
            "a = b c",
            'a = "x" y',
            'a = "\\q"',
            'a = "open',
        ),
        *('a = """x', 'a = """x""" y'),
        "a = " + "[" * 40 + "]" * 40,
        "a" + "{a" * 40 + "=1" + "}" * 40,
    ],
)
def test_what_is_not_understood_is_said_with_its_line(text: str) -> None:
    with pytest.raises(HoconError, match=r"line 2: ") as refused:
        parse("\n" + text)
    assert refused.value.line == 2


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(HoconError):
        parse(text)
