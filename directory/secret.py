"""Secrets as their strength needs (decision 10): generated tokens, chosen passwords, and their checks."""

import hashlib
import re
import secrets
from functools import cache
from typing import Final

from pwdlib import PasswordHash
from pwdlib.exceptions import UnknownHashError
from pwdlib.hashers.argon2 import Argon2Hasher
from pwdlib.hashers.bcrypt import BcryptHasher

from directory.errors import InvalidValue
from directory.pbkdf2 import Pbkdf2Hasher
from directory.work_factors import check_work

TOKEN_PREFIX: Final = "mct_"  # noqa: S105 - the public part
"""What every generated token begins with: the kind of a secret is told by its shape."""

MIN_PASSWORD_BYTES: Final = 8
MAX_SECRET_BYTES: Final = 1024

_JWT: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*", re.ASCII)
_BCRYPT_MAX_BYTES: Final = 72

_hashers: Final = PasswordHash((Argon2Hasher(), BcryptHasher(), Pbkdf2Hasher()))


def new_token() -> str:
    """Make a token: `mct_` and 32 URL-safe characters, 192 bits of chance."""
    return TOKEN_PREFIX + secrets.token_urlsafe(24)


def is_jwt_shaped(secret: str) -> bool:
    """Tell whether a secret has the shape of a JWT: three segments of base64url (RFC 7515, section 7.1)."""
    return _JWT.fullmatch(secret) is not None


def token_digest(token: str) -> str:
    """Return the SHA-256 of a token, 64 hex digits: what is stored of it."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def hash_password(password: str) -> str:
    """Hash a chosen password with argon2id; takes tens of milliseconds, so run it off the event loop.

    Raises:
        InvalidValue: Under 8 or over 1,024 bytes of UTF-8, with NUL, or with the shape of a token or a
            JWT, which could never log anybody in. The message does not show it.
    """
    try:
        size = len(password.encode())
    except UnicodeEncodeError:
        raise InvalidValue("the password is not valid UTF-8: choose another one") from None
    if not MIN_PASSWORD_BYTES <= size <= MAX_SECRET_BYTES:
        raise InvalidValue(
            f"the password has {size} bytes: choose one of {MIN_PASSWORD_BYTES} to {MAX_SECRET_BYTES}"
        )
    if "\0" in password:
        raise InvalidValue("the password contains NUL: leave it out")
    if password.startswith(TOKEN_PREFIX) or is_jwt_shaped(password):
        raise InvalidValue("the password looks like a token or a JWT: choose one of another shape")
    return _hashers.hash(password)


def verify_password(password: str, password_hash: str) -> bool:
    """Check a password against an argon2, bcrypt or PBKDF2 hash; run it off the event loop.

    What no password can be (over 1,024 bytes, NUL, not UTF-8) is refused before hashing.

    Raises:
        InvalidValue: The hash is of no known kind, or asks for more work than is allowed.
    """
    try:
        raw = password.encode()
    except UnicodeEncodeError:
        return False
    if len(raw) > MAX_SECRET_BYTES or b"\0" in raw:
        return False
    check_work(password_hash)
    if BcryptHasher.identify(password_hash):
        # bcrypt never saw more than 72 bytes; its present library refuses them instead of cutting.
        raw = raw[:_BCRYPT_MAX_BYTES]
    try:
        return _hashers.verify(raw, password_hash)
    except (UnknownHashError, ValueError):
        raise InvalidValue("the stored password hash is damaged: set the password anew") from None


@cache
def decoy_hash() -> str:
    """Return a hash that nobody's password fits: to check it takes as long as to check a real one."""
    return _hashers.hash(secrets.token_bytes(32))
