"""Objects of the broker's configuration as the REST API reads and shows them, defaults and bounds included.

The fields and their defaults are those of EMQX 5.8.9 (recordings). A value that this broker cannot act on is
refused as not emulated, so that what it shows is what it does.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar, cast

import msgspec
from msgspec import Meta, Struct, field

from emqx.laptop import durations
from emqx.laptop.refusals import invalid_value, not_emulated

MASK = "******"
"""What is shown in place of a secret; a PUT with it keeps the secret that is there (emqx-measured, "REST")."""

Json = dict[str, Any]
Duration = Annotated[str, Meta(pattern=durations.PATTERN, max_length=32)]
Text = Annotated[str, Meta(max_length=4_096)]
Texts = Annotated[dict[Text, Text], Meta(max_length=64)]
Url = Annotated[str, Meta(pattern="^https?://", max_length=4_096)]
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=255)]
PoolSize = Annotated[int, Meta(ge=1, le=1_024)]
Pipelining = Annotated[int, Meta(ge=1)]

_SECRET_HEADERS = frozenset({"authorization", "proxy-authorization", "x-api-key", "cookie"})

T = TypeVar("T", bound=Struct)


class Ssl(Struct, forbid_unknown_fields=True, frozen=True):
    """TLS of an outgoing link: this broker stays on one machine and speaks none."""

    enable: Literal[False] = False
    ciphers: list[str] = []
    depth: int = 10
    hibernate_after: Duration = "5s"
    log_level: str = "notice"
    reuse_sessions: bool = True
    secure_renegotiate: bool = True
    verify: str = "verify_none"
    versions: list[str] = field(default_factory=lambda: ["tlsv1.3", "tlsv1.2"])


class HttpAuthenticator(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """``password_based:http``."""

    mechanism: Literal["password_based"]
    backend: Literal["http"]
    method: Literal["post"]
    url: Url
    enable: bool = True
    headers: Texts = field(default_factory=lambda: {"content-type": "application/json"})
    body: Texts = field(default_factory=dict)
    request_timeout: Duration = "5s"
    connect_timeout: Duration = "15s"
    pool_size: PoolSize = 8
    enable_pipelining: Pipelining = 100
    ssl: Ssl = Ssl()


class UserDatabase(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """``password_based:built_in_database``; nobody is in it, so it lets nobody in."""

    mechanism: Literal["password_based"]
    backend: Literal["built_in_database"]
    enable: bool = True
    user_id_type: Literal["username", "clientid"] = "username"
    password_hash_algorithm: Json = field(
        default_factory=lambda: {"name": "sha256", "salt_position": "prefix"}
    )
    bootstrap_file: str = "${EMQX_ETC_DIR}/auth-built-in-db-bootstrap.csv"
    bootstrap_type: str = "plain"


class HttpSource(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The authorization source ``http``."""

    type: Literal["http"]
    method: Literal["post"]
    url: Url
    enable: bool = True
    headers: Texts = field(default_factory=lambda: {"content-type": "application/json"})
    body: Texts = field(default_factory=dict)
    request_timeout: Duration = "30s"
    connect_timeout: Duration = "15s"
    pool_size: PoolSize = 8
    enable_pipelining: Pipelining = 100
    ssl: Ssl = Ssl()


class RuleDatabase(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The authorization source ``built_in_database``."""

    type: Literal["built_in_database"]
    enable: bool = True
    max_rules: Annotated[int, Meta(ge=1, le=10_000)] = 100


class RuleFile(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """The authorization source ``file``, its rules as text."""

    type: Literal["file"]
    rules: Annotated[str, Meta(max_length=65_536)]
    enable: bool = True


class CacheSettings(Struct, forbid_unknown_fields=True, frozen=True):
    """The decision cache of each client; ``excludes`` EMQX does not check, a number is taken too."""

    enable: bool = True
    max_size: Annotated[int, Meta(ge=1, le=1_048_576)] = 32
    ttl: Duration = "1m"
    excludes: Annotated[list[Text | int], Meta(max_length=1_000)] = []


class AuthorizationSettings(Struct, frozen=True, kw_only=True):
    """What holds beside the sources."""

    cache: CacheSettings
    no_match: Literal["allow", "deny"] = "allow"
    deny_action: Literal["ignore", "disconnect"] = "ignore"


class ConnectorResources(Struct, forbid_unknown_fields=True, frozen=True):
    """``resource_opts`` of a connector; nothing is checked between events, so the interval is only kept."""

    health_check_interval: Duration = "15s"
    start_after_created: bool = True
    start_timeout: Duration = "5s"


class Connector(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A connector of type ``http``, without its type and name."""

    url: Url
    enable: bool = True
    description: Text = ""
    headers: Texts = field(default_factory=dict)
    connect_timeout: Duration = "15s"
    pool_type: Literal["random", "hash"] = "random"
    pool_size: PoolSize = 8
    enable_pipelining: Pipelining = 100
    resource_opts: ConnectorResources = ConnectorResources()
    ssl: Ssl = Ssl()


class Parameters(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """What an action sends: the whole event."""

    method: Literal["post"] = "post"
    path: Text = ""
    body: Literal["${.}"] = "${.}"
    headers: Texts = field(default_factory=lambda: {"content-type": "application/json"})
    max_retries: int = 2


class ActionResources(Struct, forbid_unknown_fields=True, frozen=True):
    """``resource_opts`` of an action; ``request_ttl`` acts, the rest is kept: the settings bound queue and lanes."""

    health_check_interval: Duration = "15s"
    inflight_window: int = 100
    max_buffer_bytes: Text = "256MB"
    query_mode: Literal["async", "sync"] = "async"
    request_ttl: Duration | Literal["infinity"] = "45s"
    worker_pool_size: PoolSize = 16


class Action(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """An action of type ``http``, without its type and name."""

    connector: Name
    enable: bool = True
    description: Text = ""
    parameters: Parameters = Parameters()
    resource_opts: ActionResources = ActionResources()


class EngineRule(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A rule of the rule engine, without its id."""

    sql: Text
    name: Text = ""
    enable: bool = True
    description: Text = ""
    actions: Annotated[list[Text], Meta(max_length=16)] = []


def read(kind: type[T], raw: object) -> T:
    """The object of a request body.

    Raises:
        ApiRefusal: a field is missing, unknown or no value of its kind, or asks for TLS.
    """
    if isinstance(raw, Mapping):
        ssl = raw.get("ssl")
        if (isinstance(ssl, Mapping) and ssl.get("enable") is True) or str(raw.get("url")).startswith(
            "https:"
        ):
            raise not_emulated(
                "TLS on its outgoing links: they stay on this machine, give http:// and no ssl"
            )
        if raw.get("method") == "get":
            raise not_emulated("questions by GET: they put passwords into URLs, give method post")
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError as error:
        raise invalid(error) from error


def invalid(error: msgspec.ValidationError) -> Exception:
    """The refusal of a value; msgspec names the place and the rule, never the value, which may be a secret."""
    reason, _, place = str(error).partition(" - at `$")
    path = "root" + place.rstrip("`")
    return invalid_value(path, reason)


def shown(value: Struct) -> Json:
    """An object as the API tells it, its secrets masked."""
    raw = told(value)
    headers = raw.get("headers")
    if isinstance(headers, dict):
        raw["headers"] = {
            name: MASK if name.lower() in _SECRET_HEADERS else text for name, text in headers.items()
        }
    return raw


def told(value: Struct) -> Json:
    """An object as it is, its secrets in clear."""
    return cast("Json", msgspec.to_builtins(value))


def unmasked(raw: object, stored: Struct) -> object:
    """A request body with the secrets that are there in place of masks."""
    known = getattr(stored, "headers", {})
    if not isinstance(raw, Mapping) or not isinstance(raw.get("headers"), Mapping):
        return raw
    headers = {
        name: known[name] if text == MASK and name in known else text for name, text in raw["headers"].items()
    }
    return {**raw, "headers": headers}
