"""The gateway's topics."""

import pytest

from directory.errors import InvalidId
from gateway.errors import Unroutable
from gateway.topics import Route, Topics


@pytest.mark.parametrize("service, prefix", [("", ""), ("acme", "acme/")])
def test_topics_are_read_and_built_behind_the_service(service: str, prefix: str) -> None:
    topics = Topics(service)
    route = topics.route(f"{prefix}mchat/msg/req/zhang_web_1/seq_ab12cd34ef_1738570000000")
    assert route == Route("zhang_web_1", "seq_ab12cd34ef_1738570000000")
    assert topics.response(route) == f"{prefix}mchat/msg/resp/zhang_web_1/seq_ab12cd34ef_1738570000000"
    assert topics.requests == f"{prefix}mchat/msg/req/+/+"
    assert topics.inbox("zhang") == f"{prefix}mchat/inbox/zhang"
    assert topics.group("g") == f"{prefix}mchat/group/g"
    assert topics.profile("zhang") == f"{prefix}mchat/profile/zhang"
    assert topics.status("zhang") == f"{prefix}mchat/status/zhang"
    assert topics.notify() == f"{prefix}mchat/system/notify"
    assert topics.org_tree() == f"{prefix}mchat/org/tree"
    assert topics.capability("翻译") == f"{prefix}mchat/agent/capability/翻译"


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "mchat/msg/req",
        "mchat/msg/req/",
        "mchat/msg/req/zhang",
        "mchat/msg/req/zhang/",
        "mchat/msg/req//s",
        "mchat/msg/req/zhang/s/t",
        "mchat/msg/req/zhang/#",
        "mchat/msg/req/+/s",
        "mchat/msg/req/$zhang/s",
        "mchat/msg/req/zhang/s\x00",
        "mchat/msg/req/zhang/" + "s" * 257,
        "mchat/msg/req/" + "z" * 257 + "/s",
        "mchat/msg/resp/zhang/s",
        "acme/mchat/msg/req/zhang/s",
    ],
)
def test_what_is_no_request_has_no_route(topic: str) -> None:
    with pytest.raises(Unroutable):
        Topics().route(topic)


def test_a_request_outside_the_service_has_no_route() -> None:
    with pytest.raises(Unroutable):
        Topics("acme").route("mchat/msg/req/zhang/s")


@pytest.mark.parametrize("bad", ["#", "+", "a/b", "", "a\x00", "é", "a" * 65])
def test_an_id_is_checked_again_where_a_topic_is_built(bad: str) -> None:
    topics = Topics()
    for build in (topics.inbox, topics.group, topics.profile, topics.status):
        with pytest.raises(InvalidId):
            build(bad)


@pytest.mark.parametrize("bad", ["#", "+", "a/b", "", "a\x00", "$a"])
def test_no_wildcard_comes_in_by_a_client_or_a_skill(bad: str) -> None:
    with pytest.raises(InvalidId):
        Topics().response(Route(bad, "s"))
    with pytest.raises(InvalidId):
        Topics().response(Route("zhang", bad))
    with pytest.raises(InvalidId):
        Topics().capability(bad)


def test_a_service_is_an_id() -> None:
    with pytest.raises(InvalidId):
        Topics("a/b")
