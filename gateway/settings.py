"""Settings of the gateway; docs/configuration.md is made from this class."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from gateway.exchange import GatewayError


class SettingError(GatewayError):
    """A setting with which the gateway cannot run; the message names it and the remedy."""


class GatewaySettings(BaseSettings):
    """How the gateway reaches the broker, and how much it takes in hand.

    Raises:
        ValidationError: a value is none, or the token and its file are both given.
    """

    model_config = SettingsConfigDict(
        env_prefix="MCHAT_GATEWAY_",
        env_file=".env",
        env_file_encoding="utf-8",
        extra="ignore",
        frozen=True,
        # A message about a wrong setting must not show the token beside it.
        hide_input_in_errors=True,
    )

    host: str = Field("127.0.0.1", min_length=1, description="Host of the broker's MQTT listener.")
    port: int = Field(1883, ge=1, le=65_535, description="Port of that listener.")
    tls: bool = Field(False, description="Whether that listener speaks TLS; its certificate is verified.")
    tls_ca: Path | None = Field(
        None,
        description="File of the authorities that verify the broker's certificate; default: the system's.",
    )
    protocol: Literal["5", "3.1.1"] = Field(
        "5", description="Version of MQTT: 5, or 3.1.1 where the broker speaks no other (the laptop broker)."
    )
    instance: str = Field(
        "1",
        pattern=r"^[A-Za-z0-9-]{1,32}$",
        description="Name of this gateway among those of one broker. It keeps it across restarts: the client id is "
        "`USERNAME_INSTANCE`, and two that run with one name throw each other out.",
    )
    username: str = Field(
        "mchat_gateway",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$",
        description="The person as whom it connects, of role service.",
    )
    token: SecretStr | None = Field(None, description="The credential of that person.")
    token_file: Path | None = Field(None, description="A file with that credential instead.")
    shared: bool = Field(
        True,
        description="Whether requests are subscribed through a shared subscription, so that several gateways share "
        "them. Off, or where the broker says that it has none, each gateway gets each request: run one.",
    )
    share_group: str = Field(
        "gateway", pattern=r"^[A-Za-z0-9_-]{1,64}$", description="Name of that shared subscription's group."
    )
    session_expiry: int = Field(
        15,
        ge=1,
        le=3_600,
        description="Seconds for which the broker keeps requests for a gateway that is away: one that comes back in "
        "time loses none, later none is executed any more. Not longer than clients wait.",
    )
    receive_maximum: int = Field(
        1_024,
        ge=1,
        le=65_535,
        description="Requests that the broker may have sent without being acknowledged.",
    )
    keepalive: int = Field(
        5,
        ge=2,
        le=600,
        description="Seconds after which a silent connection is probed, and then given up. The broker keeps requests "
        "for a connection that died in silence one and a half times as long, and then for the session's expiry.",
    )
    connect_timeout: float = Field(
        5.0,
        gt=0,
        le=60,
        description="Seconds to wait for the connection, and for each answer of the broker to it.",
    )
    back_off: float = Field(
        0.1, gt=0, le=10, description="Seconds before the first attempt to connect again; doubled each time."
    )
    back_off_longest: float = Field(10.0, gt=0, le=300, description="Seconds between two attempts at most.")
    in_hand: int = Field(
        512, ge=1, le=65_535, description="Requests in hand at once; one more is answered with 503 at once."
    )
    in_hand_client: int = Field(
        64,
        ge=1,
        le=65_535,
        description="Of these, requests of one client at most; one more is answered with 503.",
    )
    request_time: float = Field(
        10.0,
        gt=0,
        le=60,
        description="Seconds from a request's arrival after which it is answered with 503, and not begun any more.",
    )
    stop_time: float = Field(
        8.0, gt=0, le=120, description="Seconds that a stopping gateway takes to finish what it has in hand."
    )
    packet_size: int = Field(
        1_048_576,
        ge=1_024,
        le=268_435_455,
        description="Bytes of a packet that the broker takes; what the broker says itself counts if it is less.",
    )
    bind: str = Field(
        "127.0.0.1:8087",
        description="Address and port of the gateway's health and metrics; keep it on loopback.",
    )

    @property
    def client_id(self) -> str:
        """The client id, owned by the person as whom the gateway connects."""
        return f"{self.username}_{self.instance}"

    @property
    def share(self) -> str:
        """What stands before the filter of requests: `$share/GROUP/`, or nothing."""
        return f"$share/{self.share_group}/" if self.shared else ""

    def secret(self) -> str:
        """The credential.

        Raises:
            SettingError: there is none, or its file cannot be read.
        """
        if self.token_file is not None:
            try:
                return self.token_file.read_text("utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise SettingError(
                    f"MCHAT_GATEWAY_TOKEN_FILE={self.token_file} cannot be read: {error}"
                ) from error
        if self.token is None or not self.token.get_secret_value():
            raise SettingError(
                f"the gateway has no credential of {self.username}: set MCHAT_GATEWAY_TOKEN_FILE, or make it with "
                "`mchat init`"
            )
        return self.token.get_secret_value()

    @model_validator(mode="after")
    def _one_token(self) -> Self:
        if self.token is not None and self.token_file is not None:
            raise ValueError(
                "MCHAT_GATEWAY_TOKEN and MCHAT_GATEWAY_TOKEN_FILE are both set: keep one of them"
            )
        return self
