import pytest

from emqx.check.reach import covers, reaches

OURS = ("mchat/#", "u/+/chat/send")


@pytest.mark.parametrize(
    "topic",
    [
        *("mchat/inbox/e1", "mchat", "mchat/#", "#", "+/inbox/x", "+", "mchat/+/+"),
        *("${payload.to}", "mc${x}/y", "mchat/${x}", "${x}/y", "$1", "$1/x", "%u/inbox", "mchat/%c"),
        *("u/e1/chat/send", "u/${username}/chat/send", "u/+/#", "u/e1/ch${x}"),
        *("$delayed/1/mchat/x", "$delayed/1/$delayed/2/mchat/x", "$share/g/mchat/x", "$queue/mchat/x"),
    ],
)
def test_reaches_ours(topic: str) -> None:
    assert reaches(topic, OURS)


@pytest.mark.parametrize(
    "topic",
    [
        *("x", "mchats/inbox", "x/mchat/y", "x/#", "x/${clientid}", "mchatx${x}", "x$1"),
        *("u/e1/chat/receive", "u/e1/chat", "u/e1/chat/send/x", "u/+/chat/re${x}"),
        *("$delayed/1/x", "$share/mchat/x", "x/%u"),
    ],
)
def test_does_not_reach_ours(topic: str) -> None:
    assert not reaches(topic, OURS)


@pytest.mark.parametrize(
    ("wide", "narrow"),
    [
        *(
            ("a/#", "a/b"),
            ("a/#", "a/#"),
            ("a/#", "a/+"),
            ("a/#", "a"),
            ("#", "a/#"),
            ("a/+", "a/+"),
            ("a/+", "a/b"),
        ),
        *(("+/b", "a/b"), ("a/b", "a/b")),
    ],
)
def test_covers(wide: str, narrow: str) -> None:
    assert covers(wide, narrow)


@pytest.mark.parametrize(
    ("wide", "narrow"),
    [
        ("a/+", "a/#"),
        ("a/b", "a/+"),
        ("a/b", "a/c"),
        ("a", "a/b"),
        ("a/b", "a"),
        ("+", "#"),
        ("a/+/#", "a/#"),
    ],
)
def test_does_not_cover(wide: str, narrow: str) -> None:
    assert not covers(wide, narrow)
