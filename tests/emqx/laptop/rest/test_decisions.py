"""What connections remember of decisions, and how they forget (contract section 2.6)."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from emqx.api.errors import NotFound
from emqx.api.publishing import Message
from tests.emqx.laptop.rest.conftest import Place
from tests.emqx.mchat import Body, FakeMChat, allow, answer, deny
from tests.emqx.waiting import until

GRANTED, REFUSED = [1], [0x80]


def asked(mchat: FakeMChat) -> list[str]:
    return [body["topic"] for body in mchat.asked("authz")]


async def test_a_deny_is_remembered_until_it_is_cleared(place: Place) -> None:
    place.mchat.authz = lambda body: deny()
    client, other = await place.clients.connected("c"), await place.clients.connected("d")
    assert await client.subscribe("t") == REFUSED
    assert await other.subscribe("t") == REFUSED
    place.mchat.authz = lambda body: allow()
    assert await client.subscribe("t") == REFUSED
    assert asked(place.mchat) == ["t", "t"]
    (told,) = await place.api.caches.of("c")
    assert (told.topic, told.access.action_type, told.access.qos, told.result) == (
        "t",
        "subscribe",
        1,
        "deny",
    )
    assert await place.api.caches.clear("c")
    assert await client.subscribe("t") == GRANTED
    # Only that client's.
    assert await other.subscribe("t") == REFUSED
    await place.api.caches.clear_all()
    assert await other.subscribe("t") == GRANTED


async def test_an_allow_is_remembered_as_well(place: Place) -> None:
    client = await place.clients.connected("c")
    await client.publish("t")
    place.mchat.authz = lambda body: deny()
    watcher = await place.clients.connected("w")
    await place.api.caches.clear("w")
    place.mchat.authz = lambda body: allow() if body["clientid"] == "w" else deny()
    await watcher.subscribe("t")
    await client.publish("t", b"remembered")
    await watcher.gets(1)
    await place.api.caches.clear("c")
    await client.publish("t", b"refused")
    await place.api.publishing.publish(Message("t", "last", qos=1))
    await watcher.gets(2)
    assert [one.payload for one in watcher.received] == [b"remembered", b"last"]


async def test_each_way_to_ask_is_another_decision(place: Place) -> None:
    client = await place.clients.connected("c")
    for _ in range(2):
        await client.publish("t", qos=0)
        await client.publish("t", qos=1)
        await client.publish("t", qos=1, retain=True)
        await client.subscribe("t", qos=1)
        await client.subscribe("t", qos=0)
    questions = [(body["action"], body["qos"], body["retain"]) for body in place.mchat.asked("authz")]
    assert questions == [
        ("publish", "0", "false"),
        ("publish", "1", "false"),
        ("publish", "1", "true"),
        ("subscribe", "1", "false"),
        ("subscribe", "0", "false"),
    ]


async def test_excluded_topics_are_asked_each_time(open_place: Callable[..., Any]) -> None:
    place: Place = await open_place(cache_excludes=("g/#",))
    client = await place.clients.connected("c")
    for topic in ("g/1", "t", "g/1", "t", "g/+", "g/+", "g"):
        await client.subscribe(topic)
    assert asked(place.mchat) == ["g/1", "t", "g/1", "g/+", "g/+", "g"]
    assert {told.topic for told in await place.api.caches.of("c")} == {"t"}


async def test_what_nobody_knew_is_remembered_too(place: Place) -> None:
    """An outage of the hooks, a moment long, refuses for a minute (contract 2.6)."""
    place.mchat.authz = lambda body: answer({}, 500)
    client = await place.clients.connected("c")
    assert await client.subscribe("t") == REFUSED
    place.mchat.authz = lambda body: allow()
    assert await client.subscribe("t") == REFUSED
    await place.api.caches.clear("c")
    assert await client.subscribe("t") == GRANTED


async def test_rules_of_the_log_in_are_remembered_too(place: Place) -> None:
    acl = [{"permission": "allow", "action": "subscribe", "topic": "t"}]
    place.mchat.authn = lambda body: allow(acl=acl)
    client = await place.clients.connected("c")
    assert await client.subscribe("t") == GRANTED
    assert [told.topic for told in await place.api.caches.of("c")] == ["t"]
    await place.mchat.event_of("client.check_authz_complete", "c")
    await client.subscribe("t")
    again = await place.mchat.event_of("client.check_authz_complete", "c", 2)
    assert again["authz_source"] == "cache"


async def test_a_connection_takes_its_memory_along(place: Place) -> None:
    client = await place.clients.connected("c", clean_session=False)
    await client.subscribe("t")
    client.cut()
    await place.mchat.event_of("client.disconnected", "c")
    assert await place.api.caches.of("c") == ()
    assert await place.api.caches.clear("c")
    again = await place.clients.connected("c", clean_session=False)
    await again.subscribe("t")
    assert asked(place.mchat) == ["t", "t"]


async def test_a_decision_that_was_under_way_is_not_kept(place: Place) -> None:
    client = await place.clients.connected("c")
    place.mchat.hold("/emqx/authz")
    place.mchat.authz = lambda body: deny()
    client.paho.subscribe("t", 1)
    await until(lambda: asked(place.mchat))
    await place.api.caches.clear("c")
    place.mchat.release()
    await until(lambda: client.granted)
    assert await place.api.caches.of("c") == ()
    place.mchat.authz = lambda body: allow()
    assert await client.subscribe("t") == GRANTED


async def test_other_sources_or_settings_empty_every_memory(place: Place) -> None:
    client = await place.clients.connected("c")
    order = [source.type for source in await place.api.authorization.all()]
    settings = await place.api.authorization.settings()
    source = await place.api.authorization.get("http")
    changes: list[Callable[[], Awaitable[object]]] = [
        lambda: place.api.authorization.put_order(reversed(order)),
        lambda: place.api.authorization.put("http", source),
        lambda: place.api.authorization.put_settings(settings),
    ]
    for number, change in enumerate(changes, 1):
        await client.subscribe("t")
        await client.subscribe("t")
        assert len(asked(place.mchat)) == number
        await change()
        assert await place.api.caches.of("c") == ()


async def test_without_a_cache_each_question_is_asked(place: Place) -> None:
    settings = await place.api.authorization.settings()
    off: Body = settings.writable(cache={"enable": False, "max_size": 32, "ttl": "1m", "excludes": []})
    await place.api.authorization.put_settings(off)
    client = await place.clients.connected("c")
    for _ in range(3):
        await client.subscribe("t")
    assert asked(place.mchat) == ["t"] * 3
    assert await place.api.caches.of("c") == ()


async def test_nobody_has_no_memory(place: Place) -> None:
    assert await place.api.caches.clear("nobody") is False
    with pytest.raises(NotFound):
        await place.api.caches.of("nobody")
