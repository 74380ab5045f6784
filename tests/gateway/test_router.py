"""The registry of actions, and how parameters are read."""

from typing import Any

import pytest
from msgspec import Struct

import gateway.actions  # noqa: F401 - registers them
from gateway import parameters
from gateway.caller import Caller
from gateway.errors import Refused
from gateway.parameters import Id, Limit
from gateway.permissions import ADMIN, ANYONE
from gateway.reads import Reads
from gateway.router import ROUTER, Router


class Params(Struct, kw_only=True):
    """Parameters."""

    name: str
    group_id: Id | None = None
    limit: Limit = 500


def test_an_action_is_registered_with_what_its_function_says() -> None:
    router = Router()

    @router.action("thing.get", ADMIN, kind="reading", target=lambda params: params.name)
    async def get(caller: Caller, params: Params, reads: Reads) -> dict[str, Any]:
        """Show a thing,
        whatever it is.

        More.
        """
        return {}

    found = router.find("thing.get")
    assert (found.name, found.kind, found.params) == ("thing.get", "reading", Params)
    assert found.permission is ADMIN and found.handler is get
    assert found.summary == "Show a thing, whatever it is."
    assert found.target(Params(name="n")) == "n"
    assert list(router) == [found]
    with pytest.raises(ValueError, match="twice"):
        router.action("thing.get", ANYONE, kind="reading")(get)


def test_a_function_that_says_too_little_is_refused() -> None:
    async def silent(caller: Caller, params: Params, reads: Reads) -> dict[str, Any]:
        return {}

    async def untyped(caller: Caller, params: dict[str, Any], reads: Reads) -> dict[str, Any]:
        """Do it."""
        return {}

    for handler in (silent, untyped):
        with pytest.raises(ValueError, match="docstring"):
            Router().action("thing.get", ANYONE, kind="reading")(handler)


def test_relayed_actions_wait_for_nothing_and_others_may() -> None:
    def plain(caller: Caller, params: Params, work: Any) -> dict[str, Any]:
        """Do it."""
        return {}

    async def waiting(caller: Caller, params: Params, work: Any) -> dict[str, Any]:
        """Do it."""
        return {}

    router = Router()
    with pytest.raises(ValueError, match="coroutine"):
        router.action("thing.pass", ANYONE, kind="relay")(waiting)
    with pytest.raises(ValueError, match="coroutine"):
        router.action("thing.get", ANYONE, kind="reading")(plain)
    router.action("thing.pass", ANYONE, kind="relay")(plain)
    router.action("thing.get", ANYONE, kind="reading")(waiting)
    assert len(router.names()) == 2


@pytest.mark.parametrize(
    "name", ["", "__proto__", "constructor", "toString", "org.tree ", "ORG.TREE", "x" * 500]
)
def test_an_action_that_there_is_none_of_is_400(name: str) -> None:
    with pytest.raises(Refused, match="Unknown action") as caught:
        ROUTER.find(name)
    assert caught.value.code == 400 and len(caught.value.message) < 200
    assert ROUTER.find("org.tree").name == "org.tree"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": 1}, "name"),
        ({"name": None}, "name"),
        ({"name": "n", "group_id": "#"}, "group_id"),
        ({"name": "n", "group_id": "g\n"}, "group_id"),
        ({"name": "n", "group_id": {}}, "group_id"),
        ({"name": "n", "limit": "5"}, "limit"),
        ({"name": "n", "limit": 5.0}, "limit"),
        ({"name": "n", "limit": True}, "limit"),
        ({"name": "n", "limit": 10**30}, "limit"),
    ],
)
def test_a_wrong_parameter_is_named_and_never_coerced(body: dict[str, Any], field: str) -> None:
    with pytest.raises(Refused) as caught:
        parameters.read(body, Params)
    assert (caught.value.code, caught.value.data) == (400, {"field": field})
    assert f"bad parameter {field}: " in caught.value.message


def test_unknown_parameters_are_ignored_and_null_is_left_out() -> None:
    read = parameters.read({"name": "n", "group_id": None, "action": "x", "__proto__": {}}, Params)
    assert read == Params(name="n")


def test_every_action_has_words_for_each_parameter() -> None:
    from gateway.reference import parameters as documented

    for action in ROUTER:
        for name, kind, _, words in documented(action):
            assert kind and words, f"{action.name}: {name}"
