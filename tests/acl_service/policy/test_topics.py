from contextlib import suppress
from itertools import product

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from acl_service.policy.topics import (
    MAX_BYTES,
    Reach,
    TopicError,
    covers,
    matches,
    overlaps,
    parse_filter,
    parse_name,
    reach,
)
from tests.acl_service.policy.names import World, meaning

# A machine that is busy with other tests is no fault of these.
unhurried = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

# "n" stands in no filter, so it plays every word that a filter does not name.
NAMES = World(("a", "b", "", "$s", "n"), 4)


def small_filters() -> list[str]:
    """All filters of up to three levels (and a `#` behind them) over a small alphabet."""
    trunks = [words for depth in range(4) for words in product(("a", "b", "", "$s", "+"), repeat=depth)]
    plain = ["/".join(words) for words in trunks]
    return [text for text in plain if text] + ["/".join((*words, "#")) for words in trunks]


FILTERS = small_filters()
words = st.text(st.characters(exclude_characters="/+#\0", exclude_categories=["Cs"]), max_size=3)
levels = st.one_of(st.sampled_from(["a", "b", "", "$s"]), words)
names = st.lists(levels, min_size=1, max_size=5).map("/".join).filter(bool)
filters = (
    st.tuples(st.lists(st.one_of(st.just("+"), levels), max_size=5), st.booleans())
    .map(lambda parts: "/".join([*parts[0], "#"] if parts[1] else parts[0]))
    .filter(bool)
)


def test_matches_means_what_the_standard_says_for_all_small_filters() -> None:
    for text in FILTERS:
        fits = meaning(text).fullmatch
        assert [matches(name, text) for name in NAMES.names] == [bool(fits(name)) for name in NAMES.names], (
            text
        )


def test_covers_and_overlaps_are_subset_and_intersection_for_all_small_filters() -> None:
    for a, b in product(FILTERS, repeat=2):
        assert covers(a, b) == NAMES.covers(a, b), (a, b)
        assert overlaps(a, b) == NAMES.overlaps(a, b), (a, b)


@unhurried
@given(names, filters)
def test_matches_means_what_the_standard_says(name: str, filter: str) -> None:  # noqa: A002
    assert matches(name, filter) == bool(meaning(filter).fullmatch(name))


@unhurried
@given(filters, filters, names)
def test_a_name_carries_covering_and_overlapping(a: str, b: str, name: str) -> None:
    if matches(name, b) and covers(a, b):
        assert matches(name, a)
    if matches(name, a) and matches(name, b):
        assert overlaps(a, b)
    assert overlaps(a, b) == overlaps(b, a)
    assert covers(a, a)
    assert covers("#", a) == (not a.startswith("$"))


@unhurried
@given(filters, filters, filters)
def test_covering_is_transitive_and_keeps_overlaps(a: str, b: str, c: str) -> None:
    if covers(a, b) and covers(b, c):
        assert covers(a, c)
    if covers(a, b) and overlaps(b, c):
        assert overlaps(a, c)


@pytest.mark.parametrize(
    ("allowed", "requested", "expected"),
    [
        ("+/#", "#", True),
        ("#", "+/#", True),
        ("+/+/#", "#", False),
        ("a/#", "a", True),
        ("a/+/#", "a/#", False),
        ("a/+", "a/#", False),
        ("#", "$SYS/#", False),
        ("$SYS/#", "$SYS/+", True),
        ("+", "", TopicError),
        ("/+", "/", True),
        ("+/+", "/", True),
    ],
)
def test_covers_by_example(allowed: str, requested: str, expected: bool | type[Exception]) -> None:
    if isinstance(expected, bool):
        assert covers(allowed, requested) is expected
    else:
        with pytest.raises(expected):
            covers(allowed, requested)


@pytest.mark.parametrize("bad", ["", "a\0b", "\ud800", "x" * (MAX_BYTES + 1), "é" * (MAX_BYTES // 2 + 1)])
def test_texts_that_mqtt_cannot_carry_are_refused(bad: str) -> None:
    for parse in (parse_name, parse_filter):
        with pytest.raises(TopicError) as caught:
            parse(bad)
        assert len(str(caught.value).encode()) < 300


@pytest.mark.parametrize(
    "good", ["x" * MAX_BYTES, "é" * (MAX_BYTES // 2), "/", "//", "群组/一", " ", "$SYS/a", "a//b"]
)
def test_texts_that_mqtt_can_carry_are_split_at_each_separator(good: str) -> None:
    assert parse_name(good) == parse_filter(good) == tuple(good.split("/"))


@pytest.mark.parametrize("bad", ["a/#/b", "#/", "a#", "#a", "a/b#", "a+", "+a/b", "a/++", "##", "+#"])
def test_misplaced_wildcards_are_refused(bad: str) -> None:
    with pytest.raises(TopicError, match="must be"):
        parse_filter(bad)


@pytest.mark.parametrize("bad", ["+", "#", "a/+", "a/#", "a+b"])
def test_a_name_has_no_wildcards(bad: str) -> None:
    with pytest.raises(TopicError, match="wildcard"):
        parse_name(bad)


@unhurried
@given(st.text())
def test_any_text_is_parsed_or_refused(text: str) -> None:
    for parse in (parse_name, parse_filter):
        with suppress(TopicError):
            assert "/".join(parse(text)) == text


@pytest.mark.parametrize(
    ("topic", "expected"),
    [
        ("a/+/#", Reach("a/+/#")),
        ("$SYS/x", Reach("$SYS/x")),
        ("$share/g/a/b", Reach("a/b")),
        ("$share/g//a", Reach("/a")),
        ("$share/g/#", Reach("#")),
        ("$exclusive/a", Reach("a")),
        ("$delayed/10/a", Reach("a")),
        ("$delayed//a", Reach("a")),
        ("$q/a/+", Reach("a/+")),
        ("$s/earliest/a/#", Reach("a/#")),
        ("$queue/jobs/a/b", Reach("a/b", "jobs")),
        ("$stream/log/a", Reach("a", "log")),
        ("$share/g/$exclusive/a", Reach("a")),
        ("$share/g/$queue/jobs/a", Reach("a", "jobs")),
        ("$share/g/$SYS/#", Reach("$SYS/#")),
        ("$sharing/g/a", Reach("$sharing/g/a")),
        ("a/$share/g/b", Reach("a/$share/g/b")),
    ],
)
def test_a_subscription_reaches_what_stands_behind_its_prefixes(topic: str, expected: Reach) -> None:
    assert reach("subscribe", topic) == expected


@pytest.mark.parametrize(
    "bad",
    [
        *("$share", "$share/", "$share/g", "$share/g/", "$share//a", "$share/+/a", "$share/#", "$share/a#/b"),
        *("$queue/jobs", "$queue/jobs/", "$queue//a", "$queue/+/a", "$queue/#", "$stream/log", "$queue"),
        *(
            "$exclusive",
            "$exclusive/",
            "$delayed/1",
            "$delayed/#",
            "$delayed/+/a",
            "$q",
            "$q/",
            "$s/1",
            "$s//a",
        ),
        *("$queue/a/$stream/b/c", "$share/g/a/#/b", "$exclusive/" * 9 + "a", ""),
    ],
)
def test_a_malformed_prefix_reaches_nothing(bad: str) -> None:
    with pytest.raises(TopicError):
        reach("subscribe", bad)


def test_publishing_knows_one_prefix_only() -> None:
    assert reach("publish", "$delayed/5/a/b") == Reach("a/b")
    assert reach("publish", "$delayed/1/$delayed/1/a") == Reach("a")
    for ordinary in ("$share/g/a", "$queue/jobs", "$exclusive/a", "$q/a", "$s", "$stream/x"):
        assert reach("publish", ordinary) == Reach(ordinary)
    for bad in ("$delayed/1", "$delayed/1/", "$delayed", "$delayed/1/a/+", "$share/g/#"):
        with pytest.raises(TopicError):
            reach("publish", bad)


@unhurried
@given(filters, st.sampled_from(["$share/g/", "$exclusive/", "$delayed/3/", "$q/", "$s/0/", "$queue/n/"]))
def test_a_prefix_changes_nothing_in_what_is_reached(filter: str, prefix: str) -> None:  # noqa: A002
    try:
        plain = reach("subscribe", filter)
    except TopicError:
        return
    if plain.queue is None:
        assert reach("subscribe", prefix + filter).topic == plain.topic
