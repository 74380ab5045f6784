"""What no recording shows: versions after 5.8, values of our own, states between."""

import json
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from emqx.api.banned import Ban
from emqx.api.broker import BrokerApi
from emqx.api.built_in_rules import BuiltInRule, ClientRules
from emqx.api.caches import NodeCache
from emqx.api.clients import Client
from emqx.api.errors import Broken, Conflict, Rejected, Unaddressable
from emqx.api.nodes import Node
from emqx.api.publishing import Message, Properties, Published
from tests.emqx.api.server import Behaviour, answers, serving

Connect = Callable[..., BrokerApi]

PAGE = answers(404, b"<html>", content_type="text/html")
NO_AUTHENTICATOR = answers(404, {"code": "NOT_FOUND", "message": "Authenticator 'node_cache' does not exist"})


@pytest.mark.parametrize("missing", [PAGE, NO_AUTHENTICATOR])
async def test_a_version_without_node_caches_says_so_and_is_well(
    connect: Connect, missing: Behaviour
) -> None:
    async with serving(missing) as server:
        api = connect(server.url, circuit_failures=1)
        assert await api.caches.node_cache() is None
        assert await api.caches.node_status("authentication") is None
        assert await api.caches.reset_node("authorization") is False
        assert await api.authentication.settings() is None
        assert api.state.well


async def test_node_caches_of_later_versions(connect: Connect) -> None:
    settings = {"enable": True, "cache_ttl": "1m"}
    async with serving(
        answers(200, settings),
        answers(204),
        answers(200, {"metrics": {"count": 3}}),
        answers(204),
        answers(204),
        answers(200, {"node_cache": settings}),
        answers(204),
    ) as server:
        api = connect(server.url)
        cache = await api.caches.node_cache()
        assert cache == NodeCache(settings)
        await api.caches.put_node_cache(cache.writable(enable=False))
        assert await api.caches.node_status("authorization") == {"metrics": {"count": 3}}
        assert await api.caches.reset_node("authorization") is True
        assert await api.caches.reset_node("authentication") is True
        all_of = await api.authentication.settings()
        assert all_of is not None
        await api.authentication.put_settings(all_of)
        assert [(seen.method, seen.path.removeprefix("/api/v5")) for seen in server.seen] == [
            ("GET", "/authorization/node_cache"),
            ("PUT", "/authorization/node_cache"),
            ("GET", "/authorization/node_cache/status"),
            ("POST", "/authorization/node_cache/reset"),
            ("POST", "/authentication/node_cache/reset"),
            ("GET", "/authentication/settings"),
            ("PUT", "/authentication/settings"),
        ]
        assert json.loads(server.seen[1].body) == {"enable": False, "cache_ttl": "1m"}
        assert json.loads(server.seen[6].body) == {"node_cache": settings}


async def test_rules_are_read_as_they_were_written(connect: Connect) -> None:
    rules = (
        BuiltInRule("eq a/+", "allow", "subscribe"),
        BuiltInRule("b", "allow", "publish", qos=(0, 1), retain=False),
        BuiltInRule("c", "deny", "all", retain=True),
    )
    stored = [
        {"topic": "eq a/+", "permission": "allow", "action": "subscribe", "qos": [0, 1, 2], "retain": "all"},
        {"topic": "b", "permission": "allow", "action": "publish", "qos": [0, 1], "retain": False},
        {"topic": "c", "permission": "deny", "action": "all", "qos": [0, 1, 2], "retain": True},
    ]
    async with serving(answers(204), answers(200, {"clientid": "c1", "rules": stored})) as server:
        api = connect(server.url)
        await api.client_rules.put("c1", rules)
        assert json.loads(server.seen[0].body) == {
            "clientid": "c1",
            "rules": [
                {"topic": "eq a/+", "permission": "allow", "action": "subscribe"},
                {"topic": "b", "permission": "allow", "action": "publish", "qos": [0, 1], "retain": False},
                {"topic": "c", "permission": "deny", "action": "all", "retain": True},
            ],
        }
        assert await api.client_rules.get("c1") == rules


async def test_a_rule_with_a_condition_is_not_the_rule_without(connect: Connect) -> None:
    stored = {"topic": "a", "permission": "allow", "action": "all", "ipaddr": "10.0.0.0/8"}
    async with serving(answers(200, {"clientid": "c1", "rules": [stored]})) as server:
        assert await connect(server.url).client_rules.get("c1") != (BuiltInRule("a", "allow", "all"),)


async def test_a_rule_that_is_none_is_not_guessed_at(connect: Connect) -> None:
    stored = {"topic": "a", "permission": "perhaps", "action": "all"}
    async with serving(answers(200, {"clientid": "c1", "rules": [stored]})) as server:
        with pytest.raises(
            Broken, match=r"GET /authorization/sources/.*/clients/c1: .*\$\.rules\[0\]\.permission"
        ):
            await connect(server.url).client_rules.get("c1")


async def test_what_is_there_already_is_a_conflict(connect: Connect) -> None:
    async with serving(
        answers(409, {"code": "ALREADY_EXISTS", "message": "Client 'c1' already exist"})
    ) as server:
        with pytest.raises(Conflict, match="change the one that is there") as raised:
            await connect(server.url).client_rules.add([ClientRules("c1", ())])
        assert isinstance(raised.value, Rejected)
        assert (raised.value.status, raised.value.code) == (409, "ALREADY_EXISTS")


async def test_an_id_too_long_for_a_path_is_unaddressable(connect: Connect) -> None:
    async with serving(answers(414)) as server:
        api = connect(server.url)
        with pytest.raises(Unaddressable, match=r"EMQX finds the path or query too long \(414\)"):
            await api.clients.kick("x" * 5_000)
        with pytest.raises(
            Unaddressable, match="path and query are longer than a URL may be; send ids in a body"
        ):
            await api.clients.kick("x" * 70_000)
        assert len(server.seen) == 1
        assert api.state.well


@pytest.mark.parametrize("kind", ["text/html", "application/json"])
async def test_what_is_no_text_is_not_taken_for_it(connect: Connect, kind: str) -> None:
    async with serving(
        answers(200, b"x", content_type=kind), answers(200, b"x", content_type="text/plain")
    ) as server:
        api = connect(server.url)
        with pytest.raises(Broken, match=f"the answer is '{kind}', not text"):
            await api.nodes.status()
        assert await api.nodes.status() == "x"


async def test_binary_payloads_and_properties(connect: Connect) -> None:
    message = Message(
        "t", b"\x00\xff", 2, True, Properties(user_properties={"a": "b"}, message_expiry_interval=5)
    )
    async with serving(answers(202, {"message": "no_matching_subscribers", "reason_code": 16})) as server:
        published = await connect(server.url).publishing.publish(message)
        assert published == Published(None, 16, "no_matching_subscribers")
        assert not published.delivered
        assert json.loads(server.seen[0].body) == {
            "topic": "t",
            "payload": "AP8=",
            "payload_encoding": "base64",
            "qos": 2,
            "retain": True,
            "properties": {"user_properties": {"a": "b"}, "message_expiry_interval": 5},
        }


@pytest.mark.parametrize(
    ("moment", "epoch"),
    [
        ("2026-11-21T08:43:11.016+00:00", 1795250591016),
        ("2026-11-21T10:43:11.016+02:00", 1795250591016),
        (None, None),
    ],
)
async def test_a_connection_has_the_epoch_that_events_tell(
    connect: Connect, moment: str | None, epoch: int | None
) -> None:
    async with serving(answers(200, {"clientid": "c", "connected_at": moment})) as server:
        assert (await connect(server.url).clients.get("c")).epoch == epoch


async def test_what_was_not_told_is_none_and_not_empty(connect: Connect) -> None:
    async with serving(
        answers(200, {"clientid": "c"}), answers(200, {"clientid": "c", "client_attrs": {}})
    ) as server:
        api = connect(server.url)
        assert await api.clients.get("c") == Client(client_id="c")
        assert (await api.clients.get("c")).attributes == {}


@pytest.mark.parametrize(
    ("versions", "oldest"),
    [
        (["5.8.9"], (5, 8, 9)),
        (["6.2.1-beta.2", "5.10.0"], (5, 10, 0)),
        (["v5.8.10", "5.9.0"], (5, 8, 10)),
        (["5.8.9", "unknown"], None),
        ([], None),
    ],
)
async def test_the_oldest_node_is_the_version(
    connect: Connect, versions: list[str], oldest: tuple[int, int, int] | None
) -> None:
    nodes = [{"node": "n", "version": version, "node_status": "running"} for version in versions]
    async with serving(answers(200, nodes)) as server:
        assert await connect(server.url).nodes.oldest() == oldest


def test_a_ban_knows_its_end() -> None:
    assert Ban(kind="clientid", who="c", until="infinity").ends is None
    assert Ban(kind="clientid", who="c").ends is None
    ends = Ban(kind="clientid", who="c", until="2030-01-01T00:00:00+00:00").ends
    assert ends == datetime(2030, 1, 1, tzinfo=UTC)
    assert Node(node="n", version="5.8", node_status="running").release is None
