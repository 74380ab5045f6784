"""The same value in other words is no difference; another value is one."""

import pytest

from emqx.desired.likeness import alike, authorization_of, differences
from tests.emqx.desired.wishes import wish


@pytest.mark.parametrize(
    ("there", "wanted"),
    [
        ("120s", "2m"),
        ("1h30m", "90m"),
        ("1024MB", "1GB"),
        ("1gb", "1GB"),
        (True, True),
        ("******", "Bearer x"),
    ],
)
def test_alike(there: object, wanted: object) -> None:
    assert alike(there, wanted)


@pytest.mark.parametrize(
    ("there", "wanted"),
    [
        ("2m", "3m"),
        ("infinity", "5m"),
        ("1GB", "1MB"),
        (1, True),
        ("true", True),
        (None, "x"),
        (None, "******"),
    ],
)
def test_unlike(there: object, wanted: object) -> None:
    assert not alike(there, wanted)


def test_what_is_not_wanted_in_particular_may_be_anything() -> None:
    assert differences({"a": 1, "b": {"c": 2, "d": 3}}, {"a": 1, "b": {"c": 2}}) == ()
    assert differences({"a": 1, "b": {"c": 4}}, {"a": 2, "b": {"c": 2}}) == ("a", "b.c")
    assert differences({}, {"b": {"c": 2}}) == ("b",)


def test_a_body_is_exactly_as_wanted() -> None:
    wanted = wish().sources[1]
    assert differences(wanted | {"ssl": {"enable": False, "depth": 10}}, wanted) == ()
    more = wanted | {"body": wanted["body"] | {"listener": "${listener}"}}
    assert differences(more, wanted) == ("body",)


def test_a_precondition_is_a_difference() -> None:
    wanted = wish().authenticator
    assert differences(wanted | {"precondition": ""}, wanted) == ()
    assert differences(wanted | {"precondition": "str_eq(listener, 'tcp:default')"}, wanted) == (
        "precondition",
    )


def test_the_header_is_found_however_it_is_written() -> None:
    assert authorization_of({"headers": {"Authorization": "Bearer x"}}) == "Bearer x"
    assert authorization_of({"headers": {"accept": "*/*"}}) is None
    assert authorization_of([]) is None
