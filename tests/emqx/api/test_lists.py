"""Long lists: page by page, by cursor, in bounded memory, and never without an end."""

import json
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from emqx.api import pages
from emqx.api.broker import BrokerApi
from emqx.api.clients import KICKED_AT_ONCE, ClientFilter
from emqx.api.errors import Broken
from emqx.api.pages import PageMeta
from emqx.api.subscriptions import SubscriptionFilter
from tests.emqx.api.server import Behaviour, Exchange, answers, serving

Connect = Callable[..., BrokerApi]
Listing = Callable[[BrokerApi], AsyncIterator[Any]]


def asked(exchange: Exchange) -> dict[str, list[str]]:
    return parse_qs(urlsplit(exchange.request.path).query)


def paged(rows: list[Any], *, count: bool = True, hasnext: bool = True) -> Behaviour:
    """A list of EMQX in numbered pages, with what a page says of itself."""

    async def behave(exchange: Exchange) -> None:
        query = asked(exchange)
        page, limit = int(query["page"][0]), int(query["limit"][0])
        meta: dict[str, Any] = {"page": page, "limit": limit}
        meta |= {"count": len(rows)} if count else {}
        meta |= {"hasnext": page * limit < len(rows)} if hasnext else {}
        await answers(200, {"data": rows[(page - 1) * limit : page * limit], "meta": meta})(exchange)

    return behave


CLIENTS = [{"clientid": f"c{number}"} for number in range(7)]
RULES = [{"clientid": "c", "rules": []}, {"clientid": "d", "rules": []}, {"clientid": "e", "rules": []}]
BANS = [{"as": "clientid", "who": name} for name in "abcd"]
ENGINE = [{"id": name, "enable": True, "sql": "SELECT 1", "actions": []} for name in "abc"]
SUBSCRIPTIONS = [{"clientid": "c", "topic": f"t/{number}", "qos": 1} for number in range(5)]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8])
@pytest.mark.parametrize(
    ("rows", "listing", "paging"),
    [
        (CLIENTS, lambda size: lambda api: api.clients.every(page_size=size), {}),
        (CLIENTS, lambda size: lambda api: api.clients.every(page_size=size), {"count": False}),
        (RULES, lambda size: lambda api: api.client_rules.every(page_size=size), {}),
        (SUBSCRIPTIONS, lambda size: lambda api: api.subscriptions.every(page_size=size), {}),
        (ENGINE, lambda size: lambda api: api.rules.every(page_size=size), {}),
        (BANS, lambda size: lambda api: api.banned.every(page_size=size), {"hasnext": False}),
    ],
)
async def test_every_row_comes_once_page_by_page(
    connect: Connect, rows: list[Any], listing: Callable[[int], Listing], paging: dict[str, bool], size: int
) -> None:
    async with serving(paged(rows, **paging)) as server:
        found = [row async for row in listing(size)(connect(server.url))]
        assert len(found) == len(rows)
        assert len(server.seen) == -(-len(rows) // size)


async def test_pages_are_read_one_after_the_other_as_they_are_wanted(connect: Connect) -> None:
    async with serving(paged(CLIENTS)) as server:
        wanted = connect(server.url).clients.every(page_size=2)
        for number in range(3):
            assert (await anext(wanted)).client_id == f"c{number}"
        assert len(server.seen) == 2


async def test_a_list_says_what_it_wants(connect: Connect) -> None:
    matching = ClientFilter(
        client_ids=("a,b", "c&d"),
        usernames=("é",),
        state="connected",
        like_client_id="x",
        like_username="y",
        node="emqx@127.0.0.1",
    )
    seen: list[dict[str, list[str]]] = []

    async def behave(exchange: Exchange) -> None:
        seen.append(asked(exchange))
        await answers(200, {"data": [], "meta": {"hasnext": False}})(exchange)

    async with serving(behave) as server:
        api = connect(server.url)
        assert [row async for row in api.clients.every(("clientid", "client_attrs"), matching)] == []
        assert [row async for row in api.subscriptions.every(SubscriptionFilter(topic="a/#"))] == []
        assert [row async for row in api.user_rules.every(like="e")] == []
    assert seen == [
        {
            "page": ["1"],
            "limit": ["1000"],
            "clientid": ["a,b", "c&d"],
            "username": ["é"],
            "conn_state": ["connected"],
            "like_clientid": ["x"],
            "like_username": ["y"],
            "node": ["emqx@127.0.0.1"],
            "fields": ["clientid,client_attrs"],
        },
        {"page": ["1"], "limit": ["1000"], "topic": ["a/#"]},
        {"page": ["1"], "limit": ["1000"], "like_username": ["e"]},
    ]


@pytest.mark.parametrize("last", [{"count": 3}, {"hasnext": False}, {"hasnext": False, "cursor": "c9"}])
async def test_a_list_by_cursor_ends_with_the_page_without_one(
    connect: Connect, last: dict[str, Any]
) -> None:
    async def behave(exchange: Exchange) -> None:
        position = int(asked(exchange).get("cursor", ["c0"])[0][1:])
        meta = {"cursor": f"c{position + 1}", "count": 3} if position < 2 else last
        await answers(200, {"data": [CLIENTS[position]], "meta": meta})(exchange)

    async with serving(behave) as server:
        found = [client.client_id async for client in connect(server.url).clients.scan(page_size=1)]
        assert found == ["c0", "c1", "c2"]
        assert [urlsplit(seen.path).query for seen in server.seen] == [
            "limit=1",
            "limit=1&cursor=c1",
            "limit=1&cursor=c2",
        ]


async def test_a_list_without_an_end_is_no_list(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "MOST_PAGES", 5)
    endless = {"data": [{"clientid": "c"}], "meta": {"hasnext": True}}
    async with serving(answers(200, endless)) as server:
        with pytest.raises(Broken, match="GET /clients: the list does not end"):
            [row async for row in connect(server.url).clients.every()]
        assert len(server.seen) == 5
    stuck = {"data": [{"clientid": "c"}], "meta": {"cursor": "same"}}
    async with serving(answers(200, stuck)) as server:
        with pytest.raises(Broken, match="GET /clients_v2: the list does not end"):
            [row async for row in connect(server.url).clients.scan()]
        assert len(server.seen) == 2


@pytest.mark.parametrize(
    ("meta", "last"),
    [
        (PageMeta(hasnext=True, page=1, limit=10, count=0), False),
        (PageMeta(hasnext=False, page=1, limit=10, count=100), True),
        (PageMeta(page=1, limit=10, count=11), False),
        (PageMeta(page=2, limit=10, count=11), True),
        (PageMeta(page=1, limit=10, count=10), True),
        (PageMeta(), True),
    ],
)
def test_the_last_page_is_known(meta: PageMeta, last: bool) -> None:
    assert meta.is_last is last


async def test_many_are_kicked_in_portions(connect: Connect) -> None:
    ids = [f"c{number}" for number in range(2 * KICKED_AT_ONCE + 1)]
    async with serving(answers(204)) as server:
        api = connect(server.url)
        await api.clients.kick_many(iter(ids))
        assert [len(json.loads(seen.body)) for seen in server.seen] == [KICKED_AT_ONCE, KICKED_AT_ONCE, 1]
        assert [client_id for seen in server.seen for client_id in json.loads(seen.body)] == ids
        await api.clients.kick_many([])
        assert len(server.seen) == 3
