"""Events as bytes on the wire: as EMQX 5.8.9 was recorded to send them when clients come, subscribe and go."""

from collections.abc import Iterator
from typing import Any

from tests.benchmarks.broker_list import CONNECTED_MS, NODE, client_id, employee_id
from tests.benchmarks.questions import request
from tests.contract.recordings import lines

EVENTS_EACH = 5
"""Events of one client: it comes, subscribes, is cut, comes back; then it leaves, or its coming is told again."""


def comings_and_goings(numbers: range) -> Iterator[bytes]:
    """The events of clients, one client after the other; those with an odd number are away at the end."""
    came, listened, went = (
        _recorded(one) for one in ("client.connected", "session.subscribed", "client.disconnected")
    )
    for number in numbers:
        first = CONNECTED_MS + number
        topic = f"mchat/msg/resp/{client_id(number)}/+"
        again = first + 60_000
        coming_back = _event(came, number, again, connected_at=again)
        yield _event(came, number, first, connected_at=first)
        yield _event(listened, number, first + 1, topic=topic)
        yield _event(
            went, number, first + 2, connected_at=first, disconnected_at=first + 2, reason="tcp_closed"
        )
        yield coming_back
        if number % 2:
            at = again + 5
            yield _event(went, number, at, connected_at=again, disconnected_at=at, reason="normal")
        else:
            # As EMQX repeats what got no answer.
            yield coming_back


def _recorded(event: str) -> dict[str, Any]:
    """The body of the first such event of the recording."""
    for line in lines("hooks.jsonl"):
        if line["path"] == "/emqx/events" and line["body"]["event"] == event:
            body: dict[str, Any] = line["body"]
            return body
    raise AssertionError(f"hooks.jsonl has no {event}")


def _event(body: dict[str, Any], number: int, at: int, **values: object) -> bytes:
    person = employee_id(number)
    attributes = {"employee_id": person, "role": "employee", "grants_version": "1", "zone": "default"}
    who = {"username": person, "clientid": client_id(number), "client_attrs": attributes, "node": NODE}
    return request("/emqx/events", {**body, **who, "timestamp": at, **values})
