"""Messages that were published on ``$delayed/<seconds>/…`` and wait."""

import asyncio
from collections.abc import Callable

import structlog

from emqx.laptop.messages import Message

_log = structlog.get_logger(__name__)


class DelayedMessages:
    """Publishes messages later.

    Args:
        limit: messages that wait, at most; one over it is not kept, and logged.
        publish: what becomes of one when its time has come.
    """

    def __init__(self, limit: int, publish: Callable[[Message], object]) -> None:
        self._limit = limit
        self._publish = publish
        self._waiting: set[asyncio.TimerHandle] = set()

    def keep(self, message: Message, seconds: float) -> None:
        """Let a message wait."""
        if len(self._waiting) >= self._limit:
            _log.warning("delayed_message_not_kept", topic=message.topic, limit=self._limit)
            return

        def publish() -> None:
            self._waiting.discard(timer)
            self._publish(message)

        timer = asyncio.get_running_loop().call_later(seconds, publish)
        self._waiting.add(timer)

    def close(self) -> None:
        """Forget them all."""
        for timer in self._waiting:
            timer.cancel()
