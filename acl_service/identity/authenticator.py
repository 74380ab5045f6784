"""Who somebody is, by a user name and a secret (design.md, "Identity").

The kind of a secret is told by its shape, not by trying one after another: the prefix of a generated token,
three segments of a JWT, else a password. Tokens are verified always and never locked out; lock-out protects
passwords only.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from acl_service.errors import Overloaded
from acl_service.identity.lockout import Lockout
from acl_service.identity.names import employee_of, refuse_username
from acl_service.identity.passwords import PasswordPool
from acl_service.principals import Person
from acl_service.verdict import (
    CREDENTIAL_ENDED,
    INACTIVE,
    LOCKED,
    UNKNOWN_PERSON,
    WRONG_SECRET,
    Refusal,
)
from directory.credentials import CredentialRow
from directory.ids import is_id
from directory.secret import MAX_SECRET_BYTES, TOKEN_PREFIX, is_jwt_shaped, token_digest


@dataclass(frozen=True, slots=True)
class Identified:
    """A person whose secret was right."""

    person: Person
    credential: CredentialRow

    allowed = True


@dataclass(frozen=True, slots=True)
class Claim:
    """What somebody says of himself, checked for form only.

    Attributes:
        employee_id: of the user name.
        secret: as it was sent.
        token: whether the secret begins as a generated token does.
        peer: the address it came from.
    """

    employee_id: str
    secret: str
    token: bool
    peer: str


class Authenticator:
    """Checks claims against people in memory.

    Args:
        pool: where passwords are hashed.
        lockout: who has guessed too often.
        service: this deployment's service id.
        clock: monotonic seconds, for the lock-out.
        now_ms: wall clock, milliseconds since the epoch, for expiry.
    """

    def __init__(
        self,
        pool: PasswordPool,
        lockout: Lockout,
        *,
        service: str,
        clock: Callable[[], float],
        now_ms: Callable[[], int],
    ) -> None:
        self._pool = pool
        self._lockout = lockout
        self._service = service
        self._clock = clock
        self._now_ms = now_ms

    def claim(self, username: str, secret: str, peer: str) -> Claim | Refusal:
        """Read a claim; refuse what can be no claim at all, whatever the database says."""
        fault = refuse_username(username)
        if fault is not None:
            return Refusal("username", fault)
        if not secret:
            return Refusal("credential", "no secret was given")
        size = len(secret.encode("utf-8", "surrogatepass"))
        if size > MAX_SECRET_BYTES:
            return Refusal("credential", f"the secret has {size} bytes, more than {MAX_SECRET_BYTES}")
        employee_id, fault = employee_of(username, self._service)
        if fault is not None:
            return Refusal("username", fault)
        if not is_id(employee_id):
            return Refusal("username", "the user name is no employee id")
        token = secret.startswith(TOKEN_PREFIX)
        if not token and is_jwt_shaped(secret):
            return Refusal("credential", "the secret is a JWT and none is accepted here")
        return Claim(employee_id, secret, token, peer)

    async def identify(
        self, claim: Claim, person: Person | None, verified: PasswordMemo
    ) -> Identified | Refusal:
        """Check a claim against the person of that name, or against nobody.

        Args:
            claim: what was claimed.
            person: the person of that id, as of now; None when there is none.
            verified: what this request has hashed already; a second look at changed rows hashes no hash twice.
        """
        credential = (
            self._by_token(claim, person) if claim.token else await self._by_password(claim, person, verified)
        )
        if isinstance(credential, Refusal):
            return credential
        if person is None:
            return UNKNOWN_PERSON
        if not person.active:
            return INACTIVE
        if ended(credential, self._now_ms()):
            return CREDENTIAL_ENDED
        return Identified(person, credential)

    def _by_token(self, claim: Claim, person: Person | None) -> CredentialRow | Refusal:
        digest = token_digest(claim.secret).encode()
        found: CredentialRow | None = None
        for credential in person.credentials.values() if person is not None else ():
            if credential.kind == "token" and hmac.compare_digest(credential.hash.encode(), digest):
                found = credential
        if found is not None:
            return found
        return UNKNOWN_PERSON if person is None else WRONG_SECRET

    async def _by_password(
        self, claim: Claim, person: Person | None, verified: PasswordMemo
    ) -> CredentialRow | Refusal:
        if self._lockout.locked(claim.employee_id, claim.peer, self._clock()):
            return LOCKED
        now_ms = self._now_ms()
        known = person.credentials.values() if person is not None else ()
        stored = [c for c in known if c.kind == "password" and not ended(c, now_ms)]
        hashes = tuple(credential.hash for credential in stored)
        if hashes not in verified:
            try:
                verified[hashes] = await self._pool.first_match(
                    claim.secret, hashes, peer=claim.peer, done=partial(self._checked, claim)
                )
            except Overloaded as error:
                return Refusal("overloaded", str(error))
        matched = verified[hashes]
        if matched is None:
            return UNKNOWN_PERSON if person is None else WRONG_SECRET
        return stored[matched]

    def _checked(self, claim: Claim, matched: int | None) -> None:
        if matched is None:
            self._lockout.failed(claim.employee_id, claim.peer, claim.secret, self._clock())
        else:
            self._lockout.succeeded(claim.employee_id, claim.peer)


PasswordMemo = dict[tuple[str, ...], int | None]


def ended(credential: CredentialRow, now_ms: int) -> bool:
    """Whether a credential is revoked or expired at that time (milliseconds since the epoch)."""
    return credential.revoked_at is not None or (
        credential.expires_at is not None and credential.expires_at <= now_ms
    )
