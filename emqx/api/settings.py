"""Settings of the client of the broker's REST API; docs/configuration.md is made from this class."""

from __future__ import annotations

from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from emqx.api.errors import ApiSettingsError
from emqx.listeners import is_loopback

_PREFIX = "MCHAT_EMQX_"


class ApiSettings(BaseSettings):
    """Where the broker's REST API is, who we are to it, and how long we wait.

    Raises:
        ValidationError: a value is none, or two of them contradict each other.
    """

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX,
        env_file=".env",
        env_file_encoding="utf-8",
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    url: str = Field(
        default="http://127.0.0.1:18083",
        description="Where EMQX's REST API listens; `/api/v5` is appended. https, unless it is a loopback address.",
    )
    allow_http: bool = Field(
        default=False,
        description="Whether http may leave this machine: the API secret and the hook secret then travel in clear.",
    )
    api_key: SecretStr = Field(default=SecretStr(""), description="API key of EMQX (role administrator).")
    api_key_file: Path | None = Field(default=None, description="A file with that key instead.")
    api_secret: SecretStr = Field(default=SecretStr(""), description="Secret of that API key.")
    api_secret_file: Path | None = Field(default=None, description="A file with that secret instead.")
    ca_file: Path | None = Field(
        default=None,
        description="PEM file of the authorities that EMQX's certificate is checked by; unset: system's.",
    )
    client_certificate_file: Path | None = Field(
        default=None, description="PEM file of the certificate that we show, with its chain."
    )
    client_key_file: Path | None = Field(default=None, description="PEM file of that certificate's key.")
    connect_timeout: float = Field(
        default=2.0, gt=0, le=60, description="Seconds until a connection stands, TLS included."
    )
    read_timeout: float = Field(
        default=5.0, gt=0, le=300, description="Seconds without a byte of EMQX after which a call has failed."
    )
    call_timeout: float = Field(
        default=10.0,
        gt=0,
        le=600,
        description="Seconds for one call in all, repetitions and pauses included.",
    )
    connections: int = Field(
        default=8, ge=1, le=100, description="Connections at once; further calls wait for one."
    )
    max_body: int = Field(
        default=16_777_216, ge=65_536, description="Bytes of an answer at most; a larger one is a failure."
    )
    attempts: int = Field(
        default=3, ge=1, le=10, description="Times that a call is sent at most when EMQX says 429 or 503."
    )
    longest_pause: float = Field(
        default=2.0,
        gt=0,
        le=60,
        description="Seconds between two of them at most; where EMQX asks for more (`Retry-After`), the call fails.",
    )
    circuit_failures: int = Field(
        default=5, ge=1, description="Calls in a row that fail until calls are refused without being sent."
    )
    circuit_rest: float = Field(
        default=2.0, gt=0, description="Seconds until one is sent again to see whether EMQX is back."
    )

    @field_validator(
        "api_key_file",
        "api_secret_file",
        "ca_file",
        "client_certificate_file",
        "client_key_file",
        mode="before",
    )
    @classmethod
    def _empty_is_none(cls, file: object) -> object:
        return None if file == "" else file

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        _check_url(self.url, self.allow_http)
        for name in ("api_key", "api_secret"):
            if getattr(self, name).get_secret_value() and getattr(self, f"{name}_file") is not None:
                setting = f"{_PREFIX}{name.upper()}"
                raise ValueError(f"{setting} and {setting}_FILE are both set: remove one of them")
        if self.client_key_file is not None and self.client_certificate_file is None:
            raise ValueError(
                f"{_PREFIX}CLIENT_KEY_FILE without {_PREFIX}CLIENT_CERTIFICATE_FILE: set both or none"
            )
        return self

    def credentials(self) -> tuple[SecretStr, SecretStr]:
        """API key and secret, from wherever they were given.

        Raises:
            ApiSettingsError: one of them is not there, empty, or cannot be sent in a header.
        """
        key = self._secret("api_key", self.api_key, self.api_key_file)
        if ":" in key.get_secret_value():
            raise ApiSettingsError(
                f"{_PREFIX}API_KEY holds a colon: it ends the name in HTTP Basic; use another key"
            )
        return key, self._secret("api_secret", self.api_secret, self.api_secret_file)

    @staticmethod
    def _secret(name: str, given: SecretStr, file: Path | None) -> SecretStr:
        setting = f"{_PREFIX}{name.upper()}"
        if file is None:
            if not given.get_secret_value():
                raise ApiSettingsError(f"no {name}: set {setting}, or {setting}_FILE to a file with it")
            return given
        try:
            text = file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise ApiSettingsError(f"{setting}_FILE={file}: {reason}; write the value into it") from error
        if not text:
            raise ApiSettingsError(f"{setting}_FILE={file} is empty: write the value into it")
        return SecretStr(text)


def _check_url(url: str, allow_http: bool) -> None:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"the URL is none: {error}; write https://host:port") from error
    if parts.username is not None or parts.password is not None:
        raise ValueError(f"the URL holds credentials: move them to {_PREFIX}API_KEY and {_PREFIX}API_SECRET")
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment:
        # What stands behind a question mark may be a secret.
        raise ValueError(
            f"{url.partition('?')[0]} is no address of an API: write https://host:port, no query"
        )
    if parts.scheme == "http" and not allow_http and not is_loopback(host):
        raise ValueError(
            f"{url} sends the API secret in clear over the network: use https, or set {_PREFIX}ALLOW_HTTP=true"
        )
