"""What the broker tells the link, in the words of MQTT."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

from msgspec import Struct

FAILURE: Final = 0x80
"""The least reason code that is a no; MQTT 3.1.1 refuses a subscription with it."""


@dataclass(frozen=True, slots=True)
class Greeting:
    """What the broker said when it let us in (CONNACK).

    Attributes:
        session_present: Whether it kept our session, and will send again what was not acknowledged.
        receive_maximum: Publishes of ours that may be unacknowledged; None: MQTT 3.1.1 does not tell.
        packet_size: Bytes of a packet that it takes; None: it did not tell.
        shared: Whether it has shared subscriptions.
    """

    session_present: bool
    receive_maximum: int | None
    packet_size: int | None
    shared: bool


class Incoming(Struct, frozen=True):
    """A PUBLISH packet that came.

    Attributes:
        packet_id: To acknowledge it with; 0 where its QoS is 0.
        topic: As the broker sent it.
        payload: Its bytes.
        retained: It was stored before we subscribed.
        response_topic: MQTT 5's property.
        correlation: MQTT 5's Correlation Data.
    """

    packet_id: int
    topic: str
    payload: bytes
    retained: bool
    response_topic: str | None
    correlation: bytes | None


class Events(Protocol):
    """Who is told what happens; called on the event loop, and must not raise."""

    def connected(self, greeting: Greeting) -> None:
        """The broker let us in; told before anything else arrives."""

    def arrived(self, packet: Incoming) -> None:
        """A message came."""

    def published(self, packet_id: int, code: int) -> None:
        """The broker acknowledged a publish, with a reason code of MQTT 5 (3.1.1: 0)."""

    def lost(self, why: str, *, suspicious: bool) -> None:
        """The connection is over; told once, and nothing after it.

        Args:
            why: for people.
            suspicious: the broker may have ended it over something that was sent.
        """
