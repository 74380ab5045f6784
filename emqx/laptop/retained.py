"""The last retained message of each topic (MQTT 3.1.1 section 3.3.1.3)."""

from collections.abc import Iterator

import structlog

from emqx.laptop.messages import Message
from emqx.laptop.topics import matches

_log = structlog.get_logger(__name__)


class RetainedMessages:
    """Retained messages in memory.

    A filter without a wildcard is one look-up; one with a wildcard looks at every retained topic, which is
    meant for the thousands of a laptop, not for millions.

    Args:
        limit: topics at most; a new one over it is not kept, and logged.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._messages: dict[str, Message] = {}

    def __len__(self) -> int:
        return len(self._messages)

    def keep(self, message: Message) -> None:
        """Keep the message as its topic's last; an empty payload removes what was kept."""
        if not message.payload:
            self._messages.pop(message.topic, None)
        elif message.topic in self._messages or len(self._messages) < self._limit:
            self._messages[message.topic] = message
        else:
            _log.warning("retained_message_not_kept", topic=message.topic, limit=self._limit)

    def matching(self, levels: tuple[str, ...]) -> Iterator[Message]:
        """The kept messages whose topics match the levels of a filter."""
        if "+" in levels or levels[-1] == "#":
            yield from [message for topic, message in self._messages.items() if matches(levels, topic)]
        elif (message := self._messages.get("/".join(levels))) is not None:
            yield message
