"""What is told of a client, field by field in EMQX's names.

Figures of Erlang's processes, and counters of packets and bytes, are 0: this broker keeps none.
"""

from collections.abc import Callable, Iterable
from typing import Any

from msgspec import UNSET, UnsetType

from emqx.errors import EmqxError
from emqx.laptop.client import Client
from emqx.laptop.moments import milliseconds_written
from emqx.laptop.session import Session

Field = Callable[[Session, Client], object]

_NOT_KEPT = (
    *("heap_size", "reductions", "mailbox_len"),
    *("recv_pkt", "recv_cnt", "recv_oct", "recv_msg", "recv_msg.qos0", "recv_msg.qos1", "recv_msg.qos2"),
    *("send_pkt", "send_cnt", "send_oct", "send_msg", "send_msg.qos0", "send_msg.qos1", "send_msg.qos2"),
    *("recv_msg.dropped", "recv_msg.dropped.await_pubrel_timeout"),
    *("send_msg.dropped", "send_msg.dropped.expired", "send_msg.dropped.too_large"),
)


def _disconnected_at(session: Session, _: Client) -> str | UnsetType:
    return UNSET if session.disconnected_at is None else milliseconds_written(session.disconnected_at)


def _disconnect_properties(session: Session, _: Client) -> object:
    return {} if session.left else UNSET


FIELDS: dict[str, Field] = {
    "clientid": lambda session, client: session.client_id,
    "username": lambda session, client: client.username,
    "connected": lambda session, client: session.disconnected_at is None,
    "connected_at": lambda session, client: milliseconds_written(client.connected_at),
    "disconnected_at": _disconnected_at,
    "disconn_props": _disconnect_properties,
    "created_at": lambda session, client: milliseconds_written(session.created_at),
    "client_attrs": lambda session, client: dict(client.attributes),
    "auth_expire_at": lambda session, client: (
        None if client.expires_at is None else client.expires_at * 1_000
    ),
    "ip_address": lambda session, client: client.peer[0],
    "port": lambda session, client: client.peer[1],
    "listener": lambda session, client: client.listener,
    "mountpoint": lambda session, client: client.mountpoint or None,
    "proto_name": lambda session, client: "MQTT",
    "proto_ver": lambda session, client: 4,
    "clean_start": lambda session, client: client.clean_session,
    "expiry_interval": lambda session, client: client.expiry_interval,
    "keepalive": lambda session, client: client.keepalive,
    "is_bridge": lambda session, client: client.is_bridge,
    "is_expired": lambda session, client: False,
    "is_persistent": lambda session, client: session.persistent,
    "durable": lambda session, client: False,
    "enable_authn": lambda session, client: True,
    "peersni": lambda session, client: None,
    "subscriptions_cnt": lambda session, client: len(session.subscriptions),
    "mqueue_len": lambda session, client: session.queued,
    "mqueue_max": lambda session, client: session.max_queued,
    "mqueue_dropped": lambda session, client: session.dropped,
    "send_msg.dropped.queue_full": lambda session, client: session.dropped,
    "inflight_cnt": lambda session, client: session.inflight,
    "inflight_max": lambda session, client: session.max_inflight,
    "awaiting_rel_cnt": lambda session, client: session.unreleased,
    "awaiting_rel_max": lambda session, client: 65_535,
    **{name: lambda session, client: 0 for name in _NOT_KEPT},
}
"""Every field but those of the broker: ``node``, ``subscriptions_max``."""


def row(session: Session, fields: Iterable[str], constant: dict[str, object]) -> dict[str, Any]:
    """These fields of a client; one that does not hold for it is left out.

    Args:
        session: of the client.
        fields: names.
        constant: fields that are the same for all.

    Raises:
        EmqxError: nobody is connected under it yet.
    """
    if (client := session.client) is None:
        raise EmqxError(f"session {session.client_id!r} is listed before its client is connected")
    told = {name: constant[name] if name in constant else FIELDS[name](session, client) for name in fields}
    return {name: value for name, value in told.items() if value is not UNSET}
