"""Which keys verify JWTs, and which are never used."""

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from jwt.algorithms import RSAAlgorithm

from acl_service.errors import ConfigurationError
from acl_service.identity.jwt_keys import (
    ASYMMETRIC,
    MAX_KEYS,
    MalformedKeySet,
    VerifyingKey,
    index,
    key_set,
    pem_key,
    secret_key,
)
from tests.acl_service.identity.issuer import jwk, jwk_set, private_key, public_key, public_pem

SMALL = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - what is refused
PRIVATE = base64.urlsafe_b64encode(private_key("EdDSA").private_bytes_raw()).decode().rstrip("=")


def test_a_secret_of_32_bytes_is_a_key_and_a_shorter_one_is_none() -> None:
    assert secret_key(b"k" * 32) == VerifyingKey("HS256", b"k" * 32)
    with pytest.raises(ConfigurationError, match="31 bytes"):
        secret_key(b"k" * 31)


@pytest.mark.parametrize(
    "secret",
    [public_pem("RS256"), public_pem("EdDSA"), json.dumps(jwk("RS256")).encode()],
    ids=["RSA", "Ed25519", "JWK"],
)
def test_a_public_key_is_refused_as_a_secret(secret: bytes) -> None:
    with pytest.raises(ConfigurationError, match="MCHAT_JWT_PUBLIC_KEY_FILE"):
        secret_key(secret)


@pytest.mark.parametrize("algorithm", ASYMMETRIC)
def test_a_pem_file_holds_a_key_of_the_algorithm_of_its_type(algorithm: str) -> None:
    key = pem_key(public_pem(algorithm), "key.pem")
    assert (key.algorithm, key.kid, key.material) == (algorithm, None, public_key(algorithm))


def _public(key: Any) -> bytes:
    pem: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem


def _private(key: Any) -> bytes:
    pem: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem


@pytest.mark.parametrize(
    ("pem", "says"),
    [
        (b"", "no public key"),
        (b"hunter2", "no public key"),
        (_private(private_key("ES256")), "no public key"),
        (b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "no public key"),
        (public_pem("ES256") + public_pem("ES256", "second"), "several keys"),
        (_public(SMALL), "another kind"),
        (_public(ec.generate_private_key(ec.SECP384R1())), "another kind"),
        (_public(ed448.Ed448PrivateKey.generate()), "another kind"),
        (_public(dsa.generate_private_key(2048)), "another kind"),
    ],
    ids=["empty", "text", "private", "broken", "two", "RSA 1024", "P-384", "Ed448", "DSA"],
)
def test_a_pem_file_with_anything_else_is_a_mistake(pem: bytes, says: str) -> None:
    with pytest.raises(
        ConfigurationError, match=f"key.pem holds .*{says}|key.pem holds a key of {says}"
    ) as raised:
        pem_key(pem, "key.pem")
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize("algorithm", ASYMMETRIC)
def test_a_set_brings_keys_with_their_names(algorithm: str) -> None:
    (key,) = key_set(
        jwk_set(jwk(algorithm, kid="k7", use="sig", key_ops=["verify"], alg=algorithm, x5t="unknown"))
    )
    assert (key.algorithm, key.kid, key.material) == (algorithm, "k7", public_key(algorithm))


OCT = {"kty": "oct", "k": base64.urlsafe_b64encode(b"k" * 32).decode().rstrip("="), "kid": "k1"}

UNUSABLE: dict[str, Any] = {
    "symmetric": OCT,
    "symmetric that says RS256": {**OCT, "alg": "RS256"},
    "for encryption": jwk(use="enc"),
    "for another operation": jwk(key_ops=["sign"]),
    "for no operation": jwk(key_ops=[]),
    "for another algorithm": jwk("RS256", alg="PS256"),
    "for the algorithm of another type": jwk("RS256", alg="ES256"),
    "for HS256": jwk("RS256", alg="HS256"),
    "for none": jwk("RS256", alg="none"),
    "of a lying type": {**jwk("RS256"), "kty": "EC"},
    "of no type": {key: value for key, value in jwk("RS256").items() if key != "kty"},
    "RSA of 1024 bits": {**dict(RSAAlgorithm.to_jwk(SMALL.public_key(), as_dict=True)), "kid": "k1"},
    "on another curve": {**jwk("ES256"), "crv": "P-384"},
    "off its curve": {**jwk("ES256"), "y": jwk("ES256")["x"]},
    "cut": {**jwk("EdDSA"), "x": jwk("EdDSA")["x"][:-4]},
    "private": {**jwk("EdDSA"), "d": PRIVATE},
    "named by a number": jwk(kid=7),  # type: ignore[arg-type]
    "no object": "key",
    "null": None,
    "empty": {},
}  # fmt: skip


@pytest.mark.parametrize("name", UNUSABLE)
def test_a_key_that_cannot_be_used_is_left_out_and_its_neighbours_are_not(name: str) -> None:
    (key,) = key_set(jwk_set(UNUSABLE[name], jwk("EdDSA", "second", kid="k2")))
    assert key.kid == "k2"


@pytest.mark.parametrize(
    "body",
    [b"", b"<!doctype html><html></html>", b"[]", b"null", b"{}", b'{"keys": {}}', b'{"keys": "x"}', b'{"keys": null}',
     b"\xff\xfe", b'{"keys": [' + b"[" * 100_000, b'{"keys": []', jwk_set(*[jwk()] * (MAX_KEYS + 1))],
    ids=lambda body: repr(body[:16]),
)  # fmt: skip
def test_what_is_no_set_is_told_apart(body: bytes) -> None:
    with pytest.raises(MalformedKeySet):
        key_set(body)


def test_a_set_may_be_empty_and_has_a_largest_size() -> None:
    assert key_set(b'{"keys": []}') == ()
    assert len(key_set(jwk_set(*[jwk()] * MAX_KEYS))) == MAX_KEYS


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(
    st.sampled_from(ASYMMETRIC),
    st.sampled_from(("kty", "kid", "use", "alg", "key_ops", "n", "e", "crv", "x", "y", "d")),
    JSON,
)
@settings(max_examples=300, deadline=None)
def test_whatever_stands_in_a_key_nothing_is_raised(algorithm: str, member: str, value: Any) -> None:
    try:
        body = jwk_set({**jwk(algorithm), member: value})
    except ValueError:
        return
    for key in key_set(body):
        assert key.algorithm in ASYMMETRIC


def test_the_one_key_that_fits_is_found_and_of_two_none() -> None:
    def keys(*pairs: tuple[str, str | None]) -> list[VerifyingKey]:
        return [
            VerifyingKey(algorithm, f"{number}".encode(), kid)
            for number, (algorithm, kid) in enumerate(pairs)
        ]

    alone = index(keys(("ES256", "a")))
    assert alone["ES256", "a"] is alone["ES256", None], "a token without kid, while there is one key"
    assert ("ES256", "b") not in alone
    assert ("RS256", "a") not in alone

    mixed = index(keys(("ES256", "a"), ("RS256", "a"), ("RS256", "b")))
    assert mixed["ES256", "a"].material == b"0"
    assert mixed["ES256", None].material == b"0"
    assert mixed["RS256", "a"].material == b"1"
    assert ("RS256", None) not in mixed, "two of RS256: a token must name one"

    nameless = index(keys(("ES256", None), ("ES256", "a")))
    assert nameless["ES256", "a"].material == b"1"
    assert ("ES256", None) not in nameless
    assert index(keys(("ES256", None)))["ES256", None].material == b"0"
    assert ("ES256", "a") not in index(keys(("ES256", None))), "a key without kid stands in for no kid"

    assert index(keys(("ES256", "a"), ("ES256", "a"))) == {}
    assert index(keys(("ES256", None), ("ES256", None))) == {}


def test_a_key_shows_no_material() -> None:
    assert "kkkk" not in repr(secret_key(b"k" * 32))
