"""`/publish`: messages past authorization, for whoever holds the key (contract 5.5)."""

from base64 import b64decode
from collections.abc import Iterator
from typing import Annotated, Literal

from msgspec import Meta, Struct

from emqx.laptop.broker import Broker
from emqx.laptop.messages import Message, message_id
from emqx.laptop.refusals import bad_request, not_emulated
from emqx.laptop.rest.calls import Answer, Call, Route
from emqx.laptop.topics import TopicError, check_name

SENDER = "http_api"
"""The client id that such messages have (recordings)."""

_MOST = 1_000
_TOPIC_NAME_INVALID = 144
_NO_SUBSCRIBERS = {"reason_code": 16, "message": "no_matching_subscribers"}

Refused = dict[str, object]


class MessageBody(Struct, frozen=True):
    """A message as the API takes it; what EMQX does not know it does not look at."""

    topic: str
    payload: str
    qos: Annotated[int, Meta(ge=0, le=2)] = 0
    retain: bool = False
    payload_encoding: Literal["plain", "base64"] = "plain"
    properties: dict[str, object] | None = None


class PublishingCalls:
    """The calls.

    Args:
        broker: that messages go to.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def routes(self) -> Iterator[Route]:
        """Who answers what."""
        yield Route("POST", "/publish", self.publish)
        yield Route("POST", "/publish/bulk", self.publish_many)

    async def publish(self, call: Call) -> Answer:
        """Publish one: 200 with its id, or 202 if nobody subscribed; a retained one is stored either way."""
        message = self._message(call.read(MessageBody))
        if not isinstance(message, Message):
            return Answer(message, 400)
        told = self._publish(message)
        return Answer(told, 200 if "id" in told else 202)

    async def publish_many(self, call: Call) -> Answer:
        """Publish several in their order, if each of them is one."""
        messages: list[Message] = []
        bodies = call.read(list[MessageBody])
        if len(bodies) > _MOST:
            raise bad_request(f"{len(bodies)} messages in one call: {_MOST} are allowed")
        for body in bodies:
            message = self._message(body)
            if not isinstance(message, Message):
                return Answer(message, 400)
            messages.append(message)
        told = [self._publish(message) for message in messages]
        return Answer(told, 200 if all("id" in one for one in told) else 202)

    def _publish(self, message: Message) -> Refused:
        receivers = self._broker.publish(message)
        return {"id": message_id(message.received_at)} if receivers else dict(_NO_SUBSCRIBERS)

    def _message(self, body: MessageBody) -> Message | Refused:
        try:
            check_name(body.topic)
        except TopicError:
            return {"reason_code": _TOPIC_NAME_INVALID, "message": "topic_name_invalid"}
        # What else MQTT 5 has, EMQX too leaves out towards clients of 3.1.1, and this broker has no others.
        if "message_expiry_interval" in (body.properties or {}):
            raise not_emulated("message_expiry_interval: no message of its expires, leave it out")
        try:
            is_base64 = body.payload_encoding == "base64"
            payload = b64decode(body.payload, validate=True) if is_base64 else body.payload.encode()
        except ValueError:
            return {"reason_code": 131, "message": "decode_base64_payload_failed"}
        return Message(
            topic=body.topic,
            payload=payload,
            qos=body.qos,
            retain=body.retain,
            sender=SENDER,
            received_at=self._broker.now(),
        )
