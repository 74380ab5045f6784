"""How much waits for whom: people's sessions, and the gateway's zone, listener and share group."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from emqx.desired.settings import DesiredSettings

Json = dict[str, Any]

STRATEGY = "hash_clientid"
"""Of the gateways' share group: each sender's messages go to one gateway, in order (emqx-measured.md, 2)."""


def mqtt(settings: DesiredSettings) -> Json:
    """Of the global zone: what a client that is away finds when it comes back."""
    return {
        "session_expiry_interval": settings.session_expiry,
        "max_mqueue_len": settings.queue_length,
    }


def gateway_zone(settings: DesiredSettings) -> Json:
    """The gateway's own zone. A long queue alone gets its connection killed and all of it lost: heap and mailbox
    must be larger too (emqx-measured.md, first list, 4)."""
    return {
        "mqtt": {
            "max_inflight": settings.gateway_inflight,
            "max_mqueue_len": settings.gateway_queue_length,
        },
        "force_shutdown": {
            "max_heap_size": settings.gateway_heap_size,
            "max_mailbox_size": settings.gateway_mailbox_size,
        },
    }


def gateway_listener(settings: DesiredSettings) -> Json | None:
    """The gateway's own listener; None = none is wanted."""
    if not settings.gateway_bind:
        return None
    return {
        "type": "tcp",
        "name": settings.gateway_zone,
        "bind": settings.gateway_bind,
        "zone": settings.gateway_zone,
        "enable": True,
    }


def mark(name: str, zone: Json) -> str:
    """What the connector's description says of the zone. EMQX shows no zone to anybody, so this is how a later run
    sees which values were set."""
    digest = hashlib.sha256(json.dumps([name, zone], sort_keys=True).encode()).hexdigest()
    return f"Made by mchat emqx apply; zone {name} as of {digest[:12]}"
