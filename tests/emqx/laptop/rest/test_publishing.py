"""Messages of whoever holds the key: past authorization (contract 5.5)."""

import pytest

from emqx.api.errors import Rejected
from emqx.api.publishing import Message, Properties
from tests.emqx.laptop.rest.conftest import Place
from tests.emqx.mchat import deny


async def test_the_api_may_publish_what_a_client_may_not(place: Place) -> None:
    watcher = await place.clients.connected("w")
    await watcher.subscribe("t")
    place.mchat.authz = lambda body: deny()
    client = await place.clients.connected("c")
    await client.publish("t", b"refused")
    assert len(place.mchat.asked("authz")) == 2
    assert (await place.api.publishing.publish(Message("t", "passes", qos=1))).delivered
    await watcher.gets(1)
    assert [one.payload for one in watcher.received] == [b"passes"]
    assert len(place.mchat.asked("authz")) == 2


async def test_a_retained_message_without_a_subscriber_is_stored_and_an_empty_one_clears(
    place: Place,
) -> None:
    answered = await place.api.publishing.publish(Message("t", "stored", qos=1, retain=True))
    assert (answered.delivered, answered.reason_code) == (False, 16)
    first = await place.clients.connected("first")
    await first.subscribe("t")
    assert (await first.gets(1))[0].payload == b"stored"
    await place.api.publishing.publish(Message("t", "", qos=1, retain=True))
    second = await place.clients.connected("second")
    await second.subscribe("t")
    await place.api.publishing.publish(Message("t", "live", qos=1))
    await second.gets(1)
    assert [one.payload for one in second.received] == [b"live"]


async def test_its_event_names_the_api(place: Place) -> None:
    await place.api.publishing.publish(Message("mchat/status/e1", '{"status": "online"}', qos=1))
    told = await place.mchat.event_of("message.publish", "http_api")
    assert (told["topic"], told["username"], told["peerhost"]) == (
        "mchat/status/e1",
        "undefined",
        "undefined",
    )


async def test_properties_are_left_out_but_for_one_that_would_act(place: Place) -> None:
    watcher = await place.clients.connected("w")
    await watcher.subscribe("t")
    named = Properties(user_properties={"a": "b"}, content_type="text/plain")
    assert (await place.api.publishing.publish(Message("t", "x", properties=named))).delivered
    body = {"topic": "t", "payload": "x", "properties": {"message_expiry_interval": 1}}
    assert (await place.call("POST", "/publish", body)).status_code == 501


async def test_a_batch_with_a_wrong_one_publishes_nothing(place: Place) -> None:
    watcher = await place.clients.connected("w")
    await watcher.subscribe("#")
    with pytest.raises(Rejected):
        await place.api.publishing.publish_many([Message("a", "1"), Message("b/#", "2")])
    many = [{"topic": "a", "payload": "x"}] * 1_001
    assert (await place.call("POST", "/publish/bulk", many)).status_code == 400
    await place.api.publishing.publish(Message("c", "3", qos=1))
    await watcher.gets(1)
    assert [one.topic for one in watcher.received] == ["c"]
