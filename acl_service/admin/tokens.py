"""The admin API's own tokens: short-lived, signed with another key and for another audience than MQTT's JWTs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import jwt

ALGORITHM = "HS256"
AUDIENCE = "mchat-admin"
ISSUER = "mchat"


@dataclass(frozen=True, slots=True)
class Bearer:
    """Who a token was given to, and by which credential."""

    employee_id: str
    credential_id: str


class TokenMint:
    """Signs and reads tokens.

    Args:
        key: at least 32 bytes, used for nothing else.
        lifetime_s: how long a token is good for (seconds).
        now_s: wall clock, seconds since the epoch.
    """

    def __init__(self, key: bytes, *, lifetime_s: int, now_s: Callable[[], float]) -> None:
        self._key = key
        self.lifetime_s = lifetime_s
        self._now_s = now_s

    def issue(self, bearer: Bearer) -> str:
        """A token for this person; it names the credential, so that it ends with it."""
        now = int(self._now_s())
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": bearer.employee_id,
            "cid": bearer.credential_id,
            "iat": now,
            "exp": now + self.lifetime_s,
        }
        return jwt.encode(claims, self._key, algorithm=ALGORITHM)

    def read(self, token: str) -> Bearer | None:
        """Whose token this is, or None when it is not one of ours, was altered, or is over."""
        try:
            claims = jwt.decode(
                token,
                self._key,
                algorithms=[ALGORITHM],
                audience=AUDIENCE,
                issuer=ISSUER,
                options={"require": ["exp", "sub", "aud", "iss"], "verify_exp": False, "verify_iat": False},
            )
        except jwt.InvalidTokenError:
            return None
        employee_id, credential_id, ends = claims["sub"], claims.get("cid"), claims["exp"]
        if not (isinstance(employee_id, str) and isinstance(credential_id, str) and isinstance(ends, int)):
            return None
        return Bearer(employee_id, credential_id) if self._now_s() < ends else None
