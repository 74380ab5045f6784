"""The bodies of events, field by field as EMQX 5.8.9 sends them (recordings; contract section 4.2)."""

from typing import Any

from emqx.laptop.client import Client
from emqx.laptop.messages import Message, message_id
from emqx.laptop.session import Subscription
from emqx.rules import Action

Body = dict[str, Any]

_UNDEFINED = "undefined"

_REASON_CODES = {
    0: "success",
    2: "client_identifier_not_valid",
    3: "server_unavailable",
    4: "bad_username_or_password",
    5: "not_authorized",
}


class EventBodies:
    """Builds the bodies of one broker's events; which rule sends them the rule engine adds.

    Args:
        node: the broker's name in them.
    """

    def __init__(self, node: str) -> None:
        self._node = node

    def connected(self, client: Client, now: int) -> Body:
        """client.connected; times here and below are Unix milliseconds."""
        return {
            **self._about(client, "client.connected", now),
            **_protocol(client),
            "mountpoint": client.mountpoint or _UNDEFINED,
            "keepalive": client.keepalive,
            "clean_start": client.clean_session,
            # EMQX reports max_inflight as the client's Receive Maximum (recordings).
            "receive_maximum": client.limits.max_inflight,
            "expiry_interval": client.expiry_interval,
            "is_bridge": client.is_bridge,
            "conn_props": _properties(),
            "connected_at": client.connected_at,
            "client_attrs": dict(client.attributes),
        }

    def disconnected(self, client: Client, reason: str, disconnected_at: int, now: int) -> Body:
        """client.disconnected."""
        return {
            **self._about(client, "client.disconnected", now),
            **_protocol(client),
            "reason": reason,
            "disconn_props": _properties(),
            "disconnected_at": disconnected_at,
            "connected_at": client.connected_at,
            "client_attrs": dict(client.attributes),
        }

    def connack(self, client: Client, code: int, now: int, reason: str | None = None) -> Body:
        """client.connack; its expiry interval is in milliseconds, ``reason`` stands for what the code does not tell."""
        return {
            **self._about(client, "client.connack", now),
            **_protocol(client),
            "reason_code": reason or _REASON_CODES[code],
            "keepalive": client.keepalive,
            "clean_start": client.clean_session,
            "expiry_interval": client.expiry_interval * 1000,
            "conn_props": _properties(),
        }

    def authn_complete(self, client: Client, code: int, now: int, *, anonymous: bool = False) -> Body:
        """client.check_authn_complete; it carries no attributes yet."""
        return {
            **self._about(client, "client.check_authn_complete", now),
            "reason_code": _REASON_CODES[code],
            "is_superuser": client.superuser,
            "is_anonymous": anonymous,
            "client_attrs": {},
        }

    def authz_complete(
        self, client: Client, action: Action, topic: str, result: str, source: str, now: int
    ) -> Body:
        """client.check_authz_complete."""
        return {
            **self._about(client, "client.check_authz_complete", now),
            "peerhost": client.peer[0],
            "topic": topic,
            "action": action,
            "result": result,
            "authz_source": source,
            "client_attrs": dict(client.attributes),
        }

    def subscribed(self, client: Client, subscription: Subscription, now: int) -> Body:
        """session.subscribed."""
        return {
            **self._about_subscription(client, subscription, "session.subscribed", now),
            "sub_props": _properties(),
        }

    def unsubscribed(self, client: Client, subscription: Subscription, now: int) -> Body:
        """session.unsubscribed."""
        return {
            **self._about_subscription(client, subscription, "session.unsubscribed", now),
            "unsub_props": _properties(),
        }

    def publish(self, message: Message, now: int) -> Body:
        """message.publish, from the rule for status topics."""
        return {
            **self._about_message(message, "message.publish", now),
            "client_attrs": dict(message.attributes),
        }

    def dropped(self, message: Message, reason: str, now: int) -> Body:
        """message.dropped."""
        return {**self._about_message(message, "message.dropped", now), "reason": reason}

    def _about(self, client: Client, event: str, now: int) -> Body:
        return {
            "event": event,
            "clientid": client.client_id,
            "username": _UNDEFINED if client.username is None else client.username,
            "peername": _address(client.peer),
            "timestamp": now,
            "node": self._node,
        }

    def _about_subscription(self, client: Client, subscription: Subscription, event: str, now: int) -> Body:
        return {
            **self._about(client, event, now),
            "peerhost": client.peer[0],
            "topic": subscription.topic_filter.text,
            "qos": subscription.qos,
            "client_attrs": dict(client.attributes),
        }

    def _about_message(self, message: Message, event: str, now: int) -> Body:
        peer = message.peer
        return {
            "event": event,
            "id": message_id(message.received_at),
            "clientid": message.sender,
            "username": _UNDEFINED if message.username is None else message.username,
            "topic": message.topic,
            "payload": message.payload.decode(errors="replace"),
            "qos": message.qos,
            "flags": {"retain": message.retain, "dup": message.dup},
            "pub_props": _properties(),
            "peername": _UNDEFINED if peer is None else _address(peer),
            "peerhost": _UNDEFINED if peer is None else peer[0],
            "publish_received_at": message.received_at,
            "timestamp": now,
            "node": self._node,
        }


def _protocol(client: Client) -> Body:
    return {"proto_name": "MQTT", "proto_ver": 4, "sockname": _address(client.socket)}


def _properties() -> Body:
    return {"User-Property": {}}


def _address(address: tuple[str, int]) -> str:
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
