"""What reading and relayed actions are given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from gateway.exchange import Delivery
from gateway.house import House
from gateway.means import Means
from gateway.request import Request
from gateway.topics import Topics


class Reads(Struct, frozen=True):
    """For actions that change nothing; they run as often as they are asked for.

    Attributes:
        means: What there is; `means.database.read()` gives a connection.
        request: What was asked.
    """

    means: Means
    request: Request


class Relay(Struct, frozen=True):
    """For actions that pass something on: from memory, without a row (decision 13).

    A refusal is looked at again after memory has heard of every change, so that a handler may be called twice: it
    does nothing itself, and returns what is to be delivered.

    Attributes:
        means: What there is; no database here.
        request: What was asked.
    """

    means: Means
    request: Request

    @property
    def house(self) -> House:
        """The memory of people and their groups."""
        return self.means.house

    @property
    def topics(self) -> Topics:
        """The topics of this deployment."""
        return self.means.topics

    @property
    def now_ms(self) -> int:
        """When the request was taken in hand, milliseconds since the epoch."""
        return self.request.now_ms

    def message_id(self, employee_id: str) -> str:
        """Name the message of this request: a redelivery, and a retry, names it alike."""
        request = self.request
        return self.means.message_ids.of(employee_id, request.client_id, request.seq_id, request.digest)


class Relayed(Struct, frozen=True):
    """What a relayed action ends with.

    Attributes:
        data: Of the answer.
        deliveries: Published before the answer, in this order.
    """

    data: Mapping[str, Any]
    deliveries: tuple[Delivery, ...] = ()
