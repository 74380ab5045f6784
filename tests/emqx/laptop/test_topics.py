import pytest
from hypothesis import given
from hypothesis import strategies as st

from emqx.laptop.topics import TopicError, check_name, delay, matches, parse_filter, undelayed

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("text", "levels", "group", "asked"),
    [
        ("t/+", ("t", "+"), None, "t/+"),
        ("$share/g/t/+", ("t", "+"), "g", "t/+"),
        ("$share/g//t", ("", "t"), "g", "/t"),
        ("$queue/t", ("t",), "$queue", "t"),
        ("$exclusive/t", ("t",), None, "t"),
        ("$share/g/$exclusive/x", ("$exclusive", "x"), "g", "$exclusive/x"),
        ("$exclusive/$queue/x", ("$queue", "x"), None, "$queue/x"),
        ("$delayed/1/x", ("$delayed", "1", "x"), None, "x"),
        ("$share/g/$delayed/1/x", ("$delayed", "1", "x"), "g", "x"),
        ("$delayed/#", ("$delayed", "#"), None, None),
        ("$SYS/#", ("$SYS", "#"), None, "$SYS/#"),
        ("$queue", ("$queue",), None, "$queue"),
        ("客户/+", ("客户", "+"), None, "客户/+"),
    ],
)
def test_filter(text: str, levels: tuple[str, ...], group: str | None, asked: str | None) -> None:
    parsed = parse_filter(text)
    assert (parsed.text, parsed.levels, parsed.group, parsed.asked) == (text, levels, group, asked)
    assert parsed.exclusive == text.startswith("$exclusive/")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "$share//t",
        "$share/+/t",
        "$share/g#/t",
        "$share/g",
        "$share",
        "$share/g/",
        "$share/g/$share/h/t",
        "$share/g/$queue/t",
        "$queue/$share/g/t",
        "$queue/",
        "$exclusive/",
        "a/#/b",
        "a+",
        "a/b#",
        "a\0b",
        "/".join("x" * 129),
    ],
)
def test_no_filter(text: str) -> None:
    with pytest.raises(TopicError):
        parse_filter(text)


@pytest.mark.parametrize("name", ["", "a/+", "#", "a\0", "/".join("x" * 129)])
def test_no_name(name: str) -> None:
    with pytest.raises(TopicError):
        check_name(name)


@pytest.mark.parametrize("name", ["a", "/", "a//b", "$share/g/t", "房间/一", "/".join("x" * 128)])
def test_name(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize(
    ("topic", "asked", "delivery"),
    [
        ("t", "t", None),
        ("$delayed/1/t", "t", (1, "t")),
        ("$delayed/1", None, None),
        ("$delayed/1/", None, None),
        ("$delayed/x/t", "t", None),
        ("$delayed//t", "t", None),
        ("$delayed/-1/t", "t", (0, "t")),
        ("$delayed/99999999999/t", "t", None),
        ("$delayed/1800000010/t", "t", (10, "t")),
        ("$delayed/²/t", "t", None),
        ("$delayed/1/$delayed/1/t", "t", (1, "$delayed/1/t")),
    ],
)
def test_delayed(topic: str, asked: str | None, delivery: tuple[float, str] | None) -> None:
    assert undelayed(topic) == asked
    assert delay(topic, NOW) == delivery


LEVEL = st.sampled_from(["a", "b", "", "$x"])


def naive(levels: list[str], name: list[str]) -> bool:
    if levels == ["#"]:
        return True
    if not levels or not name:
        return levels == name
    return levels[0] in ("+", name[0]) and naive(levels[1:], name[1:])


@given(
    st.lists(LEVEL | st.just("+"), max_size=3),
    st.booleans(),
    st.lists(LEVEL, min_size=1, max_size=4),
)
def test_matches_is_that_of_the_reference(head: list[str], multi: bool, name: list[str]) -> None:
    levels = [*head, "#"] if multi or not head else head
    hidden = name[0].startswith("$") and levels[0] in ("+", "#")
    assert matches(tuple(levels), "/".join(name)) == (not hidden and naive(levels, name))
