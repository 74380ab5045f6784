"""Settings of the gateway's actions; docs/configuration.md is made from this class."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from gateway.settings import SettingError
from gateway.terms import SENSITIVE, BrokerAddress, Terms


class ActionSettings(BaseSettings):
    """Who may do what by setting, how long what is kept, and where clients find the broker."""

    model_config = SettingsConfigDict(
        env_prefix="MCHAT_", env_file=".env", env_file_encoding="utf-8", extra="ignore", frozen=True
    )

    client_host: str = Field(
        "127.0.0.1",
        min_length=1,
        description="Host of the broker as clients are told it (config.server, mqtt_connection).",
    )
    client_port: int = Field(1883, ge=1, le=65_535, description="Port of MQTT as clients are told it.")
    client_tls: bool = Field(False, description="Whether clients are told to use TLS on it.")
    client_ws_url: str = Field(
        "",
        pattern=r"^(wss?://\S+)?$",
        description="Address of MQTT over WebSocket as clients are told it, such as `wss://chat.example/mqtt`.",
    )
    request_keep: float = Field(
        600.0,
        ge=60,
        le=86_400,
        description="Seconds for which the answer of a mutating request is kept for its duplicates.",
    )
    sensitive_actions: str = Field(
        ",".join(sorted(SENSITIVE)),
        description="Actions that need a challenge (auth.challenge), by commas; employee.update where it changes "
        "status or role.",
    )
    challenge_proof: str = Field(
        "admin,security",
        description="Roles whose people give their credential again for a challenge, by commas; empty: none.",
    )
    challenge_seconds: float = Field(
        300.0, ge=10, le=3_600, description="Seconds for which a challenge may be used."
    )
    anyone_creates_groups: bool = Field(
        False, description="Whether everybody may create groups; off: administrators only."
    )
    agents_over_http: bool = Field(False, description="Whether an agent's webhook may be http, without TLS.")
    credential_grace: float = Field(
        0.0,
        ge=0,
        le=7 * 86_400,
        description="Seconds for which an old credential works on after employee.reset_credential.",
    )
    revocation_wait: float = Field(
        2.0,
        ge=0,
        le=5,
        description="Seconds that group.member_remove waits for the broker to have taken the right back, before it "
        "answers that this is pending.",
    )

    def terms(self, *, service: str, version: str, stale_s: float, grace_s: float) -> Terms:
        """Put them into the words of the actions.

        Args:
            service: The service id; empty for none.
            version: MChat's own version.
            stale_s: MCHAT_FEED_STALE.
            grace_s: MCHAT_OUTAGE_GRACE.
        """
        return Terms(
            service=service,
            version=version,
            broker=BrokerAddress(
                host=self.client_host,
                port=self.client_port,
                use_tls=self.client_tls,
                ws_url=self.client_ws_url,
            ),
            sensitive=_listed(self.sensitive_actions),
            challenge_proof=_listed(self.challenge_proof),
            challenge_ms=round(self.challenge_seconds * 1_000),
            request_keep_ms=round(self.request_keep * 1_000),
            anyone_creates_groups=self.anyone_creates_groups,
            agents_over_http=self.agents_over_http,
            credential_grace_ms=round(self.credential_grace * 1_000),
            revocation_wait_ms=round(self.revocation_wait * 1_000),
            stale_s=stale_s,
            grace_s=grace_s,
        )

    def check(self, actions: frozenset[str], roles: frozenset[str]) -> None:
        """Refuse names that mean nothing: a misspelt one would protect nothing.

        Args:
            actions: The names of the actions that may need a challenge: the others change nothing.
            roles: Those of all roles.

        Raises:
            SettingError: A name is none of them.
        """
        for setting, given, known in (
            ("MCHAT_SENSITIVE_ACTIONS", self.sensitive_actions, actions),
            ("MCHAT_CHALLENGE_PROOF", self.challenge_proof, roles),
        ):
            if unknown := _listed(given) - known:
                raise SettingError(
                    f"{setting}: {min(unknown)!r} is unknown: use some of {', '.join(sorted(known))}"
                )


def _listed(value: str) -> frozenset[str]:
    return frozenset(one.strip() for one in value.split(",") if one.strip())
