"""What the broker is configured with when it starts: what MChat sets up in EMQX, from the laptop's settings."""

from emqx.laptop.authenticators import Authenticators
from emqx.laptop.durations import written
from emqx.laptop.integrations import Integrations
from emqx.laptop.objects import AuthorizationSettings, Json
from emqx.laptop.rule_engine import RuleEngine
from emqx.laptop.rule_sql import EVENT_TOPICS, select
from emqx.laptop.sources import Sources, cache_settings
from emqx.settings import LaptopSettings

CONNECTOR = "mchat"
ACTION = "mchat_events"
EVENTS_RULE = "mchat_events"
STATUS_RULE = "mchat_status"

_AUTHN = ("clientid", "username", "password", "peerhost", "zone", "cert_subject", "cert_common_name")
_AUTHZ = (
    *("clientid", "username", "peerhost", "topic", "action", "qos", "retain"),
    *("proto_name", "mountpoint", "cert_common_name"),
)
_ATTRIBUTES = ("employee_id", "grants_version", "credential_id", "zone")


def settings_beside(settings: LaptopSettings) -> AuthorizationSettings:
    """What holds beside the sources: whatever no source knows is denied."""
    cache = cache_settings(
        settings.cache_enable, settings.cache_max_size, settings.cache_ttl, settings.cache_excludes
    )
    return AuthorizationSettings(cache=cache, no_match="deny", deny_action="ignore")


def begin(
    settings: LaptopSettings,
    authenticators: Authenticators,
    sources: Sources,
    integrations: Integrations,
    engine: RuleEngine,
) -> None:
    """Make the objects: MChat's hooks as the only authenticator, the built-in rules before them as sources, and
    its events."""
    secret = {"authorization": f"Bearer {settings.secret()}"}
    headers = {"content-type": "application/json"} | secret
    service = {"enable": True, "pool_size": settings.question_pool, "enable_pipelining": 1}
    url = settings.hooks_url.rstrip("/")
    authenticators.create(
        {
            **service,
            "mechanism": "password_based",
            "backend": "http",
            "method": "post",
            "url": f"{url}/emqx/authn",
            "headers": headers,
            "body": {name: f"${{{name}}}" for name in _AUTHN},
            "request_timeout": written(settings.authn_timeout),
        }
    )
    body = {name: f"${{{name}}}" for name in _AUTHZ}
    if settings.authz_body == "mchat":
        body |= {name: f"${{client_attrs.{name}}}" for name in _ATTRIBUTES}
    sources.create(
        {
            **service,
            "type": "http",
            "method": "post",
            "url": f"{url}/emqx/authz",
            "headers": headers,
            "body": body,
            "request_timeout": written(settings.authz_timeout),
        }
    )
    sources.create({"type": "built_in_database", "enable": True, "max_rules": settings.max_rules})
    integrations.create_connector(CONNECTOR, {"url": url, "headers": secret, "pool_type": "hash"})
    integrations.create_action(
        ACTION,
        {
            "connector": CONNECTOR,
            "parameters": {"path": "/emqx/events", "headers": {"content-type": "application/json"}},
            "resource_opts": {"request_ttl": written(settings.event_ttl), "health_check_interval": "2s"},
        },
    )
    for identifier, topics in (
        (EVENTS_RULE, [topic for kind, topic in EVENT_TOPICS.items() if kind in settings.events]),
        (STATUS_RULE, list(settings.status_filters) if "message.publish" in settings.events else []),
    ):
        if topics:
            engine.create(identifier, _rule(identifier, topics))


def _rule(name: str, topics: list[str]) -> Json:
    return {"name": name, "sql": select(topics), "actions": [f"http:{ACTION}"]}
