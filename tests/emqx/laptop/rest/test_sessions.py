"""Clients, their subscriptions and their end, through the API with real MQTT clients."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from emqx.api.banned import Ban
from emqx.api.clients import ClientFilter
from emqx.api.errors import Conflict, NotFound, Rejected
from emqx.api.publishing import Message
from tests.emqx.laptop.rest.conftest import Place
from tests.emqx.mchat import allow, deny
from tests.emqx.waiting import until


async def topics_of(place: Place, client_id: str) -> list[str]:
    return [one.topic for one in await place.api.subscriptions.of(client_id)]


async def test_attributes_and_the_end_of_a_log_in_are_told(place: Place) -> None:
    attributes = {"employee_id": "e1", "grants_version": "7"}
    place.mchat.authn = lambda body: allow(client_attrs=attributes, expire_at=4_000_000_000)
    await place.clients.connected("c")
    assert (await place.api.clients.get("c")).attributes == attributes
    (listed,) = [one async for one in place.api.clients.every(("clientid", "client_attrs"))]
    assert listed.attributes == attributes
    whole = (await place.call("GET", "/clients/c")).json()
    assert whole["auth_expire_at"] == 4_000_000_000_000
    connected = await place.mchat.event_of("client.connected", "c")
    assert (await place.api.clients.get("c")).epoch == connected["connected_at"]


async def test_an_unmounted_topic_ends_a_mounted_subscription(open_place: Callable[..., Any]) -> None:
    place: Place = await open_place(listeners=[{"bind": "127.0.0.1:0", "mountpoint": "u/${username}/"}])
    client = await place.clients.connected("c", port=place.broker.ports[2])
    await client.subscribe("a", "$share/g/b")
    assert await topics_of(place, "c") == ["u/e1/a", "$share/g/u/e1/b"]
    for mounted in ("u/e1/a", "$share/g/u/e1/b", "b"):
        await place.api.subscriptions.unsubscribe("c", mounted)
    assert await topics_of(place, "c") == ["u/e1/a", "$share/g/u/e1/b"]
    await place.api.subscriptions.unsubscribe_many("c", ["a", "$share/g/b"])
    assert await topics_of(place, "c") == []
    told = await place.mchat.event_of("session.unsubscribed", "c", 2)
    assert told["topic"] == "$share/g/u/e1/b"


async def test_a_subscription_ends_while_the_client_is_away(place: Place) -> None:
    client = await place.clients.connected("c", clean_session=False)
    await client.subscribe("lost", "kept")
    client.cut()
    await place.mchat.event_of("client.disconnected", "c")
    await place.api.subscriptions.unsubscribe("c", "lost")
    for topic in ("lost", "kept"):
        await place.api.publishing.publish(Message(topic, topic, qos=1))
    again = await place.clients.connected("c", clean_session=False)
    await again.gets(1)
    await place.api.publishing.publish(Message("kept", "last", qos=1))
    await again.gets(2)
    assert [one.payload for one in again.received] == [b"kept", b"last"]


async def test_subscribing_for_a_client_asks_nobody(place: Place) -> None:
    place.mchat.authz = lambda body: deny()
    await place.api.publishing.publish(Message("t", "stored", qos=1, retain=True))
    client = await place.clients.connected("c")
    assert await client.subscribe("t") == [0x80]
    answered = await place.call("POST", "/clients/c/subscribe", {"topic": "t", "qos": 1})
    assert answered.json()["topic"] == "t"
    await client.gets(1)
    bulk = [{"topic": "x"}, {"topic": "$share/g/y", "qos": 2}]
    answered = await place.call("POST", "/clients/c/subscribe/bulk", bulk)
    assert [one["qos"] for one in answered.json()] == [0, 2]
    assert await topics_of(place, "c") == ["t", "x", "$share/g/y"]


async def test_a_kick_publishes_the_will_and_ends_the_session(place: Place) -> None:
    watcher = await place.clients.connected("w")
    await watcher.subscribe("will")
    client = await place.clients.connected("c", clean_session=False, will=("will", b"gone", 1, False))
    assert await place.api.clients.kick("c")
    await client.was_closed()
    await watcher.gets(1)
    assert (await place.mchat.event_of("client.disconnected", "c"))["reason"] == "kicked"
    with pytest.raises(NotFound):
        await place.api.clients.get("c")


async def test_many_are_kicked_at_once(place: Place) -> None:
    watcher = await place.clients.connected("w")
    await watcher.subscribe("will")
    made = [await place.clients.connected(f"c{n}", will=("will", b"gone", 1, False)) for n in range(3)]
    # Each will waits for an answer; were they kicked one after the other, only one would be asked about.
    place.mchat.hold("/emqx/authz")
    kicking = asyncio.create_task(place.api.clients.kick_many([*(f"c{n}" for n in range(3)), "c0", "nobody"]))
    await until(lambda: len([b for b in place.mchat.asked("authz") if b["topic"] == "will"]) == 4)
    place.mchat.release()
    await kicking
    await watcher.gets(3)
    for client in made:
        await client.was_closed()


async def test_a_kick_ends_a_session_that_is_away(place: Place) -> None:
    client = await place.clients.connected("c", clean_session=False)
    await client.subscribe("t")
    client.cut()
    await place.mchat.event_of("client.disconnected", "c")
    assert await place.api.clients.kick("c")
    again = await place.clients.connected("c", clean_session=False)
    assert again.session_present == [False]
    assert await topics_of(place, "c") == []


async def test_the_banned_are_not_even_asked_about(place: Place) -> None:
    watcher = await place.clients.connected("w", username="watcher")
    await watcher.subscribe("will")
    client = await place.clients.connected("c", will=("will", b"gone", 1, False))
    await place.api.banned.create(Ban(kind="clientid", who="c", reason="test"))
    await client.was_closed()
    asked = len(place.mchat.asked("authn"))
    assert await place.clients.make("c").connect() == 5
    assert len(place.mchat.asked("authn")) == asked
    assert (await place.mchat.event_of("client.connack", "c", 2))["reason_code"] == "banned"
    with pytest.raises(Conflict):
        await place.api.banned.create(Ban(kind="clientid", who="c"))
    assert await place.api.banned.delete("clientid", "c") is True
    assert await place.api.banned.delete("clientid", "c") is False
    await place.clients.connected("c")
    await place.api.publishing.publish(Message("will", "the fence", qos=1))
    await watcher.gets(1)
    # The will of a banned client is not published (emqx-measured).
    assert [one.payload for one in watcher.received] == [b"the fence"]


@pytest.mark.parametrize(("kind", "who"), [("username", "e1"), ("peerhost", "127.0.0.1")])
async def test_bans_by_name_and_address_end_no_connection(place: Place, kind: str, who: str) -> None:
    client = await place.clients.connected("c")
    await place.api.banned.create(Ban(kind=kind, who=who))
    assert client.paho.is_connected()
    assert await place.clients.make("d").connect() == 5
    assert [(one.kind, one.who) async for one in place.api.banned.every()] == [(kind, who)]


async def test_bans_are_bounded_and_end(open_place: Callable[..., Any]) -> None:
    place: Place = await open_place(max_bans=1)
    with pytest.raises(Rejected, match="past"):
        await place.api.banned.create(Ban(kind="clientid", who="c", until="2020-01-01T00:00:00Z"))
    with pytest.raises(Rejected):
        await place.api.banned.create(Ban(kind="clientid", who="c", until="soon"))
    made = await place.api.banned.create(Ban(kind="clientid", who="c", until="2090-01-01T00:00:00Z"))
    assert made.until == "2090-01-01T00:00:00+00:00"
    with pytest.raises(Rejected, match="MCHAT_LAPTOP_MAX_BANS"):
        await place.api.banned.create(Ban(kind="clientid", who="d"))
    assert (await place.call("POST", "/banned", {"as": "clientid_re", "who": ".*"})).status_code == 501


async def test_lists_are_chosen_and_cut(place: Place) -> None:
    for number in range(5):
        await place.clients.connected(f"c{number}", username=f"e{number % 2}")
    names = {one.client_id async for one in place.api.clients.every(matching=ClientFilter(usernames=("e1",)))}
    assert names == {"c1", "c3"}
    like = {one.client_id async for one in place.api.clients.every(matching=ClientFilter(like_username="e"))}
    assert len(like) == 5
    nowhere = ClientFilter(node="emqx@elsewhere")
    assert [one async for one in place.api.clients.every(matching=nowhere)] == []
    page = await place.api.clients.page(2, 2)
    assert (len(page.data), page.meta.hasnext, page.meta.count) == (2, True, 5)
    for wrong in ("limit=0", "limit=10001", "page=0", "page=x", "conn_state=dead", "fields=nonsense"):
        assert (await place.http.get(f"/clients?{wrong}")).status_code == 400, wrong
    assert (await place.http.get("/clients?ip_address=127.0.0.1")).status_code == 501
    for wrong in ("nonsense", "YWZ0ZXI6eA=="):
        assert (await place.http.get(f"/clients_v2?cursor={wrong}")).status_code == 400


async def test_a_cursor_misses_nobody_while_others_go(place: Place) -> None:
    for number in range(4):
        await place.clients.connected(f"c{number}")
    first = await place.api.clients.page_at(limit=2)
    await place.api.clients.kick("c0")
    second = await place.api.clients.page_at(first.meta.cursor, limit=2)
    assert [one.client_id for one in (*first.data, *second.data)] == ["c0", "c1", "c2", "c3"]
    assert second.meta.cursor is None


async def test_what_waits_is_told(place: Place) -> None:
    client = await place.clients.connected("c", clean_session=False)
    await client.subscribe("t")
    client.cut()
    await place.mchat.event_of("client.disconnected", "c")
    for number in range(3):
        await place.api.publishing.publish(Message("t", str(number), qos=1))
    told = (await place.call("GET", "/clients/c")).json()
    assert (told["mqueue_len"], told["connected"], told["subscriptions_cnt"]) == (3, False, 1)
    await until(lambda: told["disconnected_at"])
