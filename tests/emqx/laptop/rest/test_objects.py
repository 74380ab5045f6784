"""Objects are what the broker does: changing one through the API changes what happens to clients."""

from collections.abc import Callable
from typing import Any

import pytest

from emqx.api.errors import Conflict, NotFound, Rejected
from emqx.api.objects import Body
from tests.emqx.laptop.rest.conftest import Place
from tests.emqx.mchat import FakeMChat, allow, answer, deny, serving
from tests.emqx.mqtt import MqttClient
from tests.emqx.waiting import until

HTTP = "password_based:http"
GRANTED, REFUSED = [1], [0x80]


async def test_it_starts_as_mchat_sets_emqx_up(place: Place) -> None:
    (authenticator,) = await place.api.authentication.all()
    assert authenticator.id == HTTP
    assert [source.type for source in await place.api.authorization.all()] == ["built_in_database", "http"]
    assert (await place.api.authorization.settings()).no_match == "deny"
    assert [one.id for one in await place.api.connectors.all()] == ["http:mchat"]
    assert [one.id for one in await place.api.actions.all()] == ["http:mchat_events"]
    rules = {rule.id: rule.actions async for rule in place.api.rules.every()}
    assert rules == {"mchat_events": ("http:mchat_events",), "mchat_status": ("http:mchat_events",)}


async def test_the_only_authenticator_disabled_lets_everybody_in(place: Place) -> None:
    place.mchat.authn = lambda body: deny()
    assert await place.clients.make("before").connect() == 5
    authenticator = await place.api.authentication.get(HTTP)
    await place.api.authentication.put(HTTP, authenticator.writable(enable=False))
    asked = len(place.mchat.asked("authn"))
    await place.clients.connected("intruder")
    assert len(place.mchat.asked("authn")) == asked
    told = await place.mchat.event_of("client.check_authn_complete", "intruder")
    assert told["is_anonymous"] is True
    await place.api.authentication.put(HTTP, authenticator.writable(enable=True))
    assert await place.clients.make("after").connect() == 5


async def test_without_any_authenticator_everybody_is_in_and_an_empty_user_database_closes(
    place: Place,
) -> None:
    place.mchat.authn = lambda body: deny()
    assert await place.api.authentication.delete(HTTP) is True
    assert await place.api.authentication.delete(HTTP) is False
    await place.clients.connected("intruder")
    made = await place.api.authentication.create(
        {"mechanism": "password_based", "backend": "built_in_database"}
    )
    assert made.id == "password_based:built_in_database"
    assert await place.clients.make("refused").connect() == 5
    status = await place.api.authentication.status(made.id)
    assert (status.metrics["total"], status.metrics["nomatch"]) == (1, 1)


async def test_the_next_of_the_chain_is_asked_only_where_the_first_does_not_know(place: Place) -> None:
    await place.api.authentication.create({"mechanism": "password_based", "backend": "built_in_database"})
    place.mchat.authn = lambda body: answer({"result": "ignore"})
    assert await place.clients.make("ignored").connect() == 5
    place.mchat.authn = lambda body: allow()
    await place.clients.connected("known")
    order = [one.id for one in await place.api.authentication.all()]
    assert order == [HTTP, "password_based:built_in_database"]
    await place.api.authentication.put_order(reversed(order))
    await place.clients.connected("still known")
    assert [one.id for one in await place.api.authentication.all()] == order[::-1]
    for wrong in (order[:1], [*order, HTTP]):
        with pytest.raises(Rejected):
            await place.api.authentication.put_order(wrong)


async def test_questions_go_where_the_objects_say_with_their_secret(place: Place) -> None:
    async with serving(FakeMChat()) as another:
        for kind, path in (("authn", "/emqx/authn"), ("authz", "/emqx/authz")):
            headers = {"content-type": "application/json", "authorization": f"Bearer other-{kind}"}
            change = {"url": another.url + path, "headers": headers}
            if kind == "authn":
                authenticator = await place.api.authentication.get(HTTP)
                await place.api.authentication.put(HTTP, authenticator.writable(**change))
            else:
                source = await place.api.authorization.get("http")
                await place.api.authorization.put("http", source.writable(**change))
        client = await place.clients.connected("c")
        await client.subscribe("t")
        assert place.mchat.asked("authn") == place.mchat.asked("authz") == []
        sent = {one.path: one.headers["authorization"] for one in another.requests}
        assert sent == {"/emqx/authn": "Bearer other-authn", "/emqx/authz": "Bearer other-authz"}


async def test_a_masked_secret_that_is_put_back_stays(place: Place) -> None:
    authenticator = await place.api.authentication.get(HTTP)
    assert authenticator.get("headers") == {"content-type": "application/json", "authorization": "******"}
    await place.api.authentication.put(HTTP, authenticator)
    source = await place.api.authorization.get("http")
    await place.api.authorization.put("http", source)
    connector = await place.api.connectors.get("http:mchat")
    await place.api.connectors.put("http:mchat", connector)
    client = await place.clients.connected("c")
    await client.subscribe("t")
    await place.mchat.event_of("client.connected", "c")
    assert {one.headers["authorization"] for one in place.mchat.requests} == {"Bearer hook-secret"}


async def test_what_a_body_says_is_what_is_asked(place: Place) -> None:
    source = await place.api.authorization.get("http")
    body = {"who": "${username}@${clientid}", "kind": "${access}", "e": "${client_attrs.employee_id}"}
    place.mchat.authn = lambda asked: allow(client_attrs={"employee_id": "e9"})
    await place.api.authorization.put("http", source.writable(body=body))
    client = await place.clients.connected("c")
    await client.subscribe("t")
    await place.api.authorization.put("http", source.writable(body=body | {"zone": "${zone}"}))
    await client.subscribe("t")
    told = [one.body for one in place.mchat.requests if one.path == "/emqx/authz"]
    # One placeholder that this version does not know makes every attribute literal (emqx-measured).
    assert told == [
        {"who": "e1@c", "kind": "1", "e": "e9"},
        {"who": "e1@c", "kind": "1", "e": "${client_attrs.employee_id}", "zone": "${zone}"},
    ]


@pytest.mark.parametrize(("no_match", "granted"), [("deny", REFUSED), ("allow", GRANTED)])
async def test_no_match_decides_where_no_source_knows(
    place: Place, no_match: str, granted: list[int]
) -> None:
    await place.api.authorization.delete("http")
    settings = await place.api.authorization.settings()
    await place.api.authorization.put_settings(settings.writable(no_match=no_match))
    client = await place.clients.connected("c")
    assert await client.subscribe("t") == granted


async def test_a_denial_may_end_the_connection(place: Place) -> None:
    settings = await place.api.authorization.settings()
    await place.api.authorization.put_settings(settings.writable(deny_action="disconnect"))
    client = await place.clients.connected("c")
    await client.publish("t")
    assert client.paho.is_connected()
    place.mchat.authz = lambda body: deny()
    client.paho.publish("u", b"x", 1)
    await client.was_closed()
    assert (await place.mchat.event_of("client.disconnected", "c"))["reason"] == "not_authorized"
    again = await place.clients.connected("d")
    again.paho.subscribe("t")
    await again.was_closed()


async def seen(place: Place, client_id: str) -> MqttClient:
    """A client that came and went, so that its event is sent if any is."""
    client = await place.clients.connected(client_id)
    await client.disconnect()
    return client


Change = Callable[[Place], Any]


async def without_rule(place: Place) -> None:
    rule = await place.api.rules.get("mchat_events")
    await place.api.rules.put("mchat_events", rule.writable(enable=False))


async def rule_deleted(place: Place) -> None:
    assert await place.api.rules.delete("mchat_events")


async def action_off(place: Place) -> None:
    await place.api.actions.enable("http:mchat_events", False)
    action = await place.api.actions.get("http:mchat_events")
    assert (action.enabled, action.status) == (False, "disconnected")


async def connector_off(place: Place) -> None:
    await place.api.connectors.enable("http:mchat", False)
    assert (await place.api.connectors.get("http:mchat")).status == "stopped"


async def action_deleted(place: Place) -> None:
    with pytest.raises(Rejected, match="rules are depending"):
        await place.api.actions.delete("http:mchat_events")
    assert await place.api.actions.delete("http:mchat_events", from_rules=True)
    assert (await place.api.rules.get("mchat_events")).actions == ()


async def other_events(place: Place) -> None:
    rule = await place.api.rules.get("mchat_events")
    await place.api.rules.put("mchat_events", rule.writable(sql='SELECT * FROM "$events/session_subscribed"'))


@pytest.mark.parametrize(
    "change", [without_rule, rule_deleted, action_off, connector_off, action_deleted, other_events]
)
async def test_events_stop_with_what_sends_them(place: Place, change: Change) -> None:
    await seen(place, "before")
    await place.mchat.event_of("client.disconnected", "before")
    await change(place)
    await seen(place, "after")
    # The status rule goes on where the action does: what comes now comes behind all that "after" could have sent.
    await until(lambda: place.broker.broker.session("after") is None)
    assert all(one.sink.queuing == 0 for one in place.broker.broker.integrations.actions.values())
    assert place.mchat.events(client_id="after") == []


async def test_events_go_where_the_objects_say(place: Place) -> None:
    async with serving(FakeMChat()) as another:
        connector = await place.api.connectors.get("http:mchat")
        await place.api.connectors.put("http:mchat", connector.writable(url=another.url))
        await seen(place, "c")
        await another.event_of("client.disconnected", "c")
        assert place.mchat.events(client_id="c") == []
        assert another.events("client.connected")[0]["metadata"] == {"rule_id": "mchat_events"}


async def test_each_rule_that_selects_an_event_sends_it(place: Place) -> None:
    sql = 'SELECT * FROM "$events/client_connected", "t/+"'
    await place.api.rules.create({"id": "more", "sql": sql, "actions": ["http:mchat_events"]})
    client = await place.clients.connected("c")
    await client.publish("t/1")
    await client.publish("t/1/2")
    await place.mchat.event_of("message.publish", "c")
    await place.mchat.event_of("client.connected", "c", 2)
    chosen = place.mchat.events("client.connected", "message.publish", client_id="c")
    told = [(one["event"], one.get("topic"), one["metadata"]["rule_id"]) for one in chosen]
    assert sorted(told, key=str) == [
        ("client.connected", None, "mchat_events"),
        ("client.connected", None, "more"),
        ("message.publish", "t/1", "more"),
    ]
    metrics = await place.api.rules.metrics("more")
    assert (metrics["matched"], metrics["actions.success"], metrics["actions.failed"]) == (2, 2, 0)


async def test_the_file_source_decides_where_it_stands_and_is_told_as_rules(place: Place) -> None:
    place.mchat.authz = lambda body: deny()
    client = await place.clients.connected()
    assert await client.subscribe("a/b") == REFUSED
    rules = '{deny, all, subscribe, [{eq, "#"}]}.\n{allow, all}.'
    await place.api.authorization.create({"type": "file", "enable": True, "rules": rules})
    assert await client.subscribe("a/b") == GRANTED
    assert await client.subscribe("#") == REFUSED
    source = await place.api.authorization.get("file")
    assert source.get("rules") == rules
    # As EMQX does: in HOCON it is a path.
    assert "path" in (await place.api.configuration.hocon("authorization")).get_secret_value()
    with pytest.raises(Rejected):
        await place.api.authorization.put("file", source.writable(rules="nonsense("))
    await place.api.authorization.delete("file")
    assert await client.subscribe("a/b") == REFUSED


WRONG: list[tuple[str, str, Body]] = [
    ("POST", "/authentication", {"mechanism": "jwt"}),
    ("POST", "/authorization/sources", {"type": "file", "rules": "{allow, {security_profile, legacy}}."}),
    ("POST", "/authorization/sources", {"type": "redis"}),
    ("POST", "/connectors", {"type": "mqtt", "name": "m"}),
    ("POST", "/connectors", {"type": "http", "name": "m", "url": "https://127.0.0.1:1"}),
    ("POST", "/rules", {"id": "r", "sql": 'SELECT payload FROM "t"', "actions": []}),
    ("POST", "/rules", {"id": "r", "sql": 'SELECT * FROM "t" WHERE qos = 1', "actions": []}),
    ("POST", "/rules", {"id": "r", "sql": 'SELECT * FROM "t"', "actions": ["kafka:k"]}),
    ("POST", f"/authentication/{HTTP}/users", {"user_id": "e1", "password": "ok"}),
]


@pytest.mark.parametrize(("method", "path", "body"), WRONG)
async def test_what_is_not_emulated_says_so(place: Place, method: str, path: str, body: Body) -> None:
    answered = await place.call(method, path, body)
    assert (answered.status_code, answered.json()["code"]) == (501, "NOT_IMPLEMENTED")
    assert "laptop broker" in answered.json()["message"]


async def test_nobody_is_in_the_user_database(place: Place) -> None:
    database = {"mechanism": "password_based", "backend": "built_in_database"}
    made = await place.api.authentication.create(database)
    assert [user async for user in place.api.authentication.users(made.id)] == []
    with pytest.raises(Rejected):
        await anext(place.api.authentication.users("password_based:http"))
    with pytest.raises(NotFound):
        await anext(place.api.authentication.users("jwt"))


async def test_objects_are_made_once_and_in_their_order(place: Place) -> None:
    with pytest.raises(Conflict):
        await place.api.rules.create({"id": "mchat_status", "sql": 'SELECT * FROM "t"', "actions": []})
    with pytest.raises(Conflict):
        await place.api.connectors.create({"type": "http", "name": "mchat", "url": "http://127.0.0.1:1"})
    with pytest.raises(Rejected, match="create the connector first"):
        await place.api.actions.create({"type": "http", "name": "a", "connector": "none"})
    with pytest.raises(Rejected, match="active channels"):
        await place.api.connectors.delete("http:mchat")
    with pytest.raises(NotFound):
        await place.api.authorization.status("redis")
    with pytest.raises(Rejected, match="write SELECT"):
        await place.api.rules.put("r", {"sql": "SELEC nothing", "actions": []})


async def test_a_secret_is_in_no_refusal(place: Place) -> None:
    body = {
        "type": "http",
        "method": "post",
        "url": "nonsense",
        "headers": {"authorization": "Bearer s3cret-x"},
    }
    answered = await place.call("PUT", "/authorization/sources/http", body)
    assert answered.status_code == 400
    assert "s3cret" not in answered.text
    assert "root.url" in answered.text
