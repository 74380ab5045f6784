"""What the broker asks: the authenticator, the authorization sources, and the settings beside them."""

from __future__ import annotations

from typing import Any

from emqx.api.secrecy import MASK
from emqx.desired.settings import DesiredSettings

Json = dict[str, Any]

AUTHENTICATOR = "password_based:http"
"""Its id, of which a broker has one."""

HTTP, DATABASE = "http", "built_in_database"

AUTHN_FIELDS = ("clientid", "username", "password", "peerhost", "zone", "cert_subject", "cert_common_name")
"""All of 5.8 (contract 1.2); ``zone`` was rendered by 5.8.9, and where it is not, its literal counts as unknown."""

AUTHZ_FIELDS = ("clientid", "username", "peerhost", "topic", "action", "qos", "retain", "mountpoint")
"""All of 5.8 (contract 2.2). One that a version does not know, such as ``zone``, turns every ``client_attrs`` of the
body into literal text (emqx-measured.md, first list, 7)."""

ATTRIBUTES = ("employee_id", "grants_version", "credential_id", "zone")
"""What authn gave the session and every authz question brings back."""


def authenticator(settings: DesiredSettings) -> Json:
    """The one authenticator, its secret masked. One question at a time on each connection: uvicorn answers those of
    a connection one after the other (contract, section 8)."""
    fields = AUTHN_FIELDS + (("cert_pem",) if settings.send_certificate else ())
    return {
        "mechanism": "password_based",
        "backend": "http",
        **_service(settings, "/emqx/authn", settings.authn_timeout),
        "body": {name: f"${{{name}}}" for name in fields},
    }


def sources(settings: DesiredSettings, push: bool) -> tuple[Json, ...]:
    """Who decides, in this order: what MChat wrote into the broker, then MChat itself."""
    http = {
        "type": HTTP,
        **_service(settings, "/emqx/authz", settings.authz_timeout),
        "body": {name: f"${{{name}}}" for name in AUTHZ_FIELDS}
        | {name: f"${{client_attrs.{name}}}" for name in ATTRIBUTES},
    }
    database = {"type": DATABASE, "enable": True, "max_rules": settings.max_rules}
    return (database, http) if push else (http,)


def authorization(settings: DesiredSettings, prefix: str) -> Json:
    """What holds beside the sources. What no source decides is denied, and a deny about a group is not remembered
    for a minute: the client may be made a member in the next second."""
    return {
        "no_match": "deny",
        "deny_action": "ignore",
        "cache": {"excludes": [prefix + text for text in settings.changing_topics]},
    }


def tls(settings: DesiredSettings) -> Json:
    """How the broker verifies the hooks."""
    if not settings.hooks_url.startswith("https:"):
        return {"enable": False}
    return {
        "enable": True,
        "verify": "verify_peer",
        "cacertfile": settings.hooks_ca_file,
        "versions": ["tlsv1.3"],
    }


def _service(settings: DesiredSettings, path: str, timeout: str) -> Json:
    return {
        "enable": True,
        "method": "post",
        "url": settings.hooks_url.rstrip("/") + path,
        "headers": {"content-type": "application/json", "authorization": MASK},
        "request_timeout": timeout,
        "connect_timeout": "5s",
        "pool_size": settings.question_pool,
        "enable_pipelining": 1,
        "ssl": tls(settings),
    }
