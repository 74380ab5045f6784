"""Where a probe connects, from what the recorded broker says of its listeners."""

from typing import Any

import pytest

from emqx.check.case import Case
from mchat.emqx_place import place_of
from mchat.errors import CommandError
from tests.emqx.api.conftest import api_settings
from tests.emqx.check.replayed import ReplayedBroker, good, wanted


async def address(broker: ReplayedBroker, mqtt: str | None = None, **values: Any) -> tuple[str, int, str]:
    case = Case(**{"actual": await broker.actual(), "desired": wanted(), **values})
    place, zone = place_of(case, api_settings("http://127.0.0.2:18083"), "", mqtt)
    return place.host, place.port, zone


async def test_the_first_over_tcp_that_is_neither_the_gateways_nor_mounted() -> None:
    broker = good()
    assert await address(broker) == ("127.0.0.1", 1883, "default")
    broker.body("/listeners/tcp:default")["mountpoint"] = "u/"
    with pytest.raises(CommandError, match="say --mqtt"):
        await address(broker)
    assert await address(broker, "127.0.0.1:1999") == ("127.0.0.1", 1999, "default")


@pytest.mark.parametrize(
    ("bind", "expected"),
    [
        ("0.0.0.0:1883", ("127.0.0.2", 1883)),
        (":1883", ("127.0.0.2", 1883)),
        ("1883", ("127.0.0.2", 1883)),
        ("[::]:1883", ("127.0.0.2", 1883)),
        ("10.0.0.7:1885", ("10.0.0.7", 1885)),
        ("[::1]:1883", ("::1", 1883)),
    ],
)
async def test_one_that_listens_everywhere_is_where_the_api_is(bind: str, expected: tuple[str, int]) -> None:
    broker = good()
    broker.body("/listeners/tcp:default")["bind"] = bind
    assert (await address(broker))[:2] == expected


async def test_what_is_there_for_the_trials() -> None:
    broker = good()
    case = Case(await broker.actual(), wanted("acme"))
    place, _ = place_of(case, api_settings(), "acme", None)
    assert (place.gateway, place.inflight) == (("127.0.0.1", 1884), 1024)
    assert (place.prefix, place.excluded, place.has_database) == ("acme/", "acme/mchat/group/#", True)
    broker.body("/listeners/tcp:mchat_gateway")["enable"] = False
    del broker.body("/authorization/sources")["sources"][0]
    place, _ = place_of(Case(await broker.actual(), wanted()), api_settings(), "", None)
    assert (place.gateway, place.has_database) == (None, False)


async def test_what_is_no_address_is_said() -> None:
    with pytest.raises(CommandError, match="--mqtt"):
        await address(good(), "nonsense")
