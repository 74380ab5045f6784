"""Events as the broker tells them (contract 4.2), stored as the hooks store them."""

import json
from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import insert

from acl_service.hooks.events import EventBody, _row
from directory import events, schema
from directory.database import Database
from directory.events import EventRow

NODE = "emqx@127.0.0.1"


def connected(client_id: str, epoch: int, employee_id: str | None = "ann", **values: Any) -> EventRow:
    body = {"timestamp": epoch, "clean_start": values.pop("clean_start", False)}
    return _told("client.connected", client_id, body, employee_id=employee_id, epoch=epoch, **values)


def disconnected(
    client_id: str, epoch: int | None, at: int, reason: str = "tcp_closed", **values: Any
) -> EventRow:
    known = {"epoch": epoch, "disconnected_at": at, "reason": reason, "employee_id": "ann", **values}
    return _told("client.disconnected", client_id, {"timestamp": at}, **known)


def subscribed(client_id: str, topic: str, at: int, qos: int = 1) -> EventRow:
    return _told("session.subscribed", client_id, {"timestamp": at, "qos": qos}, topic=topic)


def unsubscribed(client_id: str, topic: str, at: int) -> EventRow:
    return _told("session.unsubscribed", client_id, {"timestamp": at, "qos": 1}, topic=topic)


def published(client_id: str, topic: str, payload: str, at: int = 1) -> EventRow:
    body = {"timestamp": at, "qos": 1, "payload": payload, "flags": {"retain": True, "dup": False}}
    return _told("message.publish", client_id, body, topic=topic)


def _told(kind: str, client_id: str, body: dict[str, Any], **values: Any) -> EventRow:
    known: dict[str, Any] = {"node": NODE, "peer": "10.0.0.1:5", **values}
    return EventRow(received_at=1, kind=kind, client_id=client_id, body=json.dumps(body), **known)


def came(body: bytes | dict[str, Any], received_at: int) -> EventRow:
    """An event as it came over the wire, by the way that it takes through the hooks."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return _row(msgspec.json.decode(raw, type=EventBody), raw, received_at)


async def store(database: Database, rows: Sequence[EventRow]) -> None:
    """As the hooks do."""
    async with database.write() as connection:
        await events.store(connection, rows)


async def store_as(database: Database, event_id: int, row: EventRow) -> None:
    """As a writer whose numbers were given before another's and are committed after them."""
    values = {name: getattr(row, name) for name in EventRow.__slots__} | {"event_id": event_id}
    async with database.write() as connection:
        await connection.execute(insert(schema.presence_event), [values])
