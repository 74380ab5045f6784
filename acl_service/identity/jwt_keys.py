"""Keys that JWTs are verified with: a secret, a PEM file, or a JWK set (RFC 7517).

A key serves exactly one algorithm, the one of its type: no header of a token can make a public key an HMAC
secret, or an RSA key answer for ECDSA.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import jwt
import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from acl_service.errors import AccessError, ConfigurationError

SYMMETRIC: Final = "HS256"
ASYMMETRIC: Final = ("RS256", "ES256", "EdDSA")
ALGORITHMS: Final = (SYMMETRIC, *ASYMMETRIC)

MINIMUM_SECRET_BYTES: Final = 32
"""As long as the digest (RFC 7518, section 3.2)."""

RSA_BITS: Final = (2048, 8192)
"""The least is RFC 7518's (section 3.3); beyond the most, one check would hold up everybody's answers."""

MAX_KEYS: Final = 100
"""Keys of one set; real ones publish two or three."""


class MalformedKeySet(AccessError):
    """What came is no JWK set, or one with more keys than anybody needs."""


@dataclass(frozen=True, slots=True)
class VerifyingKey:
    """A key and what it is good for.

    Attributes:
        algorithm: the only one that it verifies.
        material: the secret, or the public key.
        kid: its name in its set, if it has one.
    """

    algorithm: str
    material: bytes | RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey = field(repr=False)
    kid: str | None = None


KeyIndex = Mapping[tuple[str, str | None], VerifyingKey]
"""The one key that fits an algorithm and a `kid`; under None, the one that fits the algorithm at all."""


def index(keys: Iterable[VerifyingKey]) -> KeyIndex:
    """Sort keys by what tokens name them.

    Where two keys fit, none does: a token without `kid` is accepted only while the set holds a single key of its
    algorithm, and a key without `kid` never stands in for a `kid` that is unknown.
    """
    found: defaultdict[tuple[str, str | None], list[VerifyingKey]] = defaultdict(list)
    for key in keys:
        for kid in {key.kid, None}:
            found[key.algorithm, kid].append(key)
    return {name: fitting[0] for name, fitting in found.items() if len(fitting) == 1}


def secret_key(secret: bytes) -> VerifyingKey:
    """The key of HS256.

    Raises:
        ConfigurationError: it is shorter than 32 bytes, or looks like a public key or a JWK, which may be known
            to others.
    """
    if len(secret) < MINIMUM_SECRET_BYTES:
        raise ConfigurationError(
            f"the JWT secret has {len(secret)} bytes, less than {MINIMUM_SECRET_BYTES}: "
            "make one with `openssl rand -hex 32`"
        )
    try:
        jwt.get_algorithm_by_name(SYMMETRIC).prepare_key(secret)
    except jwt.InvalidKeyError:
        raise ConfigurationError(
            "MCHAT_JWT_SECRET holds a public key, a certificate or a JWK: "
            "name a public key's file with MCHAT_JWT_PUBLIC_KEY_FILE"
        ) from None
    return VerifyingKey(SYMMETRIC, secret)


def pem_key(pem: bytes, source: str) -> VerifyingKey:
    """The public key of a PEM file.

    Args:
        pem: what the file holds.
        source: its name, for the message.

    Raises:
        ConfigurationError: it holds no public key, several, or one of a type or size that is not accepted.
    """
    if pem.count(b"-----BEGIN ") > 1:
        # Reading the first and dropping the others would surprise whoever meant to replace a key.
        raise ConfigurationError(f"{source} holds several keys: name one, or publish them as a JWK set")
    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigurationError(
            f"{source} holds no public key in PEM: make it with `openssl pkey -in KEY -pubout`, "
            "or from a certificate with `openssl x509 -in CERTIFICATE -pubkey -noout`"
        ) from None
    found = _verifying(key, None)
    if found is None:
        raise ConfigurationError(
            f"{source} holds a key of another kind: accepted are RSA of {RSA_BITS[0]} to {RSA_BITS[1]} bits, "
            "EC on P-256, and Ed25519"
        )
    return found


class _Jwk(msgspec.Struct, frozen=True):
    """What a JWK says of its use (RFC 7517, section 4); the key itself is read by pyjwt."""

    kty: str
    kid: str | None = None
    use: str | None = None
    key_ops: tuple[str, ...] = ("verify",)
    alg: str | None = None


class _JwkSet(msgspec.Struct, frozen=True):
    keys: list[msgspec.Raw]


def key_set(body: bytes) -> tuple[VerifyingKey, ...]:
    """The usable keys of a JWK set, which may be none.

    What is not for verifying signatures, of another type, too weak, private or broken is left out, as RFC 7517
    section 5 asks; so are symmetric keys, which a published set cannot keep secret.

    Raises:
        MalformedKeySet: the body is no JWK set, or has more than 100 keys.
    """
    try:
        members = msgspec.json.decode(body, type=_JwkSet).keys
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedKeySet(f"the answer is no JWK set: {error}") from None
    if len(members) > MAX_KEYS:
        raise MalformedKeySet(f"the JWK set has {len(members)} keys, more than {MAX_KEYS}")
    keys = (_of_jwk(member) for member in members)
    return tuple(key for key in keys if key is not None)


def _of_jwk(raw: msgspec.Raw) -> VerifyingKey | None:
    try:
        said = msgspec.json.decode(raw, type=_Jwk)
        if (
            said.use not in (None, "sig")
            or "verify" not in said.key_ops
            or said.alg not in (None, *ASYMMETRIC)
        ):
            return None
        material = jwt.PyJWK(msgspec.json.decode(raw)).key
    except (
        msgspec.MsgspecError,
        jwt.PyJWTError,
        UnsupportedAlgorithm,
        ValueError,
        TypeError,
        AttributeError,
        OverflowError,
        RecursionError,
    ):
        return None
    return _verifying(material, said.kid)


def _verifying(key: Any, kid: str | None) -> VerifyingKey | None:
    """The key with the one algorithm of its type; None for private, symmetric, weak and other ones."""
    if isinstance(key, RSAPublicKey):
        least, most = RSA_BITS
        return VerifyingKey("RS256", key, kid) if least <= key.key_size <= most else None
    if isinstance(key, EllipticCurvePublicKey):
        return VerifyingKey("ES256", key, kid) if isinstance(key.curve, SECP256R1) else None
    if isinstance(key, Ed25519PublicKey):
        return VerifyingKey("EdDSA", key, kid)
    return None
