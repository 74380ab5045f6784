"""A key set behind a URL: what is fetched when, and what a bad endpoint cannot do. Real sockets throughout."""

import asyncio
import contextlib
import gzip
import socket
import ssl
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from acl_service.errors import ConfigurationError
from acl_service.identity import jwks
from acl_service.identity.jwks import Jwks, JwksTimes
from acl_service.identity.jwks_endpoint import MAX_SET_BYTES, FetchFailed, JwksEndpoint
from acl_service.identity.jwt_keys import key_set
from tests.acl_service.identity.certificate_authority import server_context
from tests.acl_service.identity.issuer import jwk, jwk_set
from tests.acl_service.identity.jwks_server import JwksServer, answer, eventually, jwks_server


class Clock:
    """Time that stands still until it is told to go on."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Watched:
    """A key set, its endpoint and the clock that it looks at."""

    def __init__(self, server: JwksServer, times: JwksTimes | None = None) -> None:
        self.server = server
        self.clock = Clock()
        self.failures = 0
        endpoint = JwksEndpoint(server.url, timeout_s=30)
        self.jwks = Jwks(
            endpoint, times or JwksTimes(fetch=30, wait=30), clock=self.clock, failed=self._failed
        )

    def _failed(self) -> None:
        self.failures += 1

    def knows(self, kid: str) -> bool:
        return self.jwks.find("ES256", kid) is not None

    @property
    def asked(self) -> int:
        return len(self.server.requests)

    def publish(self, *kids: str) -> None:
        self.server.page = answer(jwk_set(*(jwk(name=kid, kid=kid) for kid in kids)))


@contextlib.asynccontextmanager
async def watched(times: JwksTimes | None = None) -> AsyncIterator[Watched]:
    async with jwks_server() as server:
        one = Watched(server, times)
        try:
            yield one
        finally:
            await one.jwks.close()


async def test_one_fetch_serves_all_who_wait_and_the_next_is_thirty_seconds_later() -> None:
    async with watched() as one:
        assert not one.knows("k1")
        await asyncio.gather(*(one.jwks.renew() for _ in range(50)))
        assert one.knows("k1")
        assert one.jwks.age_s == 0
        assert one.asked == 1
        one.publish("k1", "k2")
        one.clock.now += 29.9
        await asyncio.gather(*(one.jwks.renew() for _ in range(50)))
        assert not one.knows("k2")
        assert one.asked == 1, "however many ask"
        one.clock.now += 0.1
        await one.jwks.renew()
        assert one.knows("k2")
        assert one.asked == 2


async def test_a_failed_fetch_counts_for_the_spacing_too() -> None:
    async with watched() as one:
        one.server.page = answer(b"", "503 Service Unavailable")
        await one.jwks.renew()
        assert one.failures == 1
        one.publish("k1")
        one.clock.now += 29
        await one.jwks.renew()
        assert not one.knows("k1")
        one.clock.now += 1
        await one.jwks.renew()
        assert one.knows("k1")


async def test_a_withdrawn_key_goes_with_the_next_fetch() -> None:
    async with watched() as one:
        one.publish("k1", "k2")
        await one.jwks.renew()
        one.publish("k2")
        one.clock.now += 30
        await one.jwks.renew()
        assert not one.knows("k1")
        assert one.knows("k2")


async def test_a_set_that_was_emptied_is_believed() -> None:
    """An issuer who withdraws all keys means it; a page that is no set is another matter."""
    async with watched() as one:
        await one.jwks.renew()
        one.server.page = answer(b'{"keys": []}')
        one.clock.now += 30
        await one.jwks.renew()
        assert not one.knows("k1")
        assert one.failures == 0


BAD: dict[str, bytes] = {
    "HTML": answer(b"<!doctype html><title>Sign in</title>", "200 OK", "content-type: text/html"),
    "JSON that is no set": answer(b'{"error": "unauthorized"}'),
    "a list": answer(b"[]"),
    "nothing": answer(b""),
    "not found": answer(jwk_set(), "404 Not Found"),
    "an error": answer(jwk_set(), "500 Internal Server Error"),
    "no content": answer(b"", "204 No Content"),
    "partial": answer(jwk_set(), "206 Partial Content"),
    "packed": answer(gzip.compress(jwk_set()), "200 OK", "content-encoding: gzip"),
    "longer than a MiB": answer(jwk_set() + b" " * MAX_SET_BYTES),
    "too many keys": answer(jwk_set(*[jwk()] * 101)),
    "cut": answer(jwk_set())[:-5],
    "no HTTP": b"+OK POP3 ready\r\n\r\n",
    "closed at once": b"",
    "an endless head": b"HTTP/1.1 200 OK\r\n" + b"x: " + b"y" * 2_000_000,
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
async def test_a_bad_answer_is_a_failed_fetch_and_known_keys_go_on(name: str) -> None:
    async with watched() as one:
        await one.jwks.renew()
        one.server.page = BAD[name]
        one.clock.now += 40
        await one.jwks.renew()
        assert one.failures == 1
        assert one.knows("k1")
        assert one.jwks.age_s == 40, "the age of what is in use"
        one.publish("k2")
        one.clock.now += 30
        await one.jwks.renew()
        assert one.knows("k2"), "the twin: a good answer after it"
        assert one.failures == 1


async def test_a_mebibyte_is_read() -> None:
    async with watched() as one:
        body = jwk_set()
        one.server.page = answer(body + b" " * (MAX_SET_BYTES - len(body)))
        await one.jwks.renew()
        assert one.knows("k1")


async def test_an_endless_answer_is_cut_off_at_a_mebibyte() -> None:
    async with watched() as one:
        one.server.page, one.server.endless = answer(b"", length=False), b" " * 65_536
        await one.jwks.renew()
        assert one.failures == 1


@pytest.mark.parametrize(
    "status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"]
)
async def test_a_redirect_is_not_followed(status: str) -> None:
    async with watched() as one, jwks_server() as elsewhere:
        one.server.page = answer(b"", status, f"location: {elsewhere.url}")
        await one.jwks.renew()
        assert one.failures == 1
        assert not one.knows("k1")
        assert elsewhere.requests == []


async def test_an_endpoint_that_is_away_is_a_failed_fetch() -> None:
    async with watched() as one:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            away = JwksEndpoint(f"http://127.0.0.1:{unused.getsockname()[1]}/", timeout_s=30)
            keys = Jwks(away, JwksTimes(fetch=30, wait=30), clock=one.clock, failed=one._failed)
            await keys.renew()
            await keys.close()
        assert one.failures == 1


async def test_no_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with jwks_server() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        async with watched() as one:
            await one.jwks.renew()
            assert one.knows("k1")
        assert proxy.requests == []


async def test_a_slow_endpoint_is_given_up_and_holds_up_nobody() -> None:
    async with watched(JwksTimes(fetch=0.3, wait=0.05)) as one:
        await one.jwks.renew()
        await eventually(lambda: one.knows("k1"))
        one.server.gate.clear()
        one.clock.now += 30
        await one.jwks.renew()  # returns after its short wait; the endpoint still hangs
        assert one.asked == 2
        assert one.knows("k1"), "known keys go on meanwhile"
        await eventually(lambda: one.failures == 1)
        one.server.gate.set()
        one.publish("k2")
        one.clock.now += 30
        await one.jwks.renew()
        await eventually(lambda: one.knows("k2"))


async def test_who_comes_late_to_a_slow_fetch_does_not_wait_at_all() -> None:
    """A slow endpoint costs the log-ins of one short while, not a short while of every log-in."""
    async with watched(JwksTimes(fetch=60, wait=30)) as one:
        one.server.gate.clear()
        first = asyncio.create_task(one.jwks.renew())
        await eventually(lambda: one.asked == 1)
        one.clock.now += 31
        async with asyncio.timeout(15):  # the wait is 30 s
            await one.jwks.renew()
        assert not first.done()
        one.server.gate.set()
        await first
        assert one.asked == 1, "one fetch at a time"


async def test_a_caller_who_gives_up_does_not_end_the_fetch() -> None:
    async with watched() as one:
        one.server.gate.clear()
        caller = asyncio.create_task(one.jwks.renew())
        await eventually(lambda: one.asked == 1)
        caller.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await caller
        one.server.gate.set()
        await eventually(lambda: one.knows("k1"))


async def test_the_last_good_set_is_used_for_a_day() -> None:
    async with watched() as one:
        await one.jwks.renew()
        one.server.page = BAD["HTML"]
        one.clock.now += 24 * 3600 - 1
        await one.jwks.renew()
        assert one.knows("k1")
        one.clock.now += 1
        assert not one.knows("k1")
        one.publish("k1")
        one.clock.now += 30
        await one.jwks.renew()
        assert one.knows("k1")


async def test_the_set_is_fetched_at_the_start_and_again_and_again() -> None:
    quick = JwksTimes(fetch=30, spacing=0.02, refresh=0.05)
    async with jwks_server() as server:
        server.gate.clear()
        keys = Jwks(JwksEndpoint(server.url, timeout_s=30), quick, clock=asyncio.get_running_loop().time)
        keys.start()
        keys.start()
        assert keys.find("ES256", "k1") is None, "the start waits for nothing"
        server.gate.set()
        await eventually(lambda: keys.find("ES256", "k1") is not None)
        server.page = answer(jwk_set(jwk(kid="k2")))
        await eventually(lambda: keys.find("ES256", "k2") is not None)
        assert keys.find("ES256", "k1") is None
        server.page = BAD["HTML"]
        asked = len(server.requests)
        await eventually(lambda: len(server.requests) > asked + 2)
        assert keys.find("ES256", "k2") is not None
        server.page = answer(jwk_set())
        await eventually(lambda: keys.find("ES256", "k1") is not None)
        await keys.close()
        asked = len(server.requests)
        await asyncio.sleep(0)
        assert len(server.requests) == asked


async def test_the_server_of_an_https_url_must_be_who_it_says(tmp_path: Path) -> None:
    context, ca_file = server_context(tmp_path, "127.0.0.1")
    _, stranger = server_context(tmp_path / "other", "127.0.0.1")
    named_otherwise, its_ca = server_context(tmp_path / "third", "other.example")

    async def read(tls: ssl.SSLContext, ca: Path | None) -> bytes:
        async with jwks_server(tls) as server:
            endpoint = JwksEndpoint(server.url, timeout_s=30, ca_file=ca)
            try:
                return await endpoint.read()
            finally:
                await endpoint.close()

    assert await read(context, ca_file) == jwk_set()
    for tls, ca in ((context, stranger), (context, None), (named_otherwise, its_ca)):
        with pytest.raises(Exception, match="CERTIFICATE_VERIFY_FAILED"):
            await read(tls, ca)


async def test_only_a_whole_answer_is_read() -> None:
    async with jwks_server() as server:
        endpoint = JwksEndpoint(server.url, timeout_s=30)
        server.page = answer(b"", "302 Found", "location: /other")
        with pytest.raises(FetchFailed, match="302"):
            await endpoint.read()
        server.page = BAD["packed"]
        with pytest.raises(FetchFailed, match="packed"):
            await endpoint.read()
        assert "accept-encoding: identity" in server.requests[0].lower()
        await endpoint.close()


@pytest.mark.parametrize(
    "url", ["https://issuer.example/jwks", "https://127.0.0.1:8443/", "http://127.0.0.1:8080/jwks", "http://127.9.9.9/",
            "http://[::1]/jwks", "http://localhost/jwks", "HTTPS://issuer.example/"],
)  # fmt: skip
async def test_https_and_http_to_this_machine_are_accepted(url: str) -> None:
    await JwksEndpoint(url, timeout_s=1).close()


@pytest.mark.parametrize(
    "url", ["", "http://issuer.example/jwks", "http://10.0.0.1/", "http://0.0.0.0/", "http://localhost.example/",
            "http://127.0.0.1.example/", "http://127.0.0.1@issuer.example/", "https://name:hunter2@issuer.example/",
            "file:///etc/passwd", "ftp://127.0.0.1/", "https://", "issuer.example", "https://[::1", "http://127.0.0.1:x/",
            "http://[fe80::1]/", "data:application/json,{}"],
)  # fmt: skip
def test_other_urls_are_a_mistake(url: str) -> None:
    with pytest.raises(ConfigurationError, match="MCHAT_JWT_JWKS_URL") as raised:
        JwksEndpoint(url, timeout_s=1)
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize("content", [None, "", "no certificate"])
def test_a_file_without_authorities_is_a_mistake(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigurationError, match="MCHAT_JWT_JWKS_CA_FILE"):
        JwksEndpoint("https://issuer.example/", timeout_s=1, ca_file=file)


async def test_reading_a_large_set_does_not_hold_up_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which thread reads it is what matters; how long it takes depends on the machine."""
    threads: list[threading.Thread] = []

    def noted(body: bytes) -> object:
        threads.append(threading.current_thread())
        return key_set(body)

    monkeypatch.setattr(jwks, "key_set", noted)
    async with watched() as one:
        await one.jwks.renew()
        assert one.knows("k1")
    assert threads
    assert threading.main_thread() not in threads
