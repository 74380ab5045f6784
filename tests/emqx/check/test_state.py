"""What is read of a broker: the recorded fresh EMQX, and the laptop broker over a real socket."""

from typing import Any

import pytest

from emqx.api.errors import ApiError
from emqx.check.state import read
from emqx.check.superusers import Superusers
from tests.emqx.check.replayed import NO_PAGE, RULES, fresh
from tests.emqx.conftest import SECRET
from tests.emqx.laptop.rest.conftest import open_place, place  # noqa: F401 - fixtures

DATABASE = "/authentication/password_based%3Abuilt_in_database/users"


async def test_a_fresh_emqx_as_it_was_recorded() -> None:
    actual = await fresh().actual()
    assert actual.release == (5, 8, 9)
    assert actual.authenticators == ()
    assert [source.type for source in actual.sources] == ["file"]
    assert actual.authorization_settings.no_match == "allow"
    assert actual.authentication_settings is None
    assert actual.node_cache is None
    assert [listener.id for listener in actual.listeners] == [
        *("ssl:default", "tcp:default", "ws:default", "wss:default")
    ]
    assert actual.root("rewrite") == []
    assert actual.root("listeners")["tcp"]["default"]["enable_authn"] is True
    assert actual.unreadable == ""
    assert (actual.rules_of_all, actual.rules_of_users, actual.statuses) == ((), (), {})


async def test_the_laptop_broker_as_it_begins(place: Any) -> None:  # noqa: F811 - fixture
    actual = await read(place.api)
    assert [one.id for one in actual.authenticators] == ["password_based:http"]
    assert [source.type for source in actual.sources] == ["built_in_database", "http"]
    assert actual.statuses == {"authn": "connected", "authz": "connected"}
    connector, action = actual.connector("http:mchat"), actual.action("http:mchat_events")
    assert connector is not None and action is not None
    assert actual.rule("mchat_events") is not None
    assert actual.connector("http:none") is None
    header = actual.root("authentication")[0]["headers"]["authorization"]
    assert header == f"Bearer {SECRET}"
    assert SECRET not in repr(actual)


async def test_who_of_the_users_is_a_superuser() -> None:
    broker = fresh()
    chain = {
        "id": "password_based:built_in_database",
        "mechanism": "password_based",
        "backend": "built_in_database",
        "enable": True,
    }
    broker.say("/authentication", [chain])
    rows = [{"user_id": f"u{number}", "is_superuser": number > 1} for number in range(10)]
    broker.say(DATABASE, {"data": rows, "meta": {"page": 1, "limit": 1000, "count": 10}})
    found = Superusers(chain["id"], 8, ("u2", "u3", "u4", "u5", "u6"))  # type: ignore[arg-type]
    assert (await broker.actual()).superusers == (found,)
    broker.say(DATABASE, NO_PAGE)
    assert (await broker.actual()).superusers == ()


async def test_rules_of_all_and_of_users_are_read_where_there_is_a_database() -> None:
    broker = fresh()
    broker.say("/authorization/sources", {"sources": [{"type": "built_in_database", "enable": True}]})
    rule = {"topic": "#", "permission": "allow", "action": "all", "qos": [0, 1, 2], "retain": "all"}
    broker.say(f"{RULES}/users", NO_PAGE)
    assert (await broker.actual()).rules_of_all == ()
    broker.say(f"{RULES}/all", {"rules": [rule]})
    users = {"data": [{"username": "e1", "rules": [rule]}], "meta": {"page": 1, "limit": 20, "count": 1}}
    broker.say(f"{RULES}/users", users)
    actual = await broker.actual()
    assert [one.topic for one in actual.rules_of_all] == ["#"]
    assert [one.subject for one in actual.rules_of_users] == ["e1"]


async def test_hocon_that_is_not_understood_is_told_without_its_words() -> None:
    broker = fresh()
    broker.hocon = "a = 1\nauthorization = Bearer hidden words"
    actual = await broker.actual()
    assert actual.roots is None
    assert actual.root("rewrite") is None
    assert actual.unreadable == "line 2 of GET /configs as text is HOCON that is not understood"


async def test_a_node_without_a_version_makes_the_release_unknown() -> None:
    broker = fresh()
    broker.body("/nodes").append({"node": "n2", "version": "5.8.1", "node_status": "running"})
    assert (await broker.actual()).release == (5, 8, 1)
    broker.body("/nodes").append({"node": "n3", "version": "", "node_status": "stopped"})
    assert (await broker.actual()).release is None


@pytest.mark.parametrize("path", ["/nodes", "/configs", "/authorization/settings", "/configs/broker"])
async def test_a_call_that_fails_is_no_state(path: str) -> None:
    broker = fresh()
    broker.say(path, {"code": "INTERNAL_ERROR", "message": "no"}, 500)
    with pytest.raises(ApiError, match=path.replace("?", ".")):
        await broker.actual()
