"""An issuer of JWTs: its keys, its key set on a socket, and tokens that it never made."""

import asyncio
import base64
import hmac
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm

ISSUER: Final = "https://issuer.example"
AUDIENCE: Final = "mchat-broker"
SECRET: Final = "a secret of the issuer that is long enough"
ADMIN_KEY: Final = "a key of the admin API that is long enough"

_NOW: Final = int(time.time())
_EDWARDS: Final = Ed25519PrivateKey.generate()
_CURVE: Final = generate_private_key(SECP256R1())
_STRANGER: Final = generate_private_key(SECP256R1())
PUBLIC_PEM: Final = _EDWARDS.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def in_seconds(count: int) -> int:
    """Unix seconds, from the start of the tests."""
    return _NOW + count


LEFT_OUT: Final = object()
"""The value of a claim that is not there."""

_CLAIMS: Final = {
    "iss": ISSUER,
    "aud": AUDIENCE,
    "sub": "amy",
    "iat": _NOW - 60,
    "nbf": _NOW - 60,
    "exp": _NOW + 86_400,
}


def claims(**changes: object) -> dict[str, object]:
    """The claims of a good token about amy, with changes; seconds in `exp`, `nbf`, `iat` count from now."""
    for name in ("exp", "nbf", "iat"):
        if type(changes.get(name)) is int:
            changes[name] = _NOW + changes[name]  # type: ignore[operator]
    return {name: value for name, value in {**_CLAIMS, **changes}.items() if value is not LEFT_OUT}


def signed(**changes: object) -> str:
    """A token with the issuer's secret (HS256)."""
    return written({"alg": "HS256", "typ": "JWT"}, claims(**changes), SECRET.encode())


def by_public_key(**changes: object) -> str:
    """A token with the issuer's Ed25519 key, whose public half is configured."""
    return jwt.encode(claims(**changes), _EDWARDS, "EdDSA")


def by_key_set(kid: str | None = "k1", *, forged: bool = False, **header: object) -> str:
    """A token with the issuer's key of the set, or with a stranger's."""
    head: dict[str, Any] = {**header, **({} if kid is None else {"kid": kid})}
    return jwt.encode(claims(), _STRANGER if forged else _CURVE, "ES256", head)


def own_key() -> dict[str, object]:
    """The stranger's public key, as a header would bring it along."""
    return ECAlgorithm.to_jwk(_STRANGER.public_key(), as_dict=True)


def written(header: dict[str, object], payload: dict[str, object], key: bytes, digest: str = "sha256") -> str:
    """A token of any header and claims with an HMAC, which no library would make."""
    signed = ".".join(segment(json.dumps(part).encode()) for part in (header, payload))
    return f"{signed}.{segment(hmac.digest(key, signed.encode(), digest))}"


def unsigned(algorithm: str) -> str:
    """A token without a signature."""
    return ".".join(segment(json.dumps(part).encode()) for part in ({"alg": algorithm}, claims())) + "."


def segment(raw: bytes) -> str:
    """A segment of a token (RFC 7515, section 2)."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def spliced(payload_of: str, rest_of: str) -> str:
    """The claims of one token between the header and the signature of another."""
    head, _, signature = rest_of.split(".")
    return ".".join((head, payload_of.split(".")[1], signature))


@asynccontextmanager
async def publishing() -> AsyncIterator[str]:
    """Serve the key set; gives its URL."""
    key = {**ECAlgorithm.to_jwk(_CURVE.public_key(), as_dict=True), "kid": "k1", "use": "sig"}
    body = json.dumps({"keys": [key]}).encode()
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head.encode() + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1")
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/keys"
