from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emqx.api.broker import BrokerApi
from emqx.api.errors import Unaddressable
from emqx.api.paths import query_string, segment, unaddressable
from emqx.errors import EmqxError
from tests.emqx.api.conftest import api_settings
from tests.emqx.api.server import answers, serving

IDS = st.text(min_size=1).filter(lambda text: not unaddressable(text) and text not in (".", ".."))


@given(IDS)
def test_an_id_is_one_level_and_comes_back_whole(identifier: str) -> None:
    encoded = segment(identifier)
    assert unquote(encoded) == identifier
    assert encoded.isascii()
    assert not set(encoded) & set("/?#:@ \r\n")


@pytest.mark.parametrize("identifier", ["a\x00b", "\x01", "x\x7f", "\ud800"])
def test_what_emqx_answers_400_to_is_refused(identifier: str) -> None:
    with pytest.raises(Unaddressable, match="answers 400 to it; stop the listener or the node"):
        segment(identifier)
    assert unaddressable(identifier)
    assert issubclass(Unaddressable, EmqxError)


@pytest.mark.parametrize("identifier", ["", ".", ".."])
def test_what_would_become_another_path_is_refused(identifier: str) -> None:
    with pytest.raises(Unaddressable, match=r"kick it through Clients\.kick_many"):
        segment(identifier)
    assert not unaddressable(identifier)


def test_the_kept_characters_stay() -> None:
    assert segment("http:mchat/x", keep=":") == "http:mchat%2Fx"


def test_a_query_says_each_value_whole() -> None:
    assert query_string(()) == ""
    assert query_string((("clientid", "a&b,c=d"), ("clientid", "é"), ("fields", "x,y"))) == (
        "?clientid=a%26b%2Cc%3Dd&clientid=%C3%A9&fields=x,y"
    )


@pytest.mark.parametrize(
    ("identifier", "level"),
    [
        ("a/b", "a%2Fb"),
        ("a\r\nX: y", "a%0D%0AX%3A%20y"),
        ("%2F", "%252F"),
        ("..a", "..a"),
        ("客户", "%E5%AE%A2%E6%88%B7"),
        ("a?b#c", "a%3Fb%23c"),
    ],
)
async def test_the_path_reaches_the_wire_as_it_was_made(identifier: str, level: str) -> None:
    async with serving(answers(204)) as server, BrokerApi(api_settings(server.url)) as api:
        await api.clients.kick(identifier)
        assert server.seen[0].path == f"/api/v5/clients/{level}"


async def test_nothing_is_sent_for_an_id_that_rest_cannot_name() -> None:
    async with serving(answers(204)) as server, BrokerApi(api_settings(server.url)) as api:
        for identifier in ("\x00", "..", "a\x7f"):
            for refused in (
                api.clients.kick(identifier),
                api.clients.get(identifier),
                api.client_rules.delete(identifier),
                api.subscriptions.unsubscribe(identifier, "t"),
                api.caches.clear(identifier),
                api.banned.delete("clientid", identifier),
            ):
                with pytest.raises(Unaddressable):
                    await refused
        with pytest.raises(Unaddressable, match="leave it out"):
            await api.clients.kick_many(["c1", "\x01"])
        assert not server.seen
        await api.clients.kick_many(["..", "c1"])
        assert server.seen[0].body == b'["..","c1"]'
        assert api.state.well
