"""What passes between the link to the broker and whatever answers requests: neither knows the other.

The link turns each PUBLISH packet into an `Arrival`, gives it to a `Handler` and puts the `Reply` on the wire:
deliveries first, in order, then the response; the request is acknowledged once the broker has acknowledged them all.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Literal, Protocol

from msgspec import Struct


class GatewayError(Exception):
    """Root of the errors of the gateway's link; the message names the value and the remedy."""


class PublishError(GatewayError):
    """Something could not be published; the message names the topic and why."""


class PublishRefused(PublishError):
    """The broker does not take it, or would close the connection over it: trying it again is no use.

    A bad topic, a packet over the broker's limit, or a reason code of MQTT 5 that says so.
    """


class TooLarge(PublishRefused):
    """The packet is larger than the broker takes."""


class NotConnected(PublishError):
    """There is no connection, it was lost before the broker acknowledged, or too much waits: may be repeated."""


class Exhausted(NotConnected):
    """The broker has a limit that is reached: a moment later it may take the same."""


class Arrival(Struct, frozen=True):
    """One request as it came; one that the broker sends again looks the same (emqx-measured.md: no DUP flag).

    Attributes:
        topic: Of the request, with the service prefix if there is one.
        payload: Its bytes, as the client wrote them.
        received_at: When it came, seconds of a clock that only grows (`gateway.pulse.seconds`).
        response_topic: MQTT 5's Response Topic, whoever it belongs to; None where there is none.
    """

    topic: str
    payload: bytes
    received_at: float
    response_topic: str | None = None


class Delivery(Struct, frozen=True):
    """A message to be published, QoS 1.

    Attributes:
        topic: A topic name; the link refuses wildcards and what else is none.
        payload: Its bytes.
        retain: Whether the broker keeps it.
    """

    topic: str
    payload: bytes
    retain: bool = False


class Reply(Struct, frozen=True):
    """What a request causes on the wire.

    Attributes:
        response_topic: Where the response goes; None: the request is dropped without one.
        response: Its bytes; None where `after` makes it.
        deliveries: Published before the response, in this order.
        after: Started once `deliveries` and `response` are with the broker; neither the acknowledgement of the
            request nor its sender's next request waits for it, but a drain does, as long as it has time. Where
            `response` is None, what it returns is published on `response_topic`; else that is ignored.
    """

    response_topic: str | None
    response: bytes | None = None
    deliveries: tuple[Delivery, ...] = ()
    after: Callable[[], Awaitable[bytes | None]] | None = None


Later = Callable[[], Awaitable[Reply]]
"""Does what a request asks for, which takes waiting; called once, or never."""


class Handler(Protocol):
    """Answers requests."""

    def handle(self, arrival: Arrival) -> Reply | Later:
        """Do what a request asks for: at once if nothing is to be waited for, else in what is returned.

        It answers faults by itself (500): whatever it raises is logged, and the request stays unanswered.
        """

    def refuse(self, arrival: Arrival, code: Literal[413, 503]) -> Reply:
        """Answer without doing anything.

        Args:
            arrival: The request.
            code: 503: too much is in hand, or it took too long; 413: the broker does not take an answer or a delivery
                as large as that of `handle`, whose effects stand.
        """


class Publisher(Protocol):
    """Puts messages on the wire; the link is one."""

    async def publish(self, topic: str, payload: bytes, qos: int = 1, retain: bool = False) -> None:
        """Publish, and return once the broker has it (QoS 0: once it is written).

        Raises:
            PublishRefused: it never will have it.
            NotConnected: it may not have it.
        """
