"""Publishing through the REST API: past authorization, so for MChat's own messages only."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from emqx.api.calls import Calls, as_type

NO_SUBSCRIBER = 16
"""Reason code of MQTT 5.0 section 3.4.2.1: nobody was there; a retained message is stored all the same."""


class Properties(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Properties of a message (MQTT 5.0 section 3.3.2.3).

    Attributes:
        user_properties: names and values.
        message_expiry_interval: seconds.
        response_topic: where an answer goes.
        correlation_data: what it carries.
        content_type: of the payload.
        payload_format_indicator: 1 = the payload is UTF-8.
    """

    user_properties: dict[str, str] | None = None
    message_expiry_interval: int | None = None
    response_topic: str | None = None
    correlation_data: str | None = None
    content_type: str | None = None
    payload_format_indicator: int | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """A message to publish.

    Attributes:
        topic: a name, no wildcards.
        payload: text as it is, bytes through base64. Empty with ``retain``: the stored message is cleared.
        qos: 0, 1 or 2.
        retain: whether EMQX stores it.
        properties: of MQTT 5.
    """

    topic: str
    payload: str | bytes
    qos: int = 0
    retain: bool = False
    properties: Properties | None = None

    def body(self) -> dict[str, object]:
        """As the REST API takes it."""
        binary = isinstance(self.payload, bytes)
        return {
            "topic": self.topic,
            "payload": b64encode(self.payload).decode() if isinstance(self.payload, bytes) else self.payload,
            **({"payload_encoding": "base64"} if binary else {}),
            **({"qos": self.qos} if self.qos else {}),
            **({"retain": True} if self.retain else {}),
            **({"properties": self.properties} if self.properties else {}),
        }


class Published(msgspec.Struct, frozen=True):
    """What became of a message.

    Attributes:
        id: that EMQX gave it; None = nobody subscribed. A retained one is stored either way.
        reason_code: of MQTT 5.0; 0 or `NO_SUBSCRIBER`.
        message: EMQX's words for it.
    """

    id: str | None = None
    reason_code: int = 0
    message: str = ""

    @property
    def delivered(self) -> bool:
        """Whether somebody subscribed."""
        return self.id is not None


class Publishing:
    """`/publish`.

    A retained message may be repeated after a broken connection, since it is a state; another may not, since
    its receivers would see it twice. Calls overtake each other: whoever writes one retained topic waits for
    each before the next (emqx-measured.md, "Odd ids").
    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    async def publish(self, message: Message) -> Published:
        """Publish one.

        Raises:
            Rejected: its topic or payload is none.
        """
        return await self._calls.create(
            "/publish", message.body(), as_type(Published), repeatable=message.retain
        )

    async def publish_many(self, messages: Sequence[Message]) -> tuple[Published, ...]:
        """Publish several, in their order.

        Raises:
            Rejected: the topic or payload of one of them is none; some of the others may be published.
        """
        return await self._calls.create(
            "/publish/bulk",
            [message.body() for message in messages],
            as_type(tuple[Published, ...]),
            repeatable=all(message.retain for message in messages),
        )
