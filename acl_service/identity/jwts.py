"""JSON Web Tokens in the password field (design.md, "Identity"; RFC 7519): signature and claims to a verdict.

Pure: keys and time are handed in. A token says who somebody is and until when, never what he may do: role and
groups come from the directory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Protocol

import jwt

from acl_service.identity.jwt_keys import ALGORITHMS, SYMMETRIC, VerifyingKey
from acl_service.identity.names import fits
from acl_service.verdict import Refusal
from directory.ids import is_id

MAX_JWT_BYTES: Final = 4096
"""Longer tokens are refused before anything of them is read."""

LEAST_LEFT_S: Final = 5
"""A token with fewer seconds left is refused: EMQX refuses an end that is not ahead (contract 1.4)."""

_LATEST_S: Final = 253_402_300_799
"""The last second of the year 9999; EMQX takes milliseconds for seconds beyond it (contract 1.4)."""

UNKNOWN_KEY: Final = Refusal("jwt", "no key is known that fits this JWT")
"""Not final where a key set can be fetched anew."""

_MALFORMED: Final = Refusal("jwt", "the JWT's header cannot be read")
_CRITICAL: Final = Refusal("jwt", "the JWT's header demands an extension that is not understood")
_NO_PERSON: Final = Refusal("jwt", "the JWT names no employee id")
_OTHER_NAME: Final = Refusal("username", "the user name is not whom the JWT names")


class Keys(Protocol):
    """Where verifying keys are found."""

    def find(self, algorithm: str, kid: str | None) -> VerifyingKey | None:
        """The one key that fits, or None."""


@dataclass(frozen=True, slots=True)
class JwtRules:
    """What a token must say to be accepted.

    Attributes:
        algorithms: which may sign; a subset of HS256, RS256, ES256, EdDSA.
        issuer: its `iss`, if that is asked for.
        audience: what its `aud` must name; without one, a token that names any audience is for somebody else
            (RFC 7519, section 4.1.3).
        subject_claim: the claim that holds the employee id.
        leeway_s: how far ahead `nbf` and `iat` may lie (seconds). `exp` has none: EMQX ends the session at it.
    """

    algorithms: frozenset[str] = frozenset(ALGORITHMS)
    issuer: str | None = None
    audience: str | None = None
    subject_claim: str = "sub"
    leeway_s: int = 0


@dataclass(frozen=True, slots=True)
class Jwt:
    """A token that holds.

    Attributes:
        employee_id: whom it names.
        expires_s: its end, Unix seconds.
    """

    employee_id: str
    expires_s: int


class Jwts:
    """Verifies tokens.

    Args:
        rules: what is accepted.
        keys: what signatures are checked with.
        service: this deployment's service id, for user names.
    """

    def __init__(self, rules: JwtRules, keys: Keys, *, service: str = "") -> None:
        self._rules = rules
        self._keys = keys
        self._service = service

    def read(self, token: str, username: str, now_s: float) -> Jwt | Refusal:
        """Whom a token names and until when, or why it is refused.

        Args:
            token: of the shape of a JWT.
            username: of the connect: empty, the person whom the token names, or that person at this service.
            now_s: wall clock, seconds since the epoch.
        """
        rules = self._rules
        key = self._key(token)
        if isinstance(key, Refusal):
            return key
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                key.material,
                algorithms=[key.algorithm],
                audience=rules.audience,
                issuer=rules.issuer,
                options={
                    "require": ["exp", rules.subject_claim],
                    "enforce_minimum_key_length": True,
                    # pyjwt looks at the clock itself, and takes "1", 1.5 and true for times.
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                },
            )
        except jwt.PyJWTError as error:
            # The message may quote the token; the kind of error is enough.
            return Refusal("jwt", f"the JWT is refused: {type(error).__name__}")
        fault = _time_fault(claims, now_s, rules.leeway_s)
        if fault is not None:
            return Refusal("jwt", fault)
        employee_id = claims[rules.subject_claim]
        if not isinstance(employee_id, str) or not is_id(employee_id):
            return _NO_PERSON
        if not fits(username, employee_id, self._service):
            return _OTHER_NAME
        return Jwt(employee_id, claims["exp"])

    def _key(self, token: str) -> VerifyingKey | Refusal:
        """The key that the header names by algorithm and `kid`; nothing else of a header is followed."""
        try:
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError:
            return _MALFORMED
        if "crit" in header:
            return _CRITICAL
        algorithm = header.get("alg")
        if not isinstance(algorithm, str) or algorithm not in self._rules.algorithms:
            return Refusal("jwt", "the JWT's algorithm is not accepted here")
        key = self._keys.find(algorithm, header.get("kid"))
        if key is None and algorithm == SYMMETRIC:
            return Refusal("jwt", "no secret is configured for the JWT's algorithm")
        return key or UNKNOWN_KEY


def _time_fault(claims: dict[str, Any], now_s: float, leeway_s: int) -> str | None:
    """What is wrong with `exp`, `nbf` and `iat` (RFC 7519, section 4.1), or None."""
    ends = claims["exp"]
    if type(ends) is not int or not 0 < ends <= _LATEST_S:
        return "the JWT's exp is no time in whole Unix seconds"
    if ends - now_s < LEAST_LEFT_S:
        return f"the JWT is over, or ends within {LEAST_LEFT_S} s"
    for name in ("nbf", "iat"):
        if name not in claims:
            continue
        begins = claims[name]
        # Written so that NaN and what no float can hold fail it too.
        if type(begins) not in (int, float) or not 0 <= begins <= _LATEST_S:
            return f"the JWT's {name} is no time in Unix seconds"
        if begins > now_s + leeway_s:
            return f"the JWT's {name} lies in the future"
    return None
