"""The client against servers that fail in every way that a socket can show."""

import asyncio
import gzip
import logging
import traceback
from base64 import b64encode
from collections.abc import Awaitable, Callable

import pytest

from emqx.api.broker import BrokerApi
from emqx.api.errors import Broken, Busy, CircuitOpen, NotFound, Refused, Unreachable, Unsupported
from emqx.api.publishing import Message
from tests.emqx.api.conftest import KEY, SECRET, Moments
from tests.emqx.api.server import (
    Behaviour,
    Exchange,
    RawServer,
    answers,
    breaks_off,
    closes,
    hangs,
    serving,
    trickles,
)
from tests.emqx.waiting import until

Connect = Callable[..., BrokerApi]
Doing = Callable[[BrokerApi], Awaitable[object]]

NODES = [{"node": "emqx@127.0.0.1", "version": "5.8.9", "node_status": "running"}]
PUBLISHED = {"id": "1"}
NO_CLIENT = {"code": "CLIENTID_NOT_FOUND", "message": "Client ID not found"}


def read(api: BrokerApi) -> Awaitable[object]:
    return api.nodes.all()


def kick(api: BrokerApi) -> Awaitable[object]:
    return api.clients.kick("c1")


# What may be sent twice, with the answer that ends it well, and what may not.
REPEATABLE: list[tuple[Doing, Behaviour]] = [
    (read, answers(200, NODES)),
    (lambda api: api.client_rules.put("c1", []), answers(204)),
    (lambda api: api.client_rules.delete("c1"), answers(204)),
    (lambda api: api.caches.clear("c1"), answers(204)),
    (lambda api: api.subscriptions.unsubscribe("c1", "t"), answers(204)),
    (lambda api: api.subscriptions.unsubscribe_many("c1", ["t"]), answers(204)),
    (lambda api: api.publishing.publish(Message("t", "", retain=True)), answers(200, PUBLISHED)),
    (lambda api: api.configuration.merge("mqtt {}"), answers(200)),
]
ONCE_ONLY: list[Doing] = [
    kick,
    lambda api: api.clients.kick_many(["c1"]),
    lambda api: api.client_rules.add([]),
    lambda api: api.publishing.publish(Message("t", "x")),
    lambda api: api.publishing.publish_many([Message("t", "x"), Message("t", "x", retain=True)]),
    lambda api: api.authentication.create({}),
    lambda api: api.authorization.create({}),
    lambda api: api.connectors.create({}),
    lambda api: api.actions.create({}),
    lambda api: api.rules.create({}),
    lambda api: api.listeners.create({}),
]


async def warm(server: RawServer, api: BrokerApi) -> None:
    """One good call, so that a kept connection stands."""
    server.behaviours.insert(0, answers(200, NODES))
    await api.nodes.all()


@pytest.mark.parametrize("fault", [closes, breaks_off])
@pytest.mark.parametrize(("doing", "well"), REPEATABLE)
async def test_a_broken_connection_is_tried_once_more(
    connect: Connect, doing: Doing, well: Behaviour, fault: Behaviour
) -> None:
    async with serving(fault, well) as server:
        api = connect(server.url)
        await warm(server, api)
        await doing(api)
        assert [seen.connection for seen in server.seen] == [1, 1, 2]
        assert server.seen[1].path == server.seen[2].path
        assert server.seen[1].body == server.seen[2].body


@pytest.mark.parametrize("fault", [closes, breaks_off])
@pytest.mark.parametrize("doing", ONCE_ONLY)
async def test_what_may_not_happen_twice_is_sent_once(
    connect: Connect, doing: Doing, fault: Behaviour
) -> None:
    async with serving(fault, answers(204)) as server:
        api = connect(server.url)
        with pytest.raises(Unreachable, match=r"the connection broke.*see whether it took effect"):
            await doing(api)
        assert len(server.seen) == 1


async def test_a_connection_that_breaks_twice_is_given_up(connect: Connect) -> None:
    async with serving(closes) as server:
        with pytest.raises(Unreachable, match=r"GET /nodes: the connection broke.*see that EMQX runs"):
            await connect(server.url).nodes.all()
        assert len(server.seen) == 2


async def test_emqx_closes_the_connection_after_a_500(connect: Connect) -> None:
    fault = {
        "code": "INTERNAL_ERROR",
        "message": "error, function_clause, [{emqx_authz_api_mnesia,client,[put]}]",
    }
    async with serving(answers(500, fault, close=True), answers(200, NODES)) as server:
        api = connect(server.url)
        with pytest.raises(Broken, match="EMQX answered 500 INTERNAL_ERROR error, function_clause …"):
            await api.client_rules.put("c1", [])
        assert (await api.nodes.all())[0].release == (5, 8, 9)
        assert len(server.seen) == 2


async def test_nobody_listens(connect: Connect, free_port: int) -> None:
    with pytest.raises(
        Unreachable, match=f"no connection to http://127.0.0.1:{free_port}.*see that EMQX runs"
    ):
        await kick(connect(f"http://127.0.0.1:{free_port}"))


async def test_silence_is_bounded_and_not_repeated(connect: Connect) -> None:
    async with serving(hangs) as server:
        with pytest.raises(Unreachable, match=r"silent for 0\.2 s.*MCHAT_EMQX_READ_TIMEOUT"):
            await connect(server.url, read_timeout=0.2).nodes.all()
        assert len(server.seen) == 1


async def test_a_slow_answer_is_bounded_as_a_whole(connect: Connect) -> None:
    async with serving(trickles) as server:
        with pytest.raises(Unreachable, match=r"no whole answer within 0\.3 s.*MCHAT_EMQX_CALL_TIMEOUT"):
            await connect(server.url, read_timeout=60, call_timeout=0.3).nodes.all()
        await until(lambda: not server.at_once)  # and the connection is closed


async def endless(exchange: Exchange) -> None:
    await exchange.send(
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    while True:
        await exchange.send(b"1000\r\n" + b" " * 4096 + b"\r\n")


async def test_an_endless_answer_is_cut(connect: Connect) -> None:
    async with serving(endless) as server:
        with pytest.raises(Broken, match=r"larger than 65536 bytes.*MCHAT_EMQX_MAX_BODY"):
            await connect(server.url, max_body=65_536).nodes.all()
        await until(lambda: not server.at_once)


async def test_an_answer_within_the_bound_is_read(connect: Connect) -> None:
    padded = b"[" + b" " * 65_000 + b"]"
    async with serving(answers(200, padded)) as server:
        assert await connect(server.url, max_body=65_536).nodes.all() == ()


async def test_a_compressed_answer_is_not_unpacked(connect: Connect) -> None:
    async with serving(answers(200, gzip.compress(b"[]"), content_encoding="gzip")) as server:
        with pytest.raises(Broken, match="compressed"):
            await connect(server.url).nodes.all()
        assert server.seen[0].headers["accept-encoding"] == "identity"


async def test_a_redirect_is_not_followed(connect: Connect) -> None:
    async with serving(answers(200, NODES)) as other, serving(answers(302, location=other.url)) as server:
        with pytest.raises(Broken, match="EMQX answered 302, a redirect"):
            await connect(server.url).nodes.all()
        assert not other.seen


async def test_no_proxy_of_the_environment(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(answers(200, NODES)) as server, serving(answers(200, [])) as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        assert await connect(server.url).nodes.all()
        assert not proxy.seen


PAGE = b"<html><head><title>404 - NOT FOUND</title></head></html>"


@pytest.mark.parametrize(
    ("behaviour", "error", "words"),
    [
        (answers(200, PAGE, content_type="text/html"), Broken, "'text/html', not JSON"),
        (answers(200, b"[", content_type="application/json"), Broken, "not what EMQX"),
        (answers(200, b"\xff", content_type="application/json"), Broken, "not what EMQX"),
        (answers(200, [{"node": 1}]), Broken, "not what EMQX"),
        (answers(200, b"[" * 100_000), Broken, "not what EMQX"),
        (answers(502, PAGE, content_type="text/html"), Broken, "EMQX answered 502"),
        (answers(404, PAGE, content_type="text/html"), Unsupported, "no such call"),
        (answers(404, NO_CLIENT), NotFound, "CLIENTID_NOT_FOUND Client ID not found"),
        (answers(401, {"code": "BAD_API_KEY_OR_SECRET", "message": "Check"}), Refused, "MCHAT_EMQX_API_KEY"),
        (answers(403, {"code": "FORBIDDEN", "message": "no"}), Refused, "role administrator"),
    ],
)
async def test_answers_that_are_none(
    connect: Connect, behaviour: Behaviour, error: type[Exception], words: str
) -> None:
    async with serving(behaviour) as server:
        with pytest.raises(error, match=words):
            await connect(server.url).nodes.all()


async def test_only_emqx_own_404_says_that_a_client_is_gone(connect: Connect) -> None:
    async with serving(answers(404, NO_CLIENT)) as server:
        assert await kick(connect(server.url)) is False
    async with serving(answers(404, PAGE, content_type="text/html")) as server:
        with pytest.raises(Unsupported, match="DELETE /clients/c1"):
            await kick(connect(server.url))


@pytest.mark.parametrize("doing", [read, kick])
async def test_429_is_waited_for(connect: Connect, moments: Moments, doing: Doing) -> None:
    well = answers(200, NODES) if doing is read else answers(204)
    async with serving(answers(429), answers(429, retry_after="1"), well) as server:
        assert await doing(connect(server.url))
    assert moments.slept == pytest.approx([0.075, 1.05])


async def test_503_is_waited_for_only_if_twice_is_as_good_as_once(connect: Connect, moments: Moments) -> None:
    async with serving(answers(503), answers(200, NODES)) as server:
        assert await connect(server.url).nodes.all()
        assert moments.slept == pytest.approx([0.075])
    async with serving(answers(503, retry_after="1"), answers(204)) as server:
        with pytest.raises(
            Busy, match=r"DELETE /clients/c1: EMQX answered 503 1 times; try in 1 s"
        ) as raised:
            await kick(connect(server.url))
        assert (raised.value.retry_after, len(server.seen)) == (1, 1)


async def test_patience_ends(connect: Connect, moments: Moments) -> None:
    async with serving(answers(429)) as server:
        with pytest.raises(Busy, match="EMQX answered 429 3 times; try later"):
            await connect(server.url).nodes.all()
        assert len(server.seen) == 3
        assert moments.slept == pytest.approx([0.075, 0.15])
        moments.slept.clear()
        with pytest.raises(Busy, match="2 times"):
            await connect(server.url, attempts=2).nodes.all()


@pytest.mark.parametrize("asked", ["3", "3600"])
async def test_a_longer_wait_is_left_to_the_caller(connect: Connect, moments: Moments, asked: str) -> None:
    async with serving(answers(503, retry_after=asked)) as server:
        with pytest.raises(Busy, match=f"try in {asked} s") as raised:
            await connect(server.url, longest_pause=2).nodes.all()
        assert (raised.value.retry_after, len(server.seen), moments.slept) == (float(asked), 1, [])


async def test_connections_are_bounded(connect: Connect) -> None:
    gate = asyncio.Event()

    async def waits(exchange: Exchange) -> None:
        await gate.wait()
        await answers(200, NODES)(exchange)

    async with serving(waits) as server:
        api = connect(server.url, connections=2)
        calls = [asyncio.create_task(api.nodes.all()) for _ in range(8)]
        await until(lambda: server.at_once == 2)
        gate.set()
        await asyncio.gather(*calls)
        assert (server.connections, server.most_at_once, len(server.seen)) == (2, 2, 8)


async def test_waiting_for_a_connection_is_bounded(connect: Connect) -> None:
    async with serving(trickles) as server:
        api = connect(server.url, connections=1, read_timeout=1)
        taken = asyncio.create_task(api.nodes.all())
        await until(lambda: bool(server.seen))
        with pytest.raises(Busy, match=r"all 1 connections to EMQX stayed in use.*MCHAT_EMQX_CONNECTIONS"):
            await api.nodes.all()
        taken.cancel()
        with pytest.raises(asyncio.CancelledError):
            await taken


async def test_the_circuit_opens_and_says_why(connect: Connect, moments: Moments) -> None:
    async with serving(answers(500, {"code": "INTERNAL_ERROR", "message": "x"})) as server:
        api = connect(server.url, circuit_failures=3, circuit_rest=2)
        for _ in range(3):
            assert api.state.well
            with pytest.raises(Broken):
                await api.nodes.all()
        assert (api.state.phase, api.state.failures, api.state.seconds) == ("open", 3, 2)
        assert "GET /nodes: EMQX answered 500" in api.state.reason
        moments.now += 1.5
        with pytest.raises(
            CircuitOpen, match=r"DELETE /clients/c1: not sent.*answered 500.*in 0\.5 s"
        ) as raised:
            await kick(api)
        assert (raised.value.retry_after, len(server.seen)) == (0.5, 3)

        moments.now += 0.5
        assert api.state.phase == "half-open"
        with pytest.raises(Broken):
            await api.nodes.all()
        assert (api.state.phase, api.state.failures, len(server.seen)) == ("open", 4, 4)

        server.behaviours[:] = [answers(200, NODES)]
        moments.now += 2
        await api.nodes.all()
        assert (api.state.well, api.state.failures, api.state.reason) == (True, 0, "")


async def test_one_trial_at_a_time_and_a_cancelled_one_makes_room(connect: Connect, moments: Moments) -> None:
    async with serving(closes, closes, hangs, answers(200, NODES)) as server:
        api = connect(server.url, circuit_failures=1, circuit_rest=2)
        with pytest.raises(Unreachable):
            await api.nodes.all()
        moments.now += 2
        trial = asyncio.create_task(api.nodes.all())
        await until(lambda: len(server.seen) == 3)
        with pytest.raises(CircuitOpen) as raised:
            await api.nodes.all()
        assert raised.value.retry_after == 0.1
        trial.cancel()
        with pytest.raises(asyncio.CancelledError):
            await trial
        assert await api.nodes.all()
        assert api.state.well


async def test_a_no_of_emqx_is_no_failure(connect: Connect) -> None:
    no = {"code": "BAD_REQUEST", "message": "no"}
    for status, body in ((400, no), (401, no), (404, no), (404, None), (409, no)):
        async with serving(answers(status, body)) as server:
            api = connect(server.url, circuit_failures=1)
            with pytest.raises(Exception, match=str(status)):
                await api.nodes.all()
            assert api.state.well, status


async def test_what_we_are_is_told_and_never_shown(
    connect: Connect,
    moments: Moments,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    token = b64encode(f"{KEY}:{SECRET}".encode()).decode()
    echo = {"code": "X", "message": f"bad header authorization: Basic {token}"}
    async with serving(closes, closes, answers(401, echo)) as server:
        api = connect(server.url, circuit_failures=1, circuit_rest=1)
        with pytest.raises(Unreachable) as unreachable:
            await api.nodes.all()
        moments.now += 1
        with pytest.raises(Refused) as refused:
            await api.nodes.all()
    assert server.seen[0].headers["authorization"] == f"Basic {token}"
    shown: list[str] = [repr(api), repr(vars(api)), repr(api.state), caplog.text, *capsys.readouterr()]
    for error in (unreachable.value, refused.value):
        shown += [*traceback.format_exception(error), repr(error), repr(error.__cause__)]
    assert any("emqx_circuit_open" in text for text in shown)
    for text in shown:
        assert not any(secret in text for secret in (KEY, SECRET, token)), text
