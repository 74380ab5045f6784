"""Settings of the laptop broker."""

from ipaddress import ip_address
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from emqx.errors import SecretError

EventKind = Literal[
    "client.connected",
    "client.disconnected",
    "client.connack",
    "client.check_authn_complete",
    "client.check_authz_complete",
    "session.subscribed",
    "session.unsubscribed",
    "message.publish",
    "message.dropped",
]


class ListenerSettings(BaseModel):
    """A listener of the laptop broker, in EMQX's words.

    Attributes:
        bind: loopback address and port; port 0 takes a free one.
        zone: as authn is told it.
        mountpoint: what stands before the topics of its clients; ``${username}`` and ``${clientid}`` are levels.
        ws: MQTT over WebSocket (path /mqtt) instead of TCP.

    Raises:
        ValidationError: a value is none, or there is another key.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    bind: str
    zone: str = Field(default="default", min_length=1)
    mountpoint: str = ""
    ws: bool = False

    @field_validator("bind")
    @classmethod
    def _loopback(cls, bind: str) -> str:
        return check_loopback(bind)

    @field_validator("mountpoint")
    @classmethod
    def _levels(cls, mountpoint: str) -> str:
        # EMQX takes all of these. But what is empty is what ${username} becomes in an .env file, and then
        # everybody shares one mountpoint; a wildcard would make wildcards of a client's own topics.
        levels = mountpoint.removesuffix("/").split("/")
        if "" in levels:
            raise ValueError(
                f"mountpoint {mountpoint!r} has an empty level: leave it out for none; where ${{username}} is replaced,"
                " as in an .env file, write its $ as \\u0024"
            )
        if any(sign in mountpoint for sign in "+#\0"):
            raise ValueError(f"mountpoint {mountpoint!r} has a wildcard or NUL in it: write plain levels")
        odd = [level for level in levels if "${" in level and level not in _MOUNTED_NAMES]
        if odd:
            raise ValueError(f"mountpoint {mountpoint!r}: {odd[0]!r} is none of {', '.join(_MOUNTED_NAMES)}")
        return mountpoint


_MOUNTED_NAMES = ("${username}", "${clientid}")


class LaptopSettings(BaseSettings):
    """The laptop broker, ``mchat laptop``: loopback only, everything is asked of the hooks.

    Raises:
        ValidationError: a value is none, or both the hook secret and its file are given.
    """

    model_config = SettingsConfigDict(
        env_prefix="MCHAT_LAPTOP_", env_file=".env", env_file_encoding="utf-8", extra="ignore", frozen=True
    )

    tcp_bind: str = Field(
        default="127.0.0.1:1883",
        description="Loopback address and port of MQTT over TCP; port 0 takes a free one.",
    )
    ws_bind: str = Field(
        default="127.0.0.1:8083",
        description="Loopback address and port of MQTT over WebSocket (path /mqtt); port 0 takes a free one.",
    )
    hooks_url: str = Field(
        default="http://127.0.0.1:8085",
        description="Where MChat's hooks are; /emqx/authn, /emqx/authz and /emqx/events are appended. "
        "`mchat up` sets it itself, to the hooks that it starts.",
        pattern=r"^https?://",
    )
    hook_secret: SecretStr = Field(
        default=SecretStr(""),
        description="Secret that the hooks expect as Bearer token; to be set only where the hooks have settings "
        "of their own, on another machine.",
    )
    hook_secret_file: Path | None = Field(
        default=None,
        description="A file with that secret instead; blanks around it are removed.",
    )
    zone: str = Field(
        default="default",
        min_length=1,
        description="Zone of the listeners of tcp_bind and ws_bind, as authn is told it; they have no mountpoint.",
    )
    listeners: tuple[ListenerSettings, ...] = Field(
        default=(),
        description="Further listeners, a JSON list such as "
        '`[{"bind": "127.0.0.1:1884", "zone": "mchat_chat", "mountpoint": "u/${username}/", "ws": false}]`; '
        "only `bind` is required, and `ws` means MQTT over WebSocket. "
        "In a shell it stands in single quotes; in `.env`, where `${…}` is replaced, the `$` is written `\\u0024`.",
    )
    node: str = Field(default="laptop@127.0.0.1", description="Name of this broker in events.")
    authz_body: Literal["mchat", "recorded"] = Field(
        default="mchat",
        description="Body of an authz question: 'recorded' is that of the recordings, 'mchat' adds "
        "the client's attributes employee_id, grants_version, credential_id and zone.",
    )
    authn_timeout: float = Field(
        default=5.0, gt=0, description="Seconds until an authn question counts as failed."
    )
    authz_timeout: float = Field(
        default=3.0, gt=0, description="Seconds until an authz question counts as failed."
    )
    question_pool: int = Field(default=32, ge=1, description="Connections to the hooks for authn and authz.")
    events: tuple[EventKind, ...] = Field(
        default=(
            "client.connected",
            "client.disconnected",
            "session.subscribed",
            "session.unsubscribed",
            "message.publish",
        ),
        description="Kinds of events that are sent; the default is what MChat's rules select in EMQX.",
    )
    status_filters: tuple[str, ...] = Field(
        default=("mchat/status/+", "+/mchat/status/+"),
        description="Topic filters whose publishes are sent as message.publish events.",
    )
    event_lanes: int = Field(
        default=8,
        ge=1,
        le=64,
        description="Events in flight at once; those of one client share a lane, in order.",
    )
    event_buffer: int = Field(
        default=10_000,
        ge=64,
        description="Events that wait at most; a full lane drops its oldest, and counts it.",
    )
    event_ttl: float = Field(
        default=300.0, gt=0, description="Seconds that an event is tried (EMQX: request_ttl)."
    )
    connect_timeout: float = Field(
        default=15.0, gt=0, description="Seconds from the TCP connection to a whole CONNECT packet."
    )
    send_timeout: float = Field(
        default=15.0, gt=0, description="Seconds that a client may leave data unread."
    )
    max_connections: int = Field(
        default=10_000, ge=1, description="Connections at once, both listeners together."
    )
    max_packet_size: int = Field(
        default=1_048_576, ge=256, description="Bytes of a packet behind its fixed header."
    )
    max_inflight: int = Field(
        default=32, ge=1, le=65_535, description="Unacknowledged messages to one client."
    )
    max_queued: int = Field(
        default=1_000, ge=1, description="Waiting messages of a session; the oldest is dropped."
    )
    max_sessions: int = Field(default=10_000, ge=1, description="Sessions, online and offline.")
    max_subscriptions: int = Field(default=1_000, ge=1, description="Subscriptions of one session.")
    max_retained: int = Field(default=100_000, ge=0, description="Topics with a retained message.")
    max_delayed: int = Field(default=10_000, ge=0, description="Delayed messages that wait.")
    session_expiry: float = Field(
        default=7_200.0, gt=0, description="Seconds that an offline session is kept."
    )

    @field_validator("tcp_bind", "ws_bind")
    @classmethod
    def _loopback(cls, bind: str) -> str:
        return check_loopback(bind)

    @field_validator("hook_secret_file", mode="before")
    @classmethod
    def _empty_is_none(cls, file: object) -> object:
        return None if file == "" else file

    @model_validator(mode="after")
    def _one_secret(self) -> Self:
        if self.hook_secret.get_secret_value() and self.hook_secret_file is not None:
            raise ValueError(
                "MCHAT_LAPTOP_HOOK_SECRET and MCHAT_LAPTOP_HOOK_SECRET_FILE are both set: remove one of them"
            )
        return self

    @property
    def every_listener(self) -> tuple[ListenerSettings, ...]:
        """All listeners: TCP, WebSocket, then the further ones in their order."""
        return (
            ListenerSettings(bind=self.tcp_bind, zone=self.zone),
            ListenerSettings(bind=self.ws_bind, zone=self.zone, ws=True),
            *self.listeners,
        )

    @property
    def secret_setting(self) -> str | None:
        """The setting that gives the hook secret, wherever it is set; None when neither does, empty being unset."""
        if self.hook_secret_file is not None:
            return "MCHAT_LAPTOP_HOOK_SECRET_FILE"
        return "MCHAT_LAPTOP_HOOK_SECRET" if self.hook_secret.get_secret_value() else None

    def secret(self) -> str:
        """The hook secret, from whichever place was given.

        Raises:
            SecretError: none was, or its file cannot be read or is empty.
        """
        if self.secret_setting is None:
            raise SecretError(
                "no hook secret: set MCHAT_LAPTOP_HOOK_SECRET, or MCHAT_LAPTOP_HOOK_SECRET_FILE to a file with it"
            )
        if self.hook_secret_file is None:
            return self.hook_secret.get_secret_value()
        named = f"MCHAT_LAPTOP_HOOK_SECRET_FILE={self.hook_secret_file}"
        try:
            secret = self.hook_secret_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise SecretError(f"{named}: {reason}; write the secret into it") from error
        if not secret:
            raise SecretError(f"{named} is empty: write the secret into it")
        return secret


def check_loopback(bind: str) -> str:
    """Return ``bind`` if it is ``host:port`` of a loopback address.

    Raises:
        ValueError: it has another form, or leads out of this machine.
    """
    host, port = split_bind(bind)
    if host != "localhost" and not ip_address(host).is_loopback:
        raise ValueError(f"{bind} is not a loopback address: this broker serves 127.0.0.1 or [::1] only")
    if port > 65_535:
        raise ValueError(f"{bind} has no port between 0 and 65535")
    return bind


def split_bind(bind: str) -> tuple[str, int]:
    """Host and port of ``host:port`` or ``[v6]:port``.

    Raises:
        ValueError: it has another form.
    """
    host, separator, port = bind.rpartition(":")
    if not separator or not host or not (port.isascii() and port.isdigit()):
        raise ValueError(f"{bind} is not host:port, such as 127.0.0.1:1883")
    return host.removeprefix("[").removesuffix("]"), int(port)
