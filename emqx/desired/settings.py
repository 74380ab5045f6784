"""Settings of what the broker shall be like; docs/configuration.md is made from this class."""

from __future__ import annotations

from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from emqx.listeners import is_loopback, split_bind

_PREFIX = "MCHAT_EMQX_"
_DURATION = r"^(\d+(d|h|m|s|ms))+$"
_SIZE = r"^\d+(KB|MB|GB)$"
_NAME = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"


class DesiredSettings(BaseSettings):
    """What `mchat emqx apply` sets, `check` demands and `conf` writes.

    Raises:
        ValidationError: a value is none, or the hook secret would travel in clear without being told so.
    """

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX, env_file=".env", env_file_encoding="utf-8", extra="ignore", frozen=True
    )

    hooks_url: str = Field(
        default="http://127.0.0.1:8085",
        description="Where the broker reaches MChat's hooks, seen from the broker; /emqx/authn, /emqx/authz and "
        "/emqx/events are appended. https, unless it is a loopback address.",
    )
    hooks_allow_http: bool = Field(
        default=False,
        description="Whether http may leave the broker's machine: passwords and the hook secret then travel in clear.",
    )
    hooks_ca_file: str = Field(
        default="",
        description="PEM file, on the broker's machines, of the authorities that the hooks' certificate is checked by; "
        "needed for https.",
    )
    question_pool: int = Field(
        default=32,
        ge=1,
        le=1_024,
        description="Connections of each node for authn, and as many for authz; one question at a time on each.",
    )
    event_pool: int = Field(default=8, ge=1, le=1_024, description="Connections of each node for events.")
    authn_timeout: str = Field(
        default="5s", pattern=_DURATION, description="How long EMQX waits for an answer of authn."
    )
    authz_timeout: str = Field(
        default="3s", pattern=_DURATION, description="How long EMQX waits for an answer of authz."
    )
    send_certificate: bool = Field(
        default=False,
        description="Whether authn is sent the client's whole certificate (`cert_pem`): where certificates are pinned.",
    )
    connector: str = Field(default="mchat", pattern=_NAME, description="Name of the connector to the hooks.")
    action: str = Field(
        default="mchat_events", pattern=_NAME, description="Name of the action that sends events."
    )
    events_rule: str = Field(
        default="mchat_events", pattern=_NAME, description="Id of the rule of connections and subscriptions."
    )
    status_rule: str = Field(
        default="mchat_status", pattern=_NAME, description="Id of the rule of status messages."
    )
    event_ttl: str = Field(
        default="5m",
        pattern=_DURATION,
        description="How long an event is tried (EMQX: request_ttl); 45 s, EMQX's own, lose events in any outage.",
    )
    health_check_interval: str = Field(
        default="2s",
        pattern=_DURATION,
        description="How often EMQX looks whether the hooks take events again; 15 s, EMQX's own, hold all events back "
        "after each restart.",
    )
    changing_topics: tuple[str, ...] = Field(
        default=("mchat/group/#", "mchat/status/#"),
        description="Topic filters of rights that come and go during a session, a JSON list; decisions about them are "
        "not remembered by the broker. The service prefix is put before them.",
    )
    status_topics: tuple[str, ...] = Field(
        default=("mchat/status/+",),
        description="Topic filters whose messages are sent as events, a JSON list; with the service prefix.",
    )
    max_rules: int = Field(
        default=100, ge=1, le=10_000, description="Rules of one client in the broker's built-in database."
    )
    session_expiry: str = Field(
        default="7d",
        pattern=_DURATION,
        description="How long the broker keeps the session of a client that is away (MQTT 3.1.1; MQTT 5 clients say).",
    )
    queue_length: int = Field(
        default=5_000,
        ge=100,
        le=10_000,
        description="Messages that wait for one client; the oldest is dropped. From about 20,000 on EMQX kills the "
        "connection with all that waits.",
    )
    gateway_bind: str = Field(
        default="127.0.0.1:1884",
        description="Address and port, on the broker, of the gateway's own listener (MQTT over TCP); empty: none.",
    )
    gateway_zone: str = Field(
        default="mchat_gateway", pattern=_NAME, description="Name of the gateway's listener and of its zone."
    )
    gateway_group: str = Field(
        default="gateway",
        pattern=_NAME,
        description="Share group of the gateways; its messages are spread by the sender's client id.",
    )
    gateway_inflight: int = Field(
        default=1_024, ge=32, le=65_535, description="Unacknowledged messages to one gateway."
    )
    gateway_queue_length: int = Field(
        default=20_000, ge=1_000, le=1_000_000, description="Messages that wait for one gateway."
    )
    gateway_heap_size: str = Field(
        default="1GB", pattern=_SIZE, description="Memory of a gateway's connection at which EMQX kills it."
    )
    gateway_mailbox_size: int = Field(
        default=100_000,
        ge=1_000,
        description="Unread messages of a gateway's connection at which EMQX kills it.",
    )

    @field_validator("changing_topics", "status_topics")
    @classmethod
    def _filters(cls, filters: tuple[str, ...]) -> tuple[str, ...]:
        for text in filters:
            if not text or any(sign in text for sign in '"\0') or text.startswith(("/", "$")):
                raise ValueError(f"{text!r} is no topic filter of ours: write one such as mchat/group/#")
        return filters

    @field_validator("gateway_bind")
    @classmethod
    def _bind(cls, bind: str) -> str:
        if bind:
            split_bind(bind)
        return bind

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        parts = urlsplit(self.hooks_url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError(f"{_PREFIX}HOOKS_URL is no address: write http://host:port, no query")
        if parts.username is not None or parts.password is not None:
            raise ValueError(
                f"{_PREFIX}HOOKS_URL holds credentials: the hook secret goes in a header of its own"
            )
        if parts.scheme == "https" and not self.hooks_ca_file:
            raise ValueError(
                f"{_PREFIX}HOOKS_URL is https without {_PREFIX}HOOKS_CA_FILE: EMQX needs the file to verify it"
            )
        if parts.scheme == "http" and not self.hooks_allow_http and not is_loopback(parts.hostname):
            raise ValueError(
                f"{self.hooks_url} sends passwords and the hook secret in clear over the network: use https, or "
                f"set {_PREFIX}HOOKS_ALLOW_HTTP=true where broker and hooks share a network of their own"
            )
        if self.events_rule == self.status_rule:
            raise ValueError(
                f"{_PREFIX}EVENTS_RULE and {_PREFIX}STATUS_RULE are both {self.events_rule}: name two"
            )
        return self
