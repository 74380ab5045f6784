"""An issuer of JWTs, for tests: one key of each kind, tokens of any content, the JWK set of its public keys."""

import base64
import json
import time
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

SECRET = b"a secret of the tests, long enough for HS256"
ISSUER = "https://issuer.example"
AUDIENCE = "mchat"


def private_key(algorithm: str, name: str = "first") -> Any:
    """A key of that algorithm; another one for each name."""
    return _made(algorithm, name)


@cache
def _made(algorithm: str, name: str) -> Any:
    """Once: RSA keys take their time."""
    if algorithm == "HS256":
        return SECRET if name == "first" else name.encode().ljust(32, b".")
    if algorithm == "RS256":
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    if algorithm == "ES256":
        return ec.generate_private_key(ec.SECP256R1())
    return ed25519.Ed25519PrivateKey.generate()


def public_key(algorithm: str, name: str = "first") -> Any:
    return SECRET if algorithm == "HS256" else private_key(algorithm, name).public_key()


def public_pem(algorithm: str, name: str = "first") -> bytes:
    pem: bytes = public_key(algorithm, name).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem


def claims(now_s: float | None = None, **changes: Any) -> dict[str, Any]:
    """Good claims for alice, ten minutes long; None takes one away."""
    now = int(time.time() if now_s is None else now_s)
    made = {"sub": "alice", "iss": ISSUER, "aud": AUDIENCE, "iat": now, "exp": now + 600, **changes}
    return {name: value for name, value in made.items() if value is not None}


def token(said: dict[str, Any], algorithm: str = "ES256", name: str = "first", **header: Any) -> str:
    return jwt.encode(said, private_key(algorithm, name), algorithm=algorithm, headers=header or None)


def segment(content: bytes | dict[str, Any]) -> str:
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def signed(header: bytes | dict[str, Any], payload: bytes | dict[str, Any], algorithm: str = "ES256") -> str:
    """A token of any header and payload, under a good signature: what pyjwt would refuse to encode."""
    said = f"{segment(header)}.{segment(payload)}"
    method = jwt.get_algorithm_by_name(algorithm)
    return f"{said}.{segment(method.sign(said.encode(), private_key(algorithm)))}"


_TO_JWK: dict[str, Any] = {"RS256": RSAAlgorithm, "ES256": ECAlgorithm, "EdDSA": OKPAlgorithm}


def jwk(
    algorithm: str = "ES256", name: str = "first", *, kid: str | None = "k1", **more: Any
) -> dict[str, Any]:
    made = dict(_TO_JWK[algorithm].to_jwk(public_key(algorithm, name), as_dict=True))
    made.pop("key_ops", None)
    return {**made, **({} if kid is None else {"kid": kid}), **more}


def jwk_set(*keys: dict[str, Any]) -> bytes:
    return json.dumps({"keys": keys or (jwk(),)}).encode()
