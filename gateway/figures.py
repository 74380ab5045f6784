"""What the link counts and knows of its connection, for health and metrics."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.packets import Greeting


@dataclass(slots=True)
class Figures:
    """Counts since the process began, and how things stand.

    Attributes:
        requests: Requests that came.
        overloaded: Answered with 503 at once.
        overdue: Answered with 503 since they took too long.
        unanswered: The handler failed.
        dropped: No requests: retained ones.
        refused: Messages that the broker does not take.
        connections: Times that the broker let us in.
        lost: Connections that nobody here ended.
        greeting: What the broker said at the connection that stands; None: there is none.
        subscribed: The filter that stands; empty: none.
        fault: Why there is no connection; empty: there is one, or nothing was tried yet.
    """

    requests: int = 0
    overloaded: int = 0
    overdue: int = 0
    unanswered: int = 0
    dropped: int = 0
    refused: int = 0
    connections: int = 0
    lost: int = 0
    greeting: Greeting | None = None
    subscribed: str = ""
    fault: str = ""


def zone_fault(greeting: Greeting, wanted: int) -> str | None:
    """Tell whether the broker gave the gateway less room than it needs (emqx-measured.md, first list, 4).

    Args:
        greeting: What it said.
        wanted: How many requests may be in hand.
    """
    told = greeting.receive_maximum
    if told is None or told >= wanted:
        return None
    return (
        f"the broker's Receive Maximum is {told}, less than {wanted}: the gateway's listener has no zone of its own; "
        "make one (`mchat emqx conf`) and set MCHAT_GATEWAY_PORT to it"
    )
