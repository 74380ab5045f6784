"""Settings of the laptop broker."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from emqx.errors import SecretError
from emqx.listeners import ListenerSettings, check_loopback, split_bind

__all__ = ["EventKind", "LaptopSettings", "ListenerSettings", "check_loopback", "split_bind"]

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


class LaptopSettings(BaseSettings):
    """The laptop broker, ``mchat laptop``: loopback only, everything is asked of the hooks.

    Raises:
        ValidationError: a value is none, a secret and its file are both given, an API key has no secret or a
            secret no key, or two listeners have one name.
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
        "only `bind` is required, `ws` means MQTT over WebSocket, and a `name` is how the REST API calls it. "
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
    cache_enable: bool = Field(
        default=True,
        description="Whether each connection remembers decisions, allows and denies, as in EMQX; so that the REST "
        "API can change it, this and the three below are where it begins.",
    )
    cache_max_size: int = Field(
        default=32, ge=1, le=1_048_576, description="Decisions that a connection remembers."
    )
    cache_ttl: float = Field(default=60.0, gt=0, description="Seconds that it remembers one.")
    cache_excludes: tuple[str, ...] = Field(
        default=("mchat/group/#", "mchat/status/#", "+/mchat/group/#", "+/mchat/status/#"),
        description="Topic filters of decisions that it does not remember: rights that change while a client is on.",
    )
    api_bind: str = Field(
        default="127.0.0.1:18083",
        description="Loopback address and port of the REST API, the subset of EMQX's that MChat uses (HTTP, no TLS); "
        "port 0 takes a free one. It is open only if an API key and its secret are given.",
    )
    api_key: SecretStr = Field(default=SecretStr(""), description="The one API key that the REST API takes.")
    api_key_file: Path | None = Field(default=None, description="A file with that key instead.")
    api_secret: SecretStr = Field(default=SecretStr(""), description="Secret of that API key.")
    api_secret_file: Path | None = Field(default=None, description="A file with that secret instead.")
    api_max_body: int = Field(
        default=1_048_576, ge=1_024, description="Bytes of a request to the REST API at most."
    )
    api_timeout: float = Field(
        default=10.0, gt=0, description="Seconds until a request to the REST API is whole, or answered."
    )
    api_connections: int = Field(
        default=64, ge=1, le=1_024, description="Connections and requests of the REST API at once."
    )
    max_rules: int = Field(
        default=100,
        ge=1,
        le=10_000,
        description="Built-in rules of one client id or user name, to begin with.",
    )
    max_rule_subjects: int = Field(
        default=100_000, ge=1, description="Client ids and user names that have built-in rules."
    )
    max_bans: int = Field(default=10_000, ge=1, description="Bans at once.")

    @field_validator("tcp_bind", "ws_bind", "api_bind")
    @classmethod
    def _loopback(cls, bind: str) -> str:
        return check_loopback(bind)

    @field_validator("hook_secret_file", "api_key_file", "api_secret_file", mode="before")
    @classmethod
    def _empty_is_none(cls, file: object) -> object:
        return None if file == "" else file

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.hook_secret.get_secret_value() and self.hook_secret_file is not None:
            raise ValueError(
                "MCHAT_LAPTOP_HOOK_SECRET and MCHAT_LAPTOP_HOOK_SECRET_FILE are both set: remove one of them"
            )
        ids = [listener.id for listener in self.every_listener]
        if len(set(ids)) < len(ids):
            raise ValueError(
                f"two listeners are called the same, of {', '.join(ids)}: give each a name of its own"
            )
        for name in ("api_key", "api_secret"):
            if getattr(self, name).get_secret_value() and getattr(self, f"{name}_file") is not None:
                setting = f"MCHAT_LAPTOP_{name.upper()}"
                raise ValueError(f"{setting} and {setting}_FILE are both set: remove one of them")
        if self._has("api_key") != self._has("api_secret"):
            raise ValueError(
                "MCHAT_LAPTOP_API_KEY and MCHAT_LAPTOP_API_SECRET belong together (or their _FILE): set both or none"
            )
        return self

    @property
    def every_listener(self) -> tuple[ListenerSettings, ...]:
        """All listeners: TCP, WebSocket, then the further ones in their order."""
        return (
            ListenerSettings(bind=self.tcp_bind, zone=self.zone, name="default"),
            ListenerSettings(bind=self.ws_bind, zone=self.zone, ws=True, name="default"),
            *(
                listener if listener.name else listener.model_copy(update={"name": f"listener{number}"})
                for number, listener in enumerate(self.listeners, 1)
            ),
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
        return self._read("hook_secret")

    def credentials(self) -> tuple[str, str] | None:
        """API key and secret, from whichever place was given; None = no REST API.

        Raises:
            SecretError: a file of theirs cannot be read or is empty, or the key holds a colon.
        """
        if not self._has("api_key"):
            return None
        key, secret = self._read("api_key"), self._read("api_secret")
        if ":" in key:
            raise SecretError("the API key holds a colon, which ends the name in HTTP Basic: use another one")
        return key, secret

    def _has(self, name: str) -> bool:
        return bool(getattr(self, name).get_secret_value()) or getattr(self, f"{name}_file") is not None

    def _read(self, name: str) -> str:
        given: SecretStr = getattr(self, name)
        file: Path | None = getattr(self, f"{name}_file")
        if file is None:
            return given.get_secret_value()
        named = f"MCHAT_LAPTOP_{name.upper()}_FILE={file}"
        try:
            text = file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise SecretError(f"{named}: {reason}; write the secret into it") from error
        if not text:
            raise SecretError(f"{named} is empty: write the secret into it")
        return text
