"""Who may call at all, and what a call may be: the key, the path, the bounds."""

import asyncio
import json
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from emqx.api.broker import BrokerApi
from emqx.api.errors import Refused
from emqx.errors import BindError, SecretError
from emqx.laptop.server import LaptopBroker
from tests.emqx.api.conftest import KEY, SECRET, api_settings
from tests.emqx.conftest import laptop_settings
from tests.emqx.laptop.rest.conftest import Place
from tests.emqx.mchat import FakeMChat


def basic(text: str) -> str:
    return "Basic " + b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        (basic(f"{KEY}:{SECRET}"), 200),
        (basic(f"{KEY}:{SECRET}").replace("Basic", "basic"), 200),
        (None, 401),
        ("", 401),
        (basic(f"{KEY}:{SECRET}x"), 401),
        (basic(f"{KEY}:"), 401),
        (basic(KEY), 401),
        (basic(f"{SECRET}:{KEY}"), 401),
        (f"Bearer {SECRET}", 401),
        ("Basic not-base64!", 401),
        ("Basic", 401),
    ],
)
async def test_only_the_key_with_its_secret_comes_in(
    place: Place, authorization: str | None, status: int
) -> None:
    url = f"http://127.0.0.1:{place.broker.api_port}/api/v5/nodes"
    headers = {} if authorization is None else {"authorization": authorization}
    async with httpx.AsyncClient(trust_env=False, headers=headers) as http:
        answered = await http.get(url)
        assert answered.status_code == status
        if status == 401:
            assert answered.json()["code"] == "BAD_API_KEY_OR_SECRET"
            # A stranger is not even told what there is.
            assert (await http.get(f"{url}/nothing/such")).status_code == 401


async def test_a_wrong_secret_is_an_error_of_the_client(place: Place) -> None:
    settings = api_settings(f"http://127.0.0.1:{place.broker.api_port}", api_secret="wrong")
    async with BrokerApi(settings) as api:
        with pytest.raises(Refused):
            await api.nodes.all()


async def test_without_a_key_there_is_no_api(mchat: FakeMChat) -> None:
    async with LaptopBroker(laptop_settings(mchat.url, api_bind="127.0.0.1:0")) as broker:
        assert broker.api_port == 0


async def test_a_taken_port_is_said_and_nothing_stays_open(place: Place) -> None:
    bind = f"127.0.0.1:{place.broker.api_port}"
    broker = LaptopBroker(laptop_settings(place.mchat.url, api_bind=bind, api_key=KEY, api_secret=SECRET))
    with pytest.raises(BindError, match=f"{bind}: .*MCHAT_LAPTOP_API_BIND"):
        await broker.start()
    assert broker.ports == ()


async def test_a_key_with_a_colon_is_refused(mchat: FakeMChat) -> None:
    with pytest.raises(SecretError, match="colon"):
        LaptopBroker(laptop_settings(mchat.url, api_key="a:b", api_secret=SECRET))


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/no_such_thing", 404, None),
        ("GET", "/authorization/node_cache", 404, None),
        ("GET", "/", 404, None),
        ("PATCH", "/clients", 405, None),
        ("POST", "/authorization/sources/built_in_database", 405, None),
        ("GET", "/alarms", 501, "NOT_IMPLEMENTED"),
        ("GET", "/mqtt/retainer/messages", 501, "NOT_IMPLEMENTED"),
        ("PUT", "/mqtt/topic_rewrite", 405, None),
        ("GET", "/api_key", 401, "API_KEY_NOT_ALLOW"),
        ("GET", "/clients/%00", 400, "BAD_REQUEST"),
        ("GET", "/clients/%7F", 400, "BAD_REQUEST"),
        ("GET", "/clients/%FF", 400, "BAD_REQUEST"),
        ("GET", "/clients/" + "c" * 9_000, 414, None),
        ("GET", "/clients/nobody", 404, "CLIENTID_NOT_FOUND"),
        ("GET", "/authentication/settings", 404, "NOT_FOUND"),
        ("GET", "/authentication/node_cache/status", 404, "NOT_FOUND"),
    ],
)
async def test_what_is_not_there(place: Place, method: str, path: str, status: int, code: str | None) -> None:
    answered = await place.call(method, path)
    assert answered.status_code == status
    if code is not None:
        assert answered.json()["code"] == code


async def test_another_root_is_not_there(place: Place) -> None:
    root = f"http://127.0.0.1:{place.broker.api_port}"
    for path in ("/", "/api", "/api/v4/nodes", "/x/api/v5/nodes", "/api/v5/../v5/nodes"):
        async with httpx.AsyncClient(trust_env=False, auth=(KEY, SECRET)) as http:
            request = http.build_request("GET", root + "/", extensions={"target": path.encode()})
            assert (await http.send(request)).status_code == 404, path


@pytest.mark.parametrize("body", ["", "{", "[1]", '"text"', "null", "\ud800"])
async def test_a_body_that_is_none_is_refused(place: Place, body: str) -> None:
    answered = await place.http.put(
        "/authentication/password_based%3Ahttp", content=body.encode("utf-8", "surrogatepass")
    )
    assert (answered.status_code, answered.json()["code"]) == (400, "BAD_REQUEST")
    assert (await place.api.authentication.get("password_based:http")).enabled


async def test_a_body_is_bounded(open_place: Callable[..., Any]) -> None:
    place: Place = await open_place(api_max_body=2_000)
    ids = [f"client-{number}" for number in range(200)]
    assert (await place.call("POST", "/clients/kickout/bulk", ids[:20])).status_code == 204
    assert (await place.call("POST", "/clients/kickout/bulk", ids)).status_code == 413


async def test_a_request_has_to_become_whole_in_time(open_place: Callable[..., Any]) -> None:
    place: Place = await open_place(api_timeout=0.2)
    reader, writer = await asyncio.open_connection("127.0.0.1", place.broker.api_port)
    head = (
        "POST /api/v5/clients/kickout/bulk HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n"
        f"authorization: {basic(f'{KEY}:{SECRET}')}\r\n\r\n["
    )
    writer.write(head.encode())
    async with asyncio.timeout(10):
        assert b" 503 " in await reader.readline()
        assert await reader.read() != b""
    writer.close()


async def test_a_head_is_bounded(place: Place) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", place.broker.api_port)
    writer.write(b"GET /api/v5/nodes HTTP/1.1\r\nhost: x\r\nx-long: " + b"x" * 200_000)
    async with asyncio.timeout(10):
        assert b" 400 " in await reader.readline()
    writer.close()


async def test_a_fault_of_ours_is_a_500_and_the_broker_goes_on(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr(place.broker.broker, "session", broken)
    answered = await place.call("GET", "/clients/c")
    assert (answered.status_code, answered.headers["connection"]) == (500, "close")
    assert answered.json()["code"] == "INTERNAL_ERROR"
    assert (await place.call("GET", "/nodes")).status_code == 200


async def test_ids_are_read_level_by_level(place: Place) -> None:
    for client_id in ("a/b", "a%2Fb", "with+#", "客户端-1", "kickout", "{}"):
        client = await place.clients.connected(client_id)
        assert (await place.api.clients.get(client_id)).client_id == client_id
        assert await place.api.clients.kick(client_id)
        await client.was_closed()


async def test_no_answer_holds_a_secret(place: Place) -> None:
    paths = ("authentication", "authorization/sources", "connectors", "actions", "rules", "nodes", "configs")
    for path in paths:
        answered = await place.call("GET", f"/{path}")
        assert answered.status_code == 200
        assert "hook-secret" not in answered.text, path
        assert json.loads(answered.text) is not None
