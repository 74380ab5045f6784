"""The ways in that the settings open: passwords and tokens always, JWTs and certificates where they are told of."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge

from acl_service.admin.tokens import AUDIENCE as ADMIN_AUDIENCE
from acl_service.errors import ConfigurationError
from acl_service.identity.authenticator import Authenticator
from acl_service.identity.certificates import Certificates
from acl_service.identity.jwks import Jwks, JwksTimes, KeyRing
from acl_service.identity.jwks_endpoint import JwksEndpoint
from acl_service.identity.jwt_keys import ALGORITHMS, ASYMMETRIC, SYMMETRIC, VerifyingKey, pem_key, secret_key
from acl_service.identity.jwts import JwtRules, Jwts
from acl_service.identity.lockout import Lockout, LockoutLimits
from acl_service.identity.passwords import PasswordPool
from acl_service.settings import AccessSettings

WAITING_SHARE = 0.4
"""Of MCHAT_PATIENCE, what a log-in may spend waiting for a key: the rest is the database's."""


@dataclass(frozen=True, slots=True)
class WaysIn:
    """How people prove in this process who they are.

    Attributes:
        pool: where passwords are hashed, for both.
        broker: who connects over MQTT.
        admin: who logs in to the admin API: by tokens and passwords only, with a lock-out of its own, because
            failures there must not keep anybody out of MQTT.
        jwks: the key set that is fetched, if there is one.
    """

    pool: PasswordPool
    broker: Authenticator
    admin: Authenticator
    jwks: Jwks | None

    @classmethod
    def opened(
        cls,
        settings: AccessSettings,
        registry: CollectorRegistry,
        *,
        clock: Callable[[], float],
        now_ms: Callable[[], int],
    ) -> WaysIn:
        """Make them as the settings say; nothing is fetched yet.

        Args:
            settings: of the service.
            registry: where the key set's metrics go.
            clock: monotonic seconds.
            now_ms: wall clock, milliseconds since the epoch.

        Raises:
            ConfigurationError: the settings of JWTs or certificates cannot be served safely.
        """
        trusted = settings.trusted_peer_values()
        limits = LockoutLimits(
            pair=settings.lockout_pair, peer=settings.lockout_peer, locked_s=settings.lockout_seconds
        )
        zones = settings.certificate_zone_values()
        certificates = Certificates(zones, settings.certificate_field)
        fixed = _fixed_keys(settings)
        rules = _rules(settings, fixed)
        # Last, because it opens things: a mistake in the settings must leave nothing open behind.
        jwks = _jwks(settings, registry, clock) if settings.jwt_jwks_url else None
        pool = PasswordPool(
            settings.password_threads,
            settings.password_waiting,
            wait_s=0.6 * settings.patience,
            trusted_peers=trusted,
        )
        accepted = bool(fixed) or jwks is not None
        broker = Authenticator(
            pool,
            Lockout(limits, trusted),
            service=settings.service,
            clock=clock,
            now_ms=now_ms,
            jwts=Jwts(rules, KeyRing(fixed, jwks), service=settings.service) if accepted else None,
            jwks=jwks,
            certificates=certificates if zones else None,
        )
        admin = Authenticator(pool, Lockout(limits), service=settings.service, clock=clock, now_ms=now_ms)
        return cls(pool, broker, admin, jwks)

    def start(self) -> None:
        """Begin to fetch what is fetched in the background; waits for nothing."""
        if self.jwks is not None:
            self.jwks.start()

    async def close(self) -> None:
        """Stop fetching, and hash no more."""
        if self.jwks is not None:
            await self.jwks.close()
        self.pool.close()


def _fixed_keys(settings: AccessSettings) -> dict[str, VerifyingKey]:
    keys: list[VerifyingKey] = []
    secret = settings.jwt_secret_value()
    if secret is not None:
        admin = settings.admin_token_key_value()
        if admin is not None and _same_key(secret, admin):
            raise ConfigurationError(
                "MCHAT_JWT_SECRET and MCHAT_ADMIN_TOKEN_KEY are one key: "
                "give each its own, made with `openssl rand -hex 32`"
            )
        keys.append(secret_key(secret))
    file = settings.jwt_public_key_file
    if file is not None:
        if settings.jwt_jwks_url:
            raise ConfigurationError(
                "MCHAT_JWT_PUBLIC_KEY_FILE and MCHAT_JWT_JWKS_URL are both set: name the keys in one way"
            )
        try:
            pem = file.read_bytes()
        except OSError as error:
            raise ConfigurationError(f"MCHAT_JWT_PUBLIC_KEY_FILE: {file} cannot be read: {error}") from error
        keys.append(pem_key(pem, f"MCHAT_JWT_PUBLIC_KEY_FILE: {file}"))
    return {key.algorithm: key for key in keys}


def _same_key(one: bytes, other: bytes) -> bool:
    """Whether two HMAC keys sign alike; different bytes may (RFC 2104, section 2: padded with zeros, or hashed)."""
    return hmac.compare_digest(*(hmac.digest(key, b"the same key?", "sha256") for key in (one, other)))


def _rules(settings: AccessSettings, fixed: dict[str, VerifyingKey]) -> JwtRules:
    algorithms = settings.jwt_algorithm_values()
    for algorithm in algorithms:
        if algorithm not in ALGORITHMS:
            raise ConfigurationError(
                f"MCHAT_JWT_ALGORITHMS: {algorithm!r} is none of {', '.join(ALGORITHMS)}"
            )
    for algorithm in fixed:
        if algorithm not in algorithms:
            source = "MCHAT_JWT_SECRET" if algorithm == SYMMETRIC else "MCHAT_JWT_PUBLIC_KEY_FILE"
            raise ConfigurationError(f"{source} is a key of {algorithm}: name that in MCHAT_JWT_ALGORITHMS")
    if settings.jwt_audience == ADMIN_AUDIENCE:
        raise ConfigurationError(
            f"MCHAT_JWT_AUDIENCE: {ADMIN_AUDIENCE!r} is the audience of the admin API's own tokens: choose another"
        )
    if settings.jwt_jwks_url:
        if not settings.jwt_issuer or not settings.jwt_audience:
            raise ConfigurationError(
                "MCHAT_JWT_JWKS_URL needs MCHAT_JWT_ISSUER and MCHAT_JWT_AUDIENCE: "
                "the issuer signs tokens for others with the same keys"
            )
        if not set(algorithms) & set(ASYMMETRIC):
            raise ConfigurationError(
                f"MCHAT_JWT_JWKS_URL: name one of {', '.join(ASYMMETRIC)} in MCHAT_JWT_ALGORITHMS"
            )
    return JwtRules(
        frozenset(algorithms),
        issuer=settings.jwt_issuer or None,
        audience=settings.jwt_audience or None,
        subject_claim=settings.jwt_subject_claim,
        leeway_s=settings.jwt_leeway,
    )


def _jwks(settings: AccessSettings, registry: CollectorRegistry, clock: Callable[[], float]) -> Jwks:
    times = JwksTimes(refresh=settings.jwt_jwks_refresh, wait=WAITING_SHARE * settings.patience)
    endpoint = JwksEndpoint(settings.jwt_jwks_url, timeout_s=times.fetch, ca_file=settings.jwt_jwks_ca_file)
    failures = Counter("mchat_jwks_failures", "Fetches of the JWK set that failed", registry=registry)
    jwks = Jwks(endpoint, times, clock=clock, failed=failures.inc)
    age = Gauge("mchat_jwks_age_seconds", "Seconds since the JWK set in use was fetched", registry=registry)
    age.set_function(lambda: jwks.age_s)
    return jwks
