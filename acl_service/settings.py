"""Settings of the access service; docs/configuration.md is made from this class."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from acl_service.errors import ConfigurationError
from acl_service.identity.jwt_keys import ALGORITHMS


class AccessSettings(BaseSettings):
    """What the hooks, the worker and the admin API are told."""

    model_config = SettingsConfigDict(env_prefix="MCHAT_", env_file=".env", extra="ignore")

    service: str = Field(
        "",
        pattern=r"^([A-Za-z0-9][A-Za-z0-9._-]{0,63})?$",
        description="This deployment's service id: the first level of every topic, and the only realm accepted in "
        "a user name (`E@service`). Empty: no prefix, no realm.",
    )
    presence_public: bool | None = Field(
        None,
        description="Whether everybody may read everybody's status topic; unset: as the policy document says.",
    )
    connect_rules: bool = Field(
        True,
        description="Whether the answer to a connect carries the rights that do not change during a session. "
        "Off: they are pushed with those that change, as far as there is room, and else asked.",
    )
    push: bool = Field(
        True,
        description="Whether the rights that change during a session stand in the broker's built-in database, as each "
        "client's dynamic ACL. Off: they are asked, and nothing goes on while MChat is away.",
    )
    push_rules: int = Field(
        100,
        ge=1,
        le=10_000,
        description="Rules of one client's dynamic ACL at most; not more than `max_rules` of the broker's source.",
    )
    push_rate: float = Field(
        200.0,
        gt=0,
        description="Sessions a second that are brought in line where it is not urgent: new ones, people beside a "
        "change, and everybody after a policy was activated.",
    )
    sweep_seconds: float = Field(
        60.0,
        gt=0,
        description="Seconds between two comparisons of everything that the broker holds with what it was given.",
    )
    presence_grace: float = Field(
        5.0,
        ge=0,
        le=300,
        description="Seconds that the end of a connection which nobody meant (a network that is lost) waits before the "
        "person is shown as offline.",
    )
    presence_reconcile: float = Field(
        300.0,
        ge=1,
        le=86_400,
        description="Seconds between two comparisons of who is online with the broker's own list of clients. One that "
        "nobody let in is kicked at the second of them.",
    )
    presence_look: float = Field(
        10.0,
        ge=0.1,
        le=300,
        description="Seconds between two looks for events that the broker lost and for its nodes that are gone.",
    )
    presence_silence: float = Field(
        60.0,
        ge=1,
        le=86_400,
        description="Seconds without any event after which presence is compared with the broker's list, once, "
        "and again if its number of clients is another than ours.",
    )
    presence_history: float = Field(
        30 * 86_400.0,
        ge=60,
        le=10 * 366 * 86_400.0,
        description="Seconds for which it is kept who came and went; default: 30 days.",
    )
    hooks_bind: str = Field(
        "127.0.0.1:8085", description="Address and port on which the broker's questions are answered."
    )
    hook_secrets: SecretStr | None = Field(
        None,
        description="The secrets that the broker may send as `Authorization: Bearer …`, separated by commas; several "
        "while one is being replaced. At least 16 bytes each.",
    )
    hook_secrets_file: Path | None = Field(None, description="A file with hook secrets instead, one a line.")
    outage_grace: float = Field(
        300.0,
        ge=0,
        description="Seconds for which known clients are served from memory while the database is away; 0 = none.",
    )
    patience: float = Field(
        0.8,
        gt=0,
        le=4,
        description="Seconds that one question of the broker may wait for the database or a password's turn; then "
        "it is denied, or served from memory within the outage grace. EMQX starves when log-ins hang.",
    )
    memory_people: int = Field(100_000, ge=100, description="People kept in memory at most.")
    memory_clients: int = Field(200_000, ge=100, description="Client ids kept in memory at most.")
    password_threads: int = Field(
        2,
        ge=1,
        le=64,
        description="Passwords hashed at the same time; one more thread is kept for people who come in from where "
        "they have come in before, so that guessers from many places do not keep them out.",
    )
    password_waiting: int = Field(
        32, ge=1, description="Passwords being hashed or waiting at most; one more is denied at once."
    )
    lockout_pair: int = Field(
        5,
        ge=1,
        description="Wrong passwords of one person from one peer within a minute until that pair is locked.",
    )
    lockout_peer: int = Field(
        50, ge=1, description="Wrong passwords from one peer within a minute until that peer is locked."
    )
    lockout_seconds: float = Field(60.0, gt=0, description="How long a lock lasts, in seconds.")
    trusted_peers: str = Field(
        "",
        description="Addresses of proxies that carry many people's connections, by commas: "
        "never locked out as a peer.",
    )
    admin_bind: str = Field(
        "127.0.0.1:8086",
        description="Address and port of the admin API, health and metrics; keep it on loopback.",
    )
    admin_token_key: SecretStr | None = Field(
        None,
        description="Key that signs the admin API's tokens, at least 32 bytes. Without one a key is made at each "
        "start: tokens then end with the process and hold for one process only.",
    )
    admin_token_key_file: Path | None = Field(None, description="A file with that key instead.")
    admin_token_seconds: int = Field(
        900, ge=30, le=86_400, description="How long an admin token is good for, in seconds."
    )

    jwt_secret: SecretStr | None = Field(
        None,
        description="Secret of JWTs signed with HS256, at least 32 bytes; another one than the admin API's key. "
        "Without a secret, a public key and a JWKS URL no JWT is accepted.",
    )
    jwt_secret_file: Path | None = Field(None, description="A file with that secret instead.")
    jwt_public_key_file: Path | None = Field(
        None,
        description="PEM file with the public key of JWTs: RSA (RS256), EC on P-256 (ES256) or Ed25519 (EdDSA).",
    )
    jwt_jwks_url: str = Field(
        "",
        description="Where the issuer of JWTs publishes its public keys as a JWK set: https, or http to a loopback "
        "address. Needs `MCHAT_JWT_ISSUER` and `MCHAT_JWT_AUDIENCE`.",
    )
    jwt_jwks_ca_file: Path | None = Field(
        None,
        description="PEM file of the authorities that vouch for that https server; unset: the public ones.",
    )
    jwt_jwks_refresh: float = Field(
        300.0,
        ge=30,
        le=86_400,
        description="Seconds after which the JWK set is fetched again, so that withdrawn keys go. While the endpoint "
        "does not answer, the last good set is used for 24 hours.",
    )
    jwt_algorithms: str = Field(
        ",".join(ALGORITHMS),
        description="Algorithms that may sign a JWT, by commas; each is verified with keys of its own type only.",
    )
    jwt_issuer: str = Field(
        "", description="What the claim `iss` of a JWT must be; empty: it is not looked at."
    )
    jwt_audience: str = Field(
        "",
        description="What the claim `aud` of a JWT must name; empty: a JWT that names any audience is refused.",
    )
    jwt_subject_claim: str = Field(
        "sub", min_length=1, description="The claim of a JWT that holds the employee id."
    )
    jwt_leeway: int = Field(
        0,
        ge=0,
        le=300,
        description="Seconds that the claims `nbf` and `iat` of a JWT may lie in the future; `exp` has no leeway.",
    )
    certificate_zones: str = Field(
        "",
        description="Zones whose listeners demand and verify a client certificate (`verify_peer` and "
        "`fail_if_no_peer_cert`), by commas. Certificates count in these zones only; empty: nowhere.",
    )
    certificate_field: str = Field(
        "CN",
        description="Attribute of the certificate's subject that holds the employee id: a short name as EMQX writes "
        "it, or a dotted OID.",
    )

    def hook_secret_values(self) -> list[str]:
        """The hook secrets, of the setting and of the file together.

        Raises:
            ConfigurationError: the file cannot be read.
        """
        given = [] if self.hook_secrets is None else self.hook_secrets.get_secret_value().split(",")
        lines = (
            _read(self.hook_secrets_file, "MCHAT_HOOK_SECRETS_FILE").splitlines()
            if self.hook_secrets_file
            else []
        )
        return [secret.strip() for secret in (*given, *lines) if secret.strip()]

    def admin_token_key_value(self) -> bytes | None:
        """The key of admin tokens, or None when none is set.

        Raises:
            ConfigurationError: the file cannot be read, or the key is too short.
        """
        key = _secret(self.admin_token_key, self.admin_token_key_file, "MCHAT_ADMIN_TOKEN_KEY_FILE")
        if key is not None and len(key) < 32:
            raise ConfigurationError(
                "the admin token key is shorter than 32 bytes: make one with `openssl rand -hex 32`"
            )
        return key

    def jwt_secret_value(self) -> bytes | None:
        """The secret of HS256, or None when none is set.

        Raises:
            ConfigurationError: the file cannot be read.
        """
        return _secret(self.jwt_secret, self.jwt_secret_file, "MCHAT_JWT_SECRET_FILE")

    def jwt_algorithm_values(self) -> list[str]:
        """The algorithms that may sign a JWT."""
        return _listed(self.jwt_algorithms)

    def certificate_zone_values(self) -> list[str]:
        """The zones in which certificates count."""
        return _listed(self.certificate_zones)

    def trusted_peer_values(self) -> list[str]:
        """The addresses of trusted proxies."""
        return _listed(self.trusted_peers)


def _listed(value: str) -> list[str]:
    return [one.strip() for one in value.split(",") if one.strip()]


def _secret(value: SecretStr | None, file: Path | None, setting: str) -> bytes | None:
    if file is not None:
        return _read(file, setting).strip().encode()
    return None if value is None else value.get_secret_value().encode()


def _read(path: Path, setting: str) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{setting}: {path} cannot be read: {error}") from error
