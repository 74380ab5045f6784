"""Zones, HOCON and listeners through the API, and what of them clients meet."""

from typing import Any

import pytest

from emqx.api.errors import Broken, NotFound, Rejected, Unsupported
from emqx.laptop.hocon import parse
from tests.emqx.laptop.rest.conftest import Place
from tests.emqx.mqtt import clients_of


async def inflight_of(place: Place, client_id: str) -> tuple[int, int]:
    told = (await place.call("GET", f"/clients/{client_id}")).json()
    return told["inflight_max"], told["mqueue_max"]


async def test_new_limits_hold_for_those_who_come_later(place: Place) -> None:
    await place.clients.connected("before")
    zone = await place.api.configuration.global_zone()
    mqtt: dict[str, Any] = dict(zone.get("mqtt"))  # type: ignore[call-overload]
    changed = mqtt | {"max_inflight": 64, "max_mqueue_len": 128, "session_expiry_interval": "10m"}
    told = await place.api.configuration.put_global_zone(zone.writable(mqtt=changed))
    assert told.get("mqtt") == changed
    await place.clients.connected("after", clean_session=False)
    assert await inflight_of(place, "before") == (32, 1_000)
    assert await inflight_of(place, "after") == (64, 128)
    assert (await place.api.clients.get("after")).expiry_interval == 600
    told_event = await place.mchat.event_of("client.connected", "after")
    assert (told_event["receive_maximum"], told_event["expiry_interval"]) == (64, 600)


async def test_a_zone_of_its_own_and_a_listener_in_it(place: Place) -> None:
    hocon = "zones.gateway { mqtt { max_inflight = 1024, max_mqueue_len = 20000 } }"
    await place.api.configuration.merge(hocon)
    made = await place.api.listeners.create(
        {"type": "tcp", "name": "gateway", "bind": "127.0.0.1:0", "zone": "gateway", "enable": True}
    )
    assert (made.id, made.zone, made.mountpoint, made.asks) == ("tcp:gateway", "gateway", "", True)
    port = int(made.bind.rpartition(":")[2])
    with clients_of(port) as there:
        client = await there.connected("g")
        assert await inflight_of(place, "g") == (1_024, 20_000)
        assert (await place.api.clients.get("g")).listener == "tcp:gateway"
        assert place.mchat.asked("authn")[-1]["zone"] == "gateway"
        await place.clients.connected("d")
        assert await inflight_of(place, "d") == (32, 1_000)
        assert await place.api.listeners.delete("tcp:gateway") is True
        await client.was_closed()
        with pytest.raises(ConnectionRefusedError):
            there.make("late").paho.connect("127.0.0.1", port)
    assert await place.api.listeners.delete("tcp:gateway") is False
    with pytest.raises(NotFound):
        await place.api.listeners.get("tcp:gateway")


async def test_listeners_are_of_loopback_and_of_one_name(place: Place) -> None:
    for body, word in (
        ({"bind": "0.0.0.0:0"}, "loopback"),
        ({"bind": "127.0.0.1:0", "name": "default"}, "Already exists"),
        ({"bind": "127.0.0.1:0", "enable_authn": False}, "enable_authn"),
        ({"bind": "127.0.0.1:0", "mountpoint": "a/+/"}, "wildcard"),
        ({"bind": f"127.0.0.1:{place.broker.tcp_port}"}, "free the port"),
        ({"bind": "127.0.0.1:0", "name": "a b"}, "pattern"),
    ):
        with pytest.raises(Rejected, match=word):
            await place.api.listeners.create({"type": "tcp", "name": "n", **body})
    assert {one.id for one in await place.api.listeners.all()} == {"tcp:default", "ws:default"}


async def test_a_merge_is_all_or_nothing(place: Place) -> None:
    before = await place.api.configuration.global_zone()
    for second in (
        "no_such_root { a = 1 }",
        "mqtt { max_inflight = 0 }",
        "authorization { no_match = perhaps }",
        "zones.z { mqtt { max_inflight = many } }",
        "broker { shared_subscription_group { g { strategy = nonsense } } }",
    ):
        with pytest.raises(Rejected):
            await place.api.configuration.merge(f"force_shutdown.max_mailbox_size = 7\n{second}\n")
    with pytest.raises(Broken):
        await place.api.configuration.merge("force_gc.count = 7\nmqtt { no_such_key = 1 }\n")
    assert await place.api.configuration.global_zone() == before
    assert (await place.api.authorization.settings()).no_match == "deny"
    await place.api.configuration.merge("force_shutdown.max_mailbox_size = 7\n")
    told = (await place.api.configuration.global_zone()).get("force_shutdown")
    assert told == {"enable": True, "max_heap_size": "32MB", "max_mailbox_size": 7}


async def test_what_this_broker_does_not_do_cannot_be_set(place: Place) -> None:
    for text in (
        "mqtt { exclusive_subscription = true }",
        "mqtt { shared_subscription_strategy = sticky }",
        "flapping_detect { enable = true }",
        "broker { shared_subscription_group { g { strategy = sticky } } }",
        "authorization { sources = [] }",
        "listeners.tcp.x { bind = 1 }",
    ):
        answered = await place.http.put(
            "/configs?mode=merge", content=text, headers={"content-type": "text/plain"}
        )
        assert answered.status_code == 501, text
    assert (await place.http.put("/configs", content="a = 1")).status_code == 501


async def test_the_strategy_of_a_group_reads_back(place: Place) -> None:
    await place.api.configuration.merge("broker.shared_subscription_group.gateway.strategy = hash_clientid")
    group = (await place.api.configuration.root("broker")).get("shared_subscription_group")
    assert group == {"gateway": {"initial_sticky_pick": "random", "strategy": "hash_clientid"}}
    with pytest.raises((Broken, Unsupported)):
        await place.api.configuration.root("sysmon")


async def test_authorization_by_hocon_acts(place: Place) -> None:
    await place.api.configuration.merge('authorization { no_match = allow, cache.excludes = ["t"] }')
    settings = await place.api.authorization.settings()
    assert settings.no_match == "allow"
    assert settings.get("cache") == {"enable": True, "max_size": 32, "ttl": "1m", "excludes": ["t"]}


async def test_hocon_tells_secrets_to_whoever_holds_the_key_only(place: Place) -> None:
    text = (await place.api.configuration.hocon("connectors")).get_secret_value()
    connector = parse(text)["connectors"]["http"]["mchat"]
    assert connector["headers"] == {"authorization": "Bearer hook-secret"}
    everything = parse((await place.api.configuration.hocon()).get_secret_value())
    assert everything["authorization"]["sources"][0]["type"] == "built_in_database"
    assert everything["authentication"][0]["headers"]["authorization"] == "Bearer hook-secret"
    assert everything["mqtt"]["max_inflight"] == 32
    with pytest.raises(Rejected):
        await place.api.configuration.hocon("broker")


async def test_nobody_is_rewritten_or_subscribed(place: Place) -> None:
    assert await place.api.configuration.topic_rewrites() == ()
    assert await place.api.configuration.auto_subscriptions() == ()
