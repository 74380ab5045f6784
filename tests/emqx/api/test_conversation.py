"""The conversations with a stand-in, with stand-ins that are wrong in one thing, and with a real broker if named.

A real one: ``MCHAT_TEST_EMQX_URL``, ``…_KEY``, ``…_SECRET``, ``…_MQTT_PORT``, ``…_USERNAME`` and ``…_PASSWORD`` of
somebody who may connect as ``talk-1`` and ``talk-2`` and subscribe ``talk/#`` and publish there.
"""

import os
from collections.abc import AsyncIterator
from contextlib import ExitStack
from typing import Any

import pytest

from emqx.api.broker import BrokerApi
from emqx.api.errors import ApiError
from tests.emqx.api.conftest import api_settings
from tests.emqx.api.conversation import CONVERSATIONS, Conversation, Names, Stage
from tests.emqx.api.server import serving
from tests.emqx.api.standin import DONE, NOBODY, Answered, Fault, StandIn
from tests.emqx.mqtt import Clients, MqttClient, clients_of

NAMED = {
    name: os.environ.get(f"MCHAT_TEST_EMQX_{name}", "") for name in ("URL", "KEY", "SECRET", "MQTT_PORT")
}


class MqttStage:
    """Real clients at a real broker."""

    def __init__(self, clients: Clients, username: str, password: str) -> None:
        self._clients = clients
        self._who = {"username": username, "password": password}
        self._made: dict[str, MqttClient] = {}

    async def online(self, client_id: str, *filters: str, keep: bool = False) -> None:
        client = self._clients.make(client_id, clean_session=not keep, **self._who)
        self._made[client_id] = client
        assert await client.connect() == 0, f"the broker refused {client_id}"
        if filters:
            assert all(granted < 3 for granted in await client.subscribe(*filters)), filters

    async def leave(self, client_id: str) -> None:
        self._made[client_id].paho.disconnect()
        await self._made[client_id].was_closed()

    def received(self, client_id: str) -> list[tuple[str, bytes]]:
        return [(one.topic, one.payload) for one in self._made[client_id].received]

    def is_online(self, client_id: str) -> bool:
        return self._made[client_id].paho.is_connected()


@pytest.fixture(params=["stand-in", "named"] if NAMED["URL"] else ["stand-in"])
async def place(request: pytest.FixtureRequest) -> AsyncIterator[tuple[BrokerApi, Stage]]:
    if request.param == "stand-in":
        broker = StandIn()
        async with serving(broker.serve) as server, BrokerApi(api_settings(server.url)) as api:
            yield api, broker
        return
    settings = api_settings(NAMED["URL"], api_key=NAMED["KEY"], api_secret=NAMED["SECRET"])
    with ExitStack() as stack:
        clients = stack.enter_context(clients_of(int(NAMED["MQTT_PORT"])))
        who = (os.environ.get(f"MCHAT_TEST_EMQX_{name}", "") for name in ("USERNAME", "PASSWORD"))
        async with BrokerApi(settings) as api:
            yield api, MqttStage(clients, *who)


@pytest.mark.parametrize("conversation", CONVERSATIONS, ids=lambda one: one.__name__)
async def test_conversation(place: tuple[BrokerApi, Stage], conversation: Conversation) -> None:
    await conversation(*place, Names())


def broken(verb: str, *path: str | None, answer: Answered = DONE) -> Fault:
    """A stand-in that answers so where the path is of these levels; None = any level."""

    def fault(broker: StandIn) -> None:
        well = broker.answer

        def wrong(method: str, levels: list[str], query: list[tuple[str, str]], body: Any) -> Answered:
            same = len(levels) == len(path) and all(
                level in (None, given) for level, given in zip(path, levels, strict=True)
            )
            return answer if method == verb and same else well(method, levels, query, body)

        broker.answer = wrong  # type: ignore[method-assign]

    return fault


RULES = ("authorization", "sources", "built_in_database", "rules", "clients")


@pytest.mark.parametrize(
    ("fault", "conversation"),
    [
        (
            broken("GET", "clients", answer=(200, {"data": [], "meta": {"hasnext": False}})),
            "clients_are_told",
        ),
        (broken("GET", "clients_v2", answer=(200, {"data": [], "meta": {}})), "clients_are_told"),
        (broken("POST", "clients", None, "unsubscribe"), "subscriptions_end"),
        (broken("POST", "clients", None, "unsubscribe", "bulk"), "subscriptions_end"),
        (broken("POST", "clients", None, "unsubscribe"), "subscriptions_of_a_session_away_end"),
        (broken("DELETE", "clients", None, answer=NOBODY), "kicked_is_gone"),
        (broken("DELETE", "clients", None, "authorization", "cache"), "caches_are_cleared"),
        (broken("PUT", *RULES, None), "rules_are_kept"),
        (broken("POST", *RULES), "rules_are_kept"),
        (broken("DELETE", *RULES, None), "rules_are_kept"),
        (broken("POST", "publish", answer=(200, {"id": "1"})), "messages_are_published"),
        (broken("POST", "publish", "bulk", answer=(200, [{"id": "1"}])), "messages_are_published"),
        (
            broken("GET", "authorization", "sources", None, answer=(200, {"type": "x", "enable": True})),
            "objects",
        ),
        (broken("GET", "nodes", answer=(200, [])), "the_broker_says_what_it_is"),
    ],
)
async def test_a_conversation_tells_a_broker_that_is_none(fault: Fault, conversation: str) -> None:
    broker = StandIn()
    fault(broker)
    talk = next(one for one in CONVERSATIONS if one.__name__.startswith(conversation))
    async with serving(broker.serve) as server, BrokerApi(api_settings(server.url)) as api:
        with pytest.raises((AssertionError, pytest.fail.Exception, ApiError)):
            await talk(api, broker, Names())
