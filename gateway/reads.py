"""What reading and relayed actions are given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from directory.participants import Participant
from gateway.exchange import Delivery
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


class Unremembered(Exception):
    """Memory does not hold a person that a relayed action asks for.

    Attributes:
        employee_id: Who is to be read, before the handler is called again.
    """

    def __init__(self, employee_id: str) -> None:
        super().__init__(f"{employee_id!r} is not in memory")
        self.employee_id = employee_id


class Relay(Struct, frozen=True):
    """For actions that pass something on: from memory, without a row (decision 13).

    A handler waits for nothing: it does nothing itself, and returns what is to be delivered. It is called again for
    each person whom memory does not hold, and when a refusal is looked at again after memory has heard of every change.

    Attributes:
        means: What there is; no database here.
        request: What was asked.
        found: Those whom memory did not hold, as they were read; None: there is no such person.
    """

    means: Means
    request: Request
    found: Mapping[str, Participant | None]

    def person(self, employee_id: str) -> Participant | None:
        """Find a person, active or not.

        Raises:
            Unremembered: it has to be read first; not for handlers to catch.
        """
        if employee_id in self.found:
            return self.found[employee_id]
        person = self.means.house.remembered(employee_id)
        if person is None:
            raise Unremembered(employee_id)
        return person

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
