from hypothesis import given
from hypothesis import strategies as st

from emqx.laptop.router import Route, Router, Share
from emqx.laptop.topics import matches, parse_filter

PUBLISHERS = [f"p{number}" for number in range(40)]


def router(*subscriptions: tuple[str, str]) -> Router:
    made = Router()
    for client_id, text in subscriptions:
        made.subscribe(client_id, parse_filter(text), 1)
    return made


def test_a_copy_for_each_matching_subscription() -> None:
    made = router(("a", "t/+"), ("a", "t/#"), ("b", "t/1"), ("c", "u"))
    assert sorted(made.routes("t/1", "p")) == [Route("a", 1), Route("a", 1), Route("b", 1)]


def test_wildcards_do_not_reach_dollar_topics() -> None:
    made = router(("a", "#"), ("b", "+/x"), ("c", "$SYS/#"), ("d", "$SYS/+"))
    assert {route.client_id for route in made.routes("$SYS/x", "p")} == {"c", "d"}


def test_subscribing_again_replaces() -> None:
    made = router(("a", "t"))
    made.subscribe("a", parse_filter("t"), 2)
    assert made.routes("t", "p") == [Route("a", 2)]


def test_group_sends_one_copy_and_a_publisher_keeps_its_member() -> None:
    made = router(("a", "$share/g/t/+"), ("b", "$share/g/t/+"))
    chosen = {publisher: made.routes(f"t/{publisher}", publisher) for publisher in PUBLISHERS}
    assert {len(routes) for routes in chosen.values()} == {1}
    assert {routes[0].client_id for routes in chosen.values()} == {"a", "b"}
    assert all(made.routes("t/other", publisher) == chosen[publisher] for publisher in PUBLISHERS)
    assert chosen["p0"][0].share == Share("g", ("t", "+"))


def test_groups_and_plain_subscribers_each_get_it() -> None:
    made = router(
        ("a", "$share/g/t"), ("b", "$share/h/t"), ("c", "$queue/t"), ("d", "t"), ("d", "$share/g/t")
    )
    assert len(made.routes("t", "p")) == 4


def test_member_that_subscribes_again_goes_to_the_end() -> None:
    made, turned = router(("a", "$queue/t"), ("b", "$queue/t")), router(("b", "$queue/t"), ("a", "$queue/t"))
    made.subscribe("a", parse_filter("$queue/t"), 1)
    assert [made.routes("t", p) for p in PUBLISHERS] == [turned.routes("t", p) for p in PUBLISHERS]


def test_member_of_a_group_that_is_gone() -> None:
    made = router(("a", "$share/g/t/1"))
    share = made.routes("t/1", "p")[0].share
    assert share is not None
    assert made.member(share, "p") == Route("a", 1, share)
    made.unsubscribe("a", parse_filter("$share/g/t/1"))
    assert made.member(share, "p") is None
    assert router(("b", "t/1")).member(share, "p") is None


def test_unsubscribing_what_is_not_there() -> None:
    made = router(("a", "t/1"), ("a", "$share/g/u"))
    for text in ("t", "t/1/2", "x", "$share/h/t/1", "$share/h/u"):
        made.unsubscribe("a", parse_filter(text))
    assert len(made.routes("t/1", "p")) == len(made.routes("u", "p")) == 1


LEVEL = st.sampled_from(["a", "b", "$c"])
NAME = st.lists(LEVEL, min_size=1, max_size=4).map("/".join)
FILTER = st.builds(
    lambda levels, rest: "/".join([*levels, *rest]) or "#",
    st.lists(LEVEL | st.just("+"), max_size=3),
    st.sampled_from([[], ["#"]]),
)
STEP = st.tuples(st.sampled_from(["subscribe", "unsubscribe"]), st.sampled_from(["x", "y"]), FILTER)


@given(st.lists(STEP, max_size=12), NAME)
def test_routes_are_those_of_a_plain_list(steps: list[tuple[str, str, str]], name: str) -> None:
    made, plain = Router(), set[tuple[str, str]]()
    for action, client_id, text in steps:
        if action == "subscribe":
            made.subscribe(client_id, parse_filter(text), 0)
            plain.add((client_id, text))
        else:
            made.unsubscribe(client_id, parse_filter(text))
            plain.discard((client_id, text))
    expected = sorted(client for client, text in plain if matches(parse_filter(text).levels, name))
    assert sorted(route.client_id for route in made.routes(name, "p")) == expected


@given(st.lists(st.tuples(st.sampled_from(["x", "y"]), FILTER), max_size=8))
def test_nothing_is_left_when_all_is_unsubscribed(subscriptions: list[tuple[str, str]]) -> None:
    made = router(*subscriptions)
    for client_id, text in subscriptions:
        made.unsubscribe(client_id, parse_filter(text))
    assert made._root.empty
