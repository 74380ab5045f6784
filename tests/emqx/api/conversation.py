"""What any broker's REST API must do for MChat: EMQX 5.8 to 6.2, and the laptop's.

Each conversation takes a client of the API and a stage, which brings MQTT clients online at that broker. It
cleans up what it made, works beside clients and rules of others, and asks for nothing that only one broker does.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

import pytest

from emqx.api.broker import BrokerApi
from emqx.api.built_in_rules import BuiltInRule, ClientRules
from emqx.api.clients import Client, ClientFilter
from emqx.api.errors import Conflict, NotFound, Rejected
from emqx.api.publishing import Message
from tests.emqx.waiting import until


class Stage(Protocol):
    """MQTT clients of the broker."""

    async def online(self, client_id: str, *filters: str, keep: bool = False) -> None:
        """Connect under this id, as whoever owns it, and subscribe; `keep` = the session outlives the connection."""

    async def leave(self, client_id: str) -> None:
        """End the connection."""

    def received(self, client_id: str) -> list[tuple[str, bytes]]:
        """Topics and payloads that came to a client."""

    def is_online(self, client_id: str) -> bool:
        """Whether the client thinks that it is connected."""


@dataclass(frozen=True)
class Names:
    """Ids and topics that a broker's authorization lets the stage use.

    Attributes:
        first: a client id.
        second: another.
        topic: a topic that both may subscribe, with levels below it.
    """

    first: str = "talk-1"
    second: str = "talk-2"
    topic: str = "talk"


Conversation = Callable[[BrokerApi, Stage, Names], Awaitable[None]]


async def listed(api: BrokerApi, matching: ClientFilter) -> dict[str, Client]:
    """Clients by id, folded, since a list may say one twice."""
    found = api.clients.every(("clientid", "connected", "connected_at", "client_attrs", "node"), matching)
    return {client.client_id: client async for client in found}


async def until_told(condition: Callable[[], Awaitable[bool]], seconds: float = 10.0) -> None:
    """Wait for what the broker does behind its answer."""
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.01)


async def clients_are_told(api: BrokerApi, stage: Stage, names: Names) -> None:
    await stage.online(names.first)
    await stage.online(names.second, keep=True)
    both = ClientFilter(client_ids=(names.first, names.second))
    assert (await listed(api, both)).keys() == {names.first, names.second}
    assert (await listed(api, ClientFilter(client_ids=(names.first,)))).keys() == {names.first}
    assert names.first in await listed(api, ClientFilter(like_client_id=names.first[:-1]))
    one = await api.clients.get(names.first)
    assert (one.client_id, one.connected) == (names.first, True)
    assert one.epoch is not None
    assert one.epoch == (await listed(api, both))[names.first].epoch
    first_page = await api.clients.page(1, 1, ("clientid",), both)
    assert (len(first_page.data), first_page.meta.is_last) == (1, False)
    ids = [client.client_id async for client in api.clients.scan(page_size=1)]
    assert {names.first, names.second} <= set(ids)

    await stage.leave(names.second)

    async def is_away() -> bool:
        return (await api.clients.get(names.second)).connected is False

    await until_told(is_away)
    assert names.second not in await listed(api, ClientFilter(both.client_ids, state="connected"))
    assert names.second in await listed(api, ClientFilter(both.client_ids, state="disconnected"))
    await api.clients.kick(names.second)
    with pytest.raises(NotFound):
        await api.clients.get(names.second)


async def subscriptions_end(api: BrokerApi, stage: Stage, names: Names) -> None:
    kept, lost, shared = f"{names.topic}/kept", f"{names.topic}/lost", f"$share/g/{names.topic}/shared"
    await stage.online(names.first, kept, lost, shared)
    assert {one.topic for one in await api.subscriptions.of(names.first)} == {kept, lost, shared}
    await api.subscriptions.unsubscribe(names.first, shared)
    await api.subscriptions.unsubscribe_many(names.first, [lost, f"{names.topic}/never"])
    assert {one.topic for one in await api.subscriptions.of(names.first)} == {kept}

    await api.publishing.publish(Message(lost, "gone", qos=1))
    await api.publishing.publish(Message(kept, "here", qos=1))
    await until(lambda: stage.received(names.first))
    assert stage.received(names.first) == [(kept, b"here")]
    for unknown in (
        api.subscriptions.of("nobody"),
        api.subscriptions.unsubscribe("nobody", kept),
        api.subscriptions.unsubscribe_many("nobody", [kept]),
    ):
        with pytest.raises(NotFound):
            await unknown


async def subscriptions_of_a_session_away_end(api: BrokerApi, stage: Stage, names: Names) -> None:
    topic = f"{names.topic}/away"
    await stage.online(names.first, topic, keep=True)
    await stage.leave(names.first)
    assert [one.topic for one in await api.subscriptions.of(names.first)] == [topic]
    await api.subscriptions.unsubscribe(names.first, topic)
    assert await api.subscriptions.of(names.first) == ()
    assert await api.clients.kick(names.first) is True


async def kicked_is_gone(api: BrokerApi, stage: Stage, names: Names) -> None:
    await stage.online(names.first)
    await stage.online(names.second)
    assert await api.clients.kick(names.first) is True
    await until(lambda: not stage.is_online(names.first))
    assert stage.is_online(names.second)
    assert await api.clients.kick(names.first) is False
    await api.clients.kick_many([names.second, "nobody"])
    await until(lambda: not stage.is_online(names.second))
    assert await listed(api, ClientFilter(client_ids=(names.first, names.second))) == {}


async def caches_are_cleared(api: BrokerApi, stage: Stage, names: Names) -> None:
    await stage.online(names.first, f"{names.topic}/x")
    await api.caches.of(names.first)
    assert await api.caches.clear(names.first) is True
    assert await api.caches.of(names.first) == ()
    assert await api.caches.clear("nobody") is False
    await api.caches.clear_all()
    await api.caches.reset_node("authorization")


async def rules_are_kept(api: BrokerApi, stage: Stage, names: Names) -> None:
    rules = (
        BuiltInRule(f"eq {names.topic}/+", "allow", "subscribe"),
        BuiltInRule(f"{names.topic}/a", "allow", "publish", qos=(0, 1), retain=False),
    )
    odd = ("talk/with+levels", "talk\r\nlines", "talk 客户", "talk%2Fpercent", "talk?#")
    try:
        for subject in (names.first, *odd):
            await api.client_rules.put(subject, rules)
            assert await api.client_rules.get(subject) == rules
        await api.client_rules.put(names.first, rules[:1])
        assert await api.client_rules.get(names.first) == rules[:1]
        with pytest.raises(Conflict):
            await api.client_rules.add([ClientRules("talk-new", rules), ClientRules(names.first, rules)])
        with pytest.raises(NotFound):
            await api.client_rules.get("talk-new")
        await api.client_rules.add([ClientRules("talk-new", rules)])
        all_rules = {one.subject: one.rules async for one in api.client_rules.every(page_size=2)}
        assert all_rules["talk-new"] == all_rules[odd[0]] == rules
        with pytest.raises(Rejected):
            await api.client_rules.put(names.first, rules * 51)
        assert await api.client_rules.get(names.first) == rules[:1]
    finally:
        deleted = [await api.client_rules.delete(subject) for subject in (names.first, "talk-new", *odd)]
    assert deleted == [True] * len(deleted)
    assert await api.client_rules.delete(names.first) is False


async def messages_are_published(api: BrokerApi, stage: Stage, names: Names) -> None:
    topic = f"{names.topic}/news"
    nobody = await api.publishing.publish(Message(topic, "lost", qos=1))
    assert not nobody.delivered
    stored = await api.publishing.publish(Message(topic, "kept", qos=1, retain=True))
    assert not stored.delivered
    await stage.online(names.first, topic)
    await until(lambda: stage.received(names.first) == [(topic, b"kept")])
    assert (await api.publishing.publish(Message(topic, b"\x00\xff", qos=1))).delivered
    results = await api.publishing.publish_many([Message(topic, "a", 1), Message(f"{topic}/nobody", "b", 1)])
    assert [result.delivered for result in results] == [True, False]
    await until(lambda: stage.received(names.first)[1:] == [(topic, b"\x00\xff"), (topic, b"a")])
    await api.publishing.publish(Message(topic, "", qos=1, retain=True))
    await stage.online(names.second, topic)
    await api.publishing.publish(Message(topic, "last", qos=1))
    await until(lambda: bool(stage.received(names.second)))
    assert stage.received(names.second) == [(topic, b"last")]
    for wrong in (f"{topic}/#", ""):
        with pytest.raises(Rejected):
            await api.publishing.publish(Message(wrong, "x"))


async def objects_can_be_read_and_written_back(api: BrokerApi, stage: Stage, names: Names) -> None:
    for authenticator in await api.authentication.all():
        await api.authentication.put(authenticator.id, authenticator)
        assert await api.authentication.get(authenticator.id) == authenticator
    sources = await api.authorization.all()
    for source in sources:
        assert await api.authorization.get(source.type) == source
    await api.authorization.put_order(source.type for source in sources)
    assert await api.authorization.all() == sources
    settings = await api.authorization.settings()
    assert await api.authorization.put_settings(settings) == settings
    with pytest.raises(NotFound):
        await api.authorization.get("redis")
    with pytest.raises(Conflict):
        await api.authorization.create(sources[0])


async def the_broker_says_what_it_is(api: BrokerApi, stage: Stage, names: Names) -> None:
    oldest = await api.nodes.oldest()
    assert oldest is not None
    assert oldest >= (5, 8, 0)
    assert "is running" in await api.nodes.status()
    assert api.state.well


CONVERSATIONS: tuple[Conversation, ...] = (
    clients_are_told,
    subscriptions_end,
    subscriptions_of_a_session_away_end,
    kicked_is_gone,
    caches_are_cleared,
    rules_are_kept,
    messages_are_published,
    objects_can_be_read_and_written_back,
    the_broker_says_what_it_is,
)
