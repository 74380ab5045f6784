"""Rules in the broker's own database: whose win, what they cover while the hooks are away, what is refused."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from emqx.api.broker import BrokerApi
from emqx.api.built_in_rules import BuiltInRule, UserRules
from emqx.api.errors import Conflict, NotFound, Rejected
from emqx.laptop.server import LaptopBroker
from tests.emqx.api.conftest import KEY, SECRET, api_settings
from tests.emqx.conftest import laptop_settings
from tests.emqx.laptop.rest.conftest import Place
from tests.emqx.mchat import FakeMChat, deny, serving
from tests.emqx.mqtt import clients_of
from tests.emqx.waiting import until

GRANTED, REFUSED = [1], [0x80]


def may(topic: str, action: Any = "subscribe", **more: Any) -> BuiltInRule:
    return BuiltInRule(topic, "allow", action, **more)


def may_not(topic: str, action: Any = "subscribe", **more: Any) -> BuiltInRule:
    return BuiltInRule(topic, "deny", action, **more)


async def test_client_id_then_user_name_then_all_and_the_first_wins(open_place: Callable[..., Any]) -> None:
    place: Place = await open_place(cache_enable=False)
    place.mchat.authz = lambda body: deny()
    await place.api.client_rules.put("c", [may("a"), may_not("b"), may_not("a")])
    await place.api.user_rules.put("e1", [may("b"), may_not("c"), may_not("a")])
    await place.api.common_rules.put([may("c"), may("d"), may_not("a")])
    client, other, third = (
        await place.clients.connected("c"),
        await place.clients.connected("o"),
        await place.clients.connected("t", username="e2"),
    )
    assert [await client.subscribe(topic) for topic in "abcde"] == [
        GRANTED,
        REFUSED,
        REFUSED,
        GRANTED,
        REFUSED,
    ]
    assert [await other.subscribe(topic) for topic in "abcd"] == [REFUSED, GRANTED, REFUSED, GRANTED]
    assert [await third.subscribe(topic) for topic in "abcd"] == [REFUSED, REFUSED, GRANTED, GRANTED]
    # What a rule knew was asked nobody.
    assert [(body["clientid"], body["topic"]) for body in place.mchat.asked("authz")] == [
        ("c", "e"),
        ("t", "b"),
    ]


async def test_placeholders_are_the_clients_own(place: Place) -> None:
    place.mchat.authz = lambda body: deny()
    await place.api.common_rules.put([may("${clientid}/x"), may("${username}/y"), may("${client_attrs.z}/z")])
    client = await place.clients.connected("c")
    assert [await client.subscribe(t) for t in ("c/x", "d/x", "e1/y", "e2/y", "/z")] == [
        GRANTED,
        REFUSED,
        GRANTED,
        REFUSED,
        REFUSED,
    ]


async def test_sources_are_asked_in_their_order(open_place: Callable[..., Any]) -> None:
    place: Place = await open_place(cache_enable=False)
    place.mchat.authz = lambda body: deny()
    await place.api.client_rules.put("c", [may("a")])
    client = await place.clients.connected("c")
    assert await client.subscribe("a") == GRANTED
    await place.api.authorization.put_order(["http", "built_in_database"])
    assert await client.subscribe("a") == REFUSED
    await place.api.authorization.put_order(["built_in_database", "http"])
    database = await place.api.authorization.get("built_in_database")
    await place.api.authorization.put("built_in_database", database.writable(enable=False))
    assert await client.subscribe("a") == REFUSED
    await place.api.authorization.put("built_in_database", database.writable(enable=True))
    assert await client.subscribe("a") == GRANTED


async def test_with_the_hooks_away_what_is_covered_goes_on_and_nothing_else() -> None:
    async with AsyncExitStack() as stack:
        hooks = await stack.enter_async_context(AsyncExitStack())
        mchat = await hooks.enter_async_context(serving(FakeMChat()))
        settings = laptop_settings(mchat.url, api_bind="127.0.0.1:0", api_key=KEY, api_secret=SECRET)
        broker = await stack.enter_async_context(LaptopBroker(settings))
        api = await stack.enter_async_context(BrokerApi(api_settings(f"http://127.0.0.1:{broker.api_port}")))
        clients = stack.enter_context(clients_of(broker.tcp_port))
        rules = [may("eq mchat/group/+"), may("mchat/group/a"), may("req/c/+", "publish", retain=False)]
        await api.client_rules.put("c", rules)
        client, watcher = await clients.connected("c"), await clients.connected("w")
        assert await watcher.subscribe("#") == GRANTED
        await hooks.aclose()

        assert await client.subscribe("mchat/group/a") == GRANTED
        assert await client.subscribe("mchat/group/+") == GRANTED
        assert await client.subscribe("mchat/group/b") == REFUSED
        assert await client.subscribe("mchat/group/#") == REFUSED
        await client.publish("req/c/1", b"covered")
        await client.publish("req/c/2", b"retained: not covered", retain=True)
        await client.publish("req/d/1", b"another's: not covered")
        await client.publish("req/c/3", b"covered again")
        await watcher.gets(2)
        assert [one.payload for one in watcher.received] == [b"covered", b"covered again"]
        assert await clients.make("n").connect() == 5
        assert await clients.make("c").connect() == 5
        assert client.paho.is_connected()


async def test_writing_rules_clears_no_memory(place: Place) -> None:
    place.mchat.authz = lambda body: deny()
    client = await place.clients.connected("c")
    assert await client.subscribe("a") == REFUSED
    await place.api.client_rules.put("c", [may("a")])
    assert await client.subscribe("a") == REFUSED
    await place.api.caches.clear("c")
    assert await client.subscribe("a") == GRANTED


async def test_without_the_source_there_are_no_rules(place: Place) -> None:
    await place.api.client_rules.put("c", [may("a")])
    await place.api.authorization.delete("built_in_database")
    for call in (
        place.api.client_rules.get("c"),
        place.api.user_rules.put("e1", []),
        place.api.common_rules.get(),
    ):
        with pytest.raises(NotFound, match="built_in_database"):
            await call
    await place.api.authorization.create({"type": "built_in_database", "enable": True, "max_rules": 2})
    with pytest.raises(NotFound):
        await place.api.client_rules.get("c")
    with pytest.raises(Rejected, match="exceeds the maximum"):
        await place.api.client_rules.put("c", [may("a")] * 3)
    with pytest.raises(Rejected, match="exceeds the maximum"):
        await place.api.common_rules.put([may("a")] * 3)
    await place.api.common_rules.put([may("a")] * 2)
    assert await place.api.common_rules.get() == (may("a"), may("a"))
    await place.api.common_rules.delete()
    assert await place.api.common_rules.get() == ()


async def test_subjects_are_bounded(open_place: Callable[..., Any]) -> None:
    place: Place = await open_place(max_rule_subjects=2)
    await place.api.client_rules.put("a", [may("t")])
    await place.api.user_rules.add([UserRules("b", (may("t"),))])
    with pytest.raises(Rejected, match="MCHAT_LAPTOP_MAX_RULE_SUBJECTS"):
        await place.api.client_rules.put("c", [may("t")])
    await place.api.client_rules.put("a", [may("u")])
    await place.api.client_rules.delete("a")
    await place.api.client_rules.put("c", [may("t")])


async def test_a_batch_is_all_or_nothing(place: Place) -> None:
    twice = [UserRules("a", (may("t"),)), UserRules("a", ())]
    with pytest.raises(Conflict):
        await place.api.user_rules.add(twice)
    with pytest.raises(NotFound):
        await place.api.user_rules.get("a")


async def test_every_rule_goes_at_once_from_a_disabled_source(place: Place) -> None:
    root = "/authorization/sources/built_in_database/rules"
    await place.api.client_rules.put("c", [may("t")])
    assert (await place.call("DELETE", root)).status_code == 400
    database = await place.api.authorization.get("built_in_database")
    await place.api.authorization.put("built_in_database", database.writable(enable=False))
    assert (await place.call("DELETE", root)).status_code == 204
    with pytest.raises(NotFound):
        await place.api.client_rules.get("c")


@pytest.mark.parametrize(
    "rule",
    [
        {"topic": "", "permission": "allow", "action": "all"},
        {"permission": "allow", "action": "all"},
        {"topic": "t", "permission": "maybe", "action": "all"},
        {"topic": "t", "permission": "allow", "action": "sing"},
        {"topic": "t", "permission": "allow", "action": "all", "qos": [3]},
        {"topic": "t", "permission": "allow", "action": "all", "retain": "perhaps"},
        # A condition that this broker does not know would make the rule wider than it is meant.
        {"topic": "t", "permission": "allow", "action": "all", "ipaddr": "10.0.0.0/8"},
    ],
)
async def test_a_rule_that_is_none_changes_nothing(place: Place, rule: dict[str, Any]) -> None:
    path = "/authorization/sources/built_in_database/rules/clients/c"
    await place.api.client_rules.put("c", [may("kept")])
    answered = await place.call("PUT", path, {"clientid": "c", "rules": [rule]})
    assert (answered.status_code, answered.json()["code"]) == (400, "BAD_REQUEST")
    assert await place.api.client_rules.get("c") == (may("kept"),)


async def test_the_status_of_the_source_counts(place: Place) -> None:
    await place.api.client_rules.put("c", [may("a"), may_not("b")])
    client = await place.clients.connected("c")
    for topic in "abc":
        await client.subscribe(topic)
    status = await place.api.authorization.status("built_in_database")
    counted = {name: status.metrics[name] for name in ("total", "allow", "deny", "nomatch")}
    assert counted == {"total": 3, "allow": 1, "deny": 1, "nomatch": 1}
    assert (await place.api.authorization.status("http")).resource_metrics["success"] == 1
    await until(lambda: place.mchat.asked("authz"))
