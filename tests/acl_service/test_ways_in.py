"""The settings of JWTs and certificates: what each one changes, and the mistakes that are told at the start."""

import hashlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from pydantic import ValidationError

from acl_service import ways_in
from acl_service.errors import ConfigurationError
from acl_service.identity.authenticator import Claim
from acl_service.identity.jwt_keys import ALGORITHMS
from acl_service.verdict import Refusal
from acl_service.ways_in import WaysIn
from tests.acl_service.identity.issuer import AUDIENCE, ISSUER, SECRET, claims, public_pem, token
from tests.acl_service.serving import UntouchedSettings, now_ms

JWKS: dict[str, Any] = {
    "jwt_jwks_url": "http://127.0.0.1:9/jwks",
    "jwt_issuer": ISSUER,
    "jwt_audience": AUDIENCE,
}


@asynccontextmanager
async def ways(**settings: Any) -> AsyncIterator[WaysIn]:
    opened = WaysIn.opened(
        UntouchedSettings(**settings), CollectorRegistry(), clock=time.monotonic, now_ms=now_ms
    )
    try:
        yield opened
    finally:
        await opened.close()


async def accepts(sent: str, **settings: Any) -> bool:
    async with ways(**settings) as opened:
        claim = opened.broker.claim("", sent, "10.0.0.1")
        assert isinstance(claim, (Claim, Refusal))
        return isinstance(claim, Claim)


def key_file(folder: Path, content: bytes) -> Path:
    file = folder / "key"
    file.write_bytes(content)
    return file


def mistake(says: str, **settings: Any) -> None:
    with pytest.raises(ConfigurationError, match=says) as raised:
        WaysIn.opened(UntouchedSettings(**settings), CollectorRegistry(), clock=time.monotonic, now_ms=now_ms)
    assert "hunter2" not in str(raised.value)


def unaddressed(algorithm: str = "HS256", **changes: Any) -> str:
    return token(claims(aud=None, iss=None, **changes), algorithm)


async def test_a_secret_may_stand_in_a_file(tmp_path: Path) -> None:
    assert await accepts(unaddressed(), jwt_secret=SECRET.decode())
    assert await accepts(unaddressed(), jwt_secret_file=key_file(tmp_path, SECRET + b"\n"))
    assert not await accepts(unaddressed(), jwt_secret="another secret, long enough for HS256")
    mistake("MCHAT_JWT_SECRET_FILE", jwt_secret_file=tmp_path / "missing")


def test_a_short_secret_is_a_mistake(tmp_path: Path) -> None:
    mistake("31 bytes", jwt_secret="hunter2".ljust(31))
    mistake("7 bytes", jwt_secret_file=key_file(tmp_path, b"hunter2\n"))
    mistake("0 bytes", jwt_secret="")


KEY = "hunter2 hunter2 hunter2 hunter2 hunter2"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (KEY, KEY),
        (KEY, KEY + "\0"),
        (KEY * 2, hashlib.sha256((KEY * 2).encode()).digest()),
    ],
    ids=["equal", "padded", "hashed"],
)
async def test_the_admin_apis_key_is_no_secret_of_jwts(one: str, other: str | bytes, tmp_path: Path) -> None:
    """Also where the bytes differ and the signatures do not: HMAC pads short keys and hashes long ones."""
    if isinstance(other, str):
        mistake("one key", jwt_secret=one, admin_token_key=other)
        mistake("one key", jwt_secret=other, admin_token_key=one)
        mistake("one key", jwt_secret_file=key_file(tmp_path, one.encode()), admin_token_key=one)
    else:
        assert ways_in._same_key(one.encode(), other)
    async with ways(jwt_secret=one, admin_token_key=KEY + "another"):
        pass


def test_the_admin_apis_audience_is_none_of_jwts() -> None:
    mistake("MCHAT_JWT_AUDIENCE", jwt_secret=SECRET.decode(), jwt_audience="mchat-admin")


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
async def test_a_public_key_stands_in_a_file(tmp_path: Path, algorithm: str) -> None:
    file = key_file(tmp_path, public_pem(algorithm))
    assert await accepts(unaddressed(algorithm), jwt_public_key_file=file)
    assert await accepts(unaddressed("HS256"), jwt_public_key_file=file, jwt_secret=SECRET.decode())
    assert not await accepts(unaddressed("HS256"), jwt_public_key_file=file)


def test_a_public_key_that_cannot_be_read_is_a_mistake(tmp_path: Path) -> None:
    mistake("MCHAT_JWT_PUBLIC_KEY_FILE", jwt_public_key_file=tmp_path / "missing")
    mistake("MCHAT_JWT_PUBLIC_KEY_FILE", jwt_public_key_file=key_file(tmp_path, b"hunter2"))


@pytest.mark.parametrize("missing", ["jwt_issuer", "jwt_audience"])
async def test_a_key_set_needs_an_issuer_and_an_audience(missing: str) -> None:
    mistake("MCHAT_JWT_ISSUER and MCHAT_JWT_AUDIENCE", **{**JWKS, missing: ""})
    async with ways(**JWKS) as opened:
        assert opened.jwks is not None


def test_other_mistakes_around_a_key_set(tmp_path: Path) -> None:
    mistake("MCHAT_JWT_JWKS_URL", **{**JWKS, "jwt_jwks_url": "http://issuer.example/jwks"})
    mistake("MCHAT_JWT_JWKS_CA_FILE", **JWKS, jwt_jwks_ca_file=tmp_path / "missing")
    mistake("both set", **JWKS, jwt_public_key_file=key_file(tmp_path, public_pem("ES256")))
    mistake("name one of RS256", **JWKS, jwt_algorithms="HS256")


async def test_the_list_of_algorithms_bounds_them(tmp_path: Path) -> None:
    both: dict[str, Any] = {
        "jwt_secret": SECRET.decode(),
        "jwt_public_key_file": key_file(tmp_path, public_pem("ES256")),
    }
    for algorithm in ("HS256", "ES256"):
        assert await accepts(unaddressed(algorithm), **both)
        assert await accepts(unaddressed(algorithm), **both, jwt_algorithms="ES256, HS256")
    mistake("MCHAT_JWT_SECRET is a key of HS256", **both, jwt_algorithms="ES256,RS256")
    mistake("MCHAT_JWT_PUBLIC_KEY_FILE is a key of ES256", **both, jwt_algorithms="HS256")
    for unknown in ("none", "HS512", "es256", "PS256"):
        mistake("is none of", **both, jwt_algorithms=f"{','.join(ALGORITHMS)},{unknown}")


async def test_issuer_audience_subject_and_leeway_reach_the_tokens() -> None:
    secret = SECRET.decode()
    soon = int(time.time()) + 100
    table: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = [
        ({"jwt_issuer": ISSUER}, {"aud": None}, {"aud": None, "iss": "other"}),
        ({"jwt_audience": AUDIENCE}, {"iss": None}, {"aud": "other"}),
        ({"jwt_subject_claim": "who"}, {"aud": None, "who": "bob", "sub": "x y"}, {"aud": None}),
        ({"jwt_leeway": 300}, {"aud": None, "nbf": soon}, {"aud": None, "nbf": soon + 1000}),
    ]
    for settings, good, bad in table:
        assert await accepts(token(claims(**good), "HS256"), jwt_secret=secret, **settings), settings
        assert not await accepts(token(claims(**bad), "HS256"), jwt_secret=secret, **settings), settings
    assert not await accepts(token(claims(aud=None, nbf=soon), "HS256"), jwt_secret=secret), (
        "no leeway by default"
    )


async def test_the_patience_and_the_refresh_reach_the_key_set() -> None:
    async with ways(**JWKS, patience=2, jwt_jwks_refresh=60) as opened:
        assert opened.jwks is not None
        times = opened.jwks._times
        assert (times.wait, times.refresh, times.spacing, times.kept) == (0.8, 60, 30, 86_400)


@pytest.mark.parametrize(
    "settings", [{"jwt_leeway": -1}, {"jwt_leeway": 301}, {"jwt_jwks_refresh": 29}, {"jwt_subject_claim": ""}]
)
def test_numbers_have_bounds(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        UntouchedSettings(**settings)


def test_a_certificate_field_that_does_not_exist_is_a_mistake() -> None:
    mistake("MCHAT_CERTIFICATE_FIELD", certificate_zones="tls", certificate_field="commonName")
    mistake("MCHAT_CERTIFICATE_FIELD", certificate_field="commonName")


def test_secrets_are_not_shown() -> None:
    assert "hunter2" not in repr(UntouchedSettings(jwt_secret=KEY))


async def test_a_jwt_may_be_longer_than_other_secrets() -> None:
    long = unaddressed(filler="x" * 1500)
    async with ways(jwt_secret=SECRET.decode()) as opened:
        for door, accepted in ((opened.broker, True), (opened.admin, False)):
            assert isinstance(door.claim("alice", long, "10.0.0.1"), Claim) == accepted
            assert isinstance(door.claim("alice", "x" * 1024, "10.0.0.1"), Claim)
            for secret in ("x" * 1025, "mct_" + "x" * 1021):
                refusal = door.claim("alice", secret, "10.0.0.1")
                assert isinstance(refusal, Refusal)
                assert "more than 1024" in refusal.reason


async def test_the_admin_api_takes_neither() -> None:
    async with ways(jwt_secret=SECRET.decode(), certificate_zones="tls") as opened:
        assert isinstance(opened.broker.claim("", unaddressed(), "10.0.0.1"), Claim)
        refusal = opened.admin.claim("", unaddressed(), "10.0.0.1")
        assert isinstance(refusal, Refusal)
        assert isinstance(opened.admin.claim("alice", unaddressed(), "10.0.0.1"), Refusal)
        await opened.admin.renew_keys()
