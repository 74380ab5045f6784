"""What the broker tells: the connector to the hooks, the action that sends events, and the rules that choose them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from emqx.api.secrecy import MASK
from emqx.desired.questions import tls
from emqx.desired.settings import DesiredSettings

Json = dict[str, Any]

EVENT_TOPICS = (
    "$events/client_connected",
    "$events/client_disconnected",
    "$events/session_subscribed",
    "$events/session_unsubscribed",
)
"""What presence is derived from; these names are 5.8's and are taken by 6.x too (contract 4.1)."""


def connector(settings: DesiredSettings, description: str) -> Json:
    """Events of one client go over one connection, in their order; the secret is masked."""
    return {
        "type": "http",
        "name": settings.connector,
        "enable": True,
        "description": description,
        "url": settings.hooks_url.rstrip("/"),
        "headers": {"authorization": MASK},
        "connect_timeout": "5s",
        "pool_type": "hash",
        "pool_size": settings.event_pool,
        "enable_pipelining": 100,
        "resource_opts": {"health_check_interval": settings.health_check_interval},
        "ssl": tls(settings),
    }


def action(settings: DesiredSettings) -> Json:
    """Sends each event whole, again and again while the hooks are away (emqx-measured.md, first list, 5)."""
    return {
        "type": "http",
        "name": settings.action,
        "enable": True,
        "connector": settings.connector,
        "parameters": {
            "path": "/emqx/events",
            "method": "post",
            "headers": {"content-type": "application/json"},
            "body": "${.}",
            "max_retries": 2,
        },
        "resource_opts": {
            "request_ttl": settings.event_ttl,
            "health_check_interval": settings.health_check_interval,
        },
    }


def rules(settings: DesiredSettings, prefix: str) -> tuple[Json, ...]:
    """The rules: connections and subscriptions, and what people say of themselves on their status topics."""
    made = [_rule(settings, settings.events_rule, EVENT_TOPICS)]
    if settings.status_topics:
        topics = [prefix + text for text in settings.status_topics]
        made.append(_rule(settings, settings.status_rule, topics))
    return tuple(made)


def _rule(settings: DesiredSettings, identifier: str, topics: Iterable[str]) -> Json:
    return {
        "id": identifier,
        "name": identifier,
        "enable": True,
        # No quotes in a topic: the settings and the service id see to it.
        "sql": "SELECT * FROM " + ", ".join(f'"{topic}"' for topic in topics),  # noqa: S608 - for no database
        "actions": [f"http:{settings.action}"],
    }
