"""A request on its way through the gateway: who sent which bytes, and the name under which it is traced."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from directory.requests import Key
from gateway.topics import Route


class Request(Struct, frozen=True):
    """A request.

    Attributes:
        route: Its client and sequence id.
        payload: Its bytes.
        body: What they say: an object with an `action`.
        trace_id: Names it in logs, audit and a 500.
        now_ms: When it was taken in hand, milliseconds since the epoch.
    """

    route: Route
    payload: bytes
    body: Mapping[str, Any]
    trace_id: str
    now_ms: int

    @property
    def client_id(self) -> str:
        """The client."""
        return self.route.client_id

    @property
    def seq_id(self) -> str:
        """The client's number for it."""
        return self.route.seq_id

    @property
    def key(self) -> Key:
        """What makes it the same request as another."""
        return Key(self.route.client_id, self.route.seq_id)

    @property
    def digest(self) -> bytes:
        """SHA-256 of the payload."""
        return hashlib.sha256(self.payload).digest()
