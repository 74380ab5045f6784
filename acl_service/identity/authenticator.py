"""Who somebody is, by a user name and a credential (design.md, "Identity").

The kind of a secret is told by its shape, not by trying one after another: the prefix of a generated token,
three segments of a JWT, else a password; a client certificate counts when no secret was sent. Tokens, JWTs and
certificates are always verified and never locked out; lock-out protects passwords only.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import msgspec

from acl_service.errors import Overloaded
from acl_service.identity.certificates import NO_CERTIFICATE, Certificate, Certificates, PeerCertificate
from acl_service.identity.jwks import Jwks
from acl_service.identity.jwts import MAX_JWT_BYTES, Jwt, Jwts
from acl_service.identity.lockout import Lockout
from acl_service.identity.names import employee_of, fits, refuse_username
from acl_service.identity.passwords import PasswordPool
from acl_service.identity.session_credential import SessionCredential, of_certificate, of_jwt, of_row
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


class Identified(msgspec.Struct, frozen=True):
    """A person whose credential was right."""

    person: Person
    credential: SessionCredential

    allowed = True


class Token(msgspec.Struct, frozen=True):
    """A generated token, by its digest."""

    digest: str

    def __repr__(self) -> str:
        # Not the digest: it has no place in a log.
        return "Token()"


@dataclass(frozen=True, slots=True)
class Password:
    """A chosen password, as it was sent."""

    text: str = field(repr=False)


class Claim(msgspec.Struct, frozen=True):
    """Who somebody says to be, and by what.

    This and the others are msgspec structures because each connect makes some: a frozen dataclass costs several
    times as much to make.

    Attributes:
        employee_id: of the user name, or of the JWT or certificate.
        proof: a secret that was checked for form only, or a JWT or certificate that holds by itself.
        peer: the address it came from.
    """

    employee_id: str
    proof: Token | Password | Jwt | Certificate
    peer: str


class Authenticator:
    """Checks claims against people in memory.

    Args:
        pool: where passwords are hashed.
        lockout: who has guessed too often.
        service: this deployment's service id.
        clock: monotonic seconds, for the lock-out.
        now_ms: wall clock, milliseconds since the epoch, for expiry.
        jwts: verifies JWTs; None where none are accepted.
        jwks: the key set behind them that can be fetched anew, if there is one.
        certificates: reads client certificates; None where none are accepted.
    """

    def __init__(
        self,
        pool: PasswordPool,
        lockout: Lockout,
        *,
        service: str,
        clock: Callable[[], float],
        now_ms: Callable[[], int],
        jwts: Jwts | None = None,
        jwks: Jwks | None = None,
        certificates: Certificates | None = None,
    ) -> None:
        self._pool = pool
        self._lockout = lockout
        self._service = service
        self._clock = clock
        self._now_ms = now_ms
        self._jwts = jwts
        self._jwks = jwks
        self._certificates = certificates

    def claim(
        self, username: str, secret: str, peer: str, certificate: PeerCertificate | None = None
    ) -> Claim | Refusal:
        """Read a claim; refuse what can be no claim at all, whatever the database says.

        Args:
            username: as it was sent.
            secret: as it was sent; empty if none was.
            peer: the address it came from.
            certificate: what the broker says of the connection's certificate; counts only without a secret.

        Returns:
            The claim, or a refusal; ``jwts.UNKNOWN_KEY`` may end when `renew_keys` has been awaited.
        """
        fault = refuse_username(username)
        if fault is not None:
            return Refusal("username", fault)
        if not secret:
            return self._certificate_claim(username, peer, certificate)
        token = secret.startswith(TOKEN_PREFIX)
        jwts = None if token or not is_jwt_shaped(secret) else self._jwts
        size = len(secret.encode("utf-8", "surrogatepass"))
        limit = MAX_SECRET_BYTES if jwts is None else MAX_JWT_BYTES
        if size > limit:
            return Refusal("credential", f"the secret has {size} bytes, more than {limit}")
        if jwts is not None:
            jwt = jwts.read(secret, username, self._now_ms() / 1000)
            return jwt if isinstance(jwt, Refusal) else Claim(jwt.employee_id, jwt, peer)
        employee_id, fault = employee_of(username, self._service)
        if fault is not None:
            return Refusal("username", fault)
        if not is_id(employee_id):
            return Refusal("username", "the user name is no employee id")
        if token:
            return Claim(employee_id, Token(token_digest(secret)), peer)
        if is_jwt_shaped(secret):
            return Refusal("credential", "the secret is a JWT and none is accepted here")
        return Claim(employee_id, Password(secret), peer)

    def _certificate_claim(self, username: str, peer: str, given: PeerCertificate | None) -> Claim | Refusal:
        if self._certificates is None or given is None:
            return NO_CERTIFICATE
        certificate = self._certificates.read(given)
        if isinstance(certificate, Refusal):
            return certificate
        if not fits(username, certificate.employee_id, self._service):
            return Refusal("username", "the user name is not whom the certificate names")
        return Claim(certificate.employee_id, certificate, peer)

    async def renew_keys(self) -> None:
        """Have the keys of JWTs fetched anew, as far as that is due, and wait for it a little (`jwks`)."""
        if self._jwks is not None:
            await self._jwks.renew()

    async def identify(
        self, claim: Claim, person: Person | None, verified: PasswordMemo
    ) -> Identified | Refusal:
        """Check a claim against the person of that name, or against nobody.

        Args:
            claim: what was claimed.
            person: the person of that id, as of now; None when there is none.
            verified: what this request has hashed already; a second look at changed rows hashes no hash twice.
        """
        if not isinstance(claim.proof, Password):
            return UNKNOWN_PERSON if person is None else self.verify(claim, person)
        found = await self._by_password(claim, claim.proof, person, verified)
        if isinstance(found, Refusal):
            return found
        return UNKNOWN_PERSON if person is None else self._usable(person, found)

    def verify(self, claim: Claim, person: Person) -> Identified | Refusal:
        """Check a claim that rests on no password, which takes no waiting: a token, JWT or certificate."""
        proof = claim.proof
        if isinstance(proof, Jwt):
            return self._usable(person, of_jwt(proof.expires_s))
        if isinstance(proof, Token):
            found: CredentialRow | SessionCredential | Refusal = _by_digest(person, "token", proof.digest)
        elif isinstance(proof, Password):
            raise TypeError("a password is hashed off the event loop: await identify")
        else:
            found = _by_certificate(person, proof)
        return found if isinstance(found, Refusal) else self._usable(person, found)

    def _usable(self, person: Person, found: CredentialRow | SessionCredential) -> Identified | Refusal:
        if not person.active:
            return INACTIVE
        if isinstance(found, SessionCredential):
            return Identified(person, found)
        return Identified(person, of_row(found)) if found.usable(self._now_ms()) else CREDENTIAL_ENDED

    async def _by_password(
        self, claim: Claim, proof: Password, person: Person | None, verified: PasswordMemo
    ) -> CredentialRow | Refusal:
        if self._lockout.locked(claim.employee_id, claim.peer, self._clock()):
            return LOCKED
        now_ms = self._now_ms()
        known = person.credentials.values() if person is not None else ()
        stored = [c for c in known if c.kind == "password" and c.usable(now_ms)]
        hashes = tuple(credential.hash for credential in stored)
        if hashes not in verified:
            try:
                verified[hashes] = await self._pool.first_match(
                    proof.text,
                    hashes,
                    peer=claim.peer,
                    known=self._lockout.known(claim.employee_id, claim.peer),
                    done=partial(self._checked, claim, proof),
                )
            except Overloaded as error:
                return Refusal("overloaded", str(error))
        matched = verified[hashes]
        if matched is None:
            return UNKNOWN_PERSON if person is None else WRONG_SECRET
        return stored[matched]

    def _checked(self, claim: Claim, proof: Password, matched: int | None) -> None:
        if matched is None:
            self._lockout.failed(claim.employee_id, claim.peer, proof.text, self._clock())
        else:
            self._lockout.succeeded(claim.employee_id, claim.peer)


PasswordMemo = dict[tuple[str, ...], int | None]


def _by_digest(person: Person, kind: str, digest: str) -> CredentialRow | Refusal:
    """The person's token or certificate of that SHA-256; all are compared, in constant time."""
    found: CredentialRow | None = None
    for credential in person.credentials.values():
        if credential.kind == kind and hmac.compare_digest(credential.hash.encode(), digest.encode()):
            found = credential
    return WRONG_SECRET if found is None else found


def _by_certificate(person: Person, certificate: Certificate) -> CredentialRow | SessionCredential | Refusal:
    """The row that pins the certificate; a person without any certificate row needs none.

    Ended rows count as rows: revoking the only pin closes the door instead of opening it to every certificate of
    that name. Where the broker does not send the certificate, whoever is pinned stays out.
    """
    if not any(credential.kind == "certificate" for credential in person.credentials.values()):
        return of_certificate()
    return _by_digest(person, "certificate", certificate.fingerprint or "")
