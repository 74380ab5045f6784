"""What arrives without having been asked for, one message after another, for as long as somebody listens."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Final, Generic, Self, TypeVar, cast

from mchat_client.errors import ClientError, WrongValue
from mchat_client.messages import Message, Missed, identity

Item = TypeVar("Item")

SIZE: Final = 1_000
"""Messages that wait for a slow reader, if it is not said otherwise."""


class Stream(Generic[Item]):
    """An asynchronous iterator over messages: ``async with client.inbox() as inbox: async for message in inbox: …``.

    Entering subscribes, leaving unsubscribes. One reader at a time. It ends when the client is closed; if the
    broker takes the subscription away when it is renewed, or the client gives up, it raises why, after what had
    arrived before. A reader that is too slow loses the oldest messages, and finds a `Missed` in their place.

    Args:
        filters: the topics that it hears.
        reader: makes a message of a topic and a payload.
        size: messages that wait at most.
        state: whether each topic holds a state, of which only the newest counts, in place of messages: what is
            equal to the one before is left out, and a cut connection loses nothing of it.
        enter: subscribes it.
        leave: unsubscribes it.

    Attributes:
        lost: messages that were dropped because the reader was too slow, in all.

    Raises:
        WrongValue: the size is not positive.
    """

    def __init__(
        self,
        filters: Sequence[str],
        reader: Callable[[str, bytes], Message],
        size: int,
        *,
        state: bool,
        enter: Callable[[Stream[Item]], Awaitable[None]],
        leave: Callable[[Stream[Item]], Awaitable[None]],
    ) -> None:
        if size < 1:
            raise WrongValue(f"a stream of {size} messages: 1 at least")
        self.filters = tuple(filters)
        self.state = state
        self.lost = 0
        self._reader = reader
        self._size = size
        self._enter = enter
        self._leave = leave
        self._waiting: deque[Message | Missed] = deque()
        self._dropped = 0
        self._newest: dict[str, bytes] = {}
        self._ended = False
        self._why: ClientError | None = None
        self._news = asyncio.Event()

    async def __aenter__(self) -> Self:
        """Subscribe.

        Raises:
            SubscriptionRefused: the broker does not let this client hear it.
            Unreachable: there is no connection within the time.
            Closed: the client is closed.
        """
        await self._enter(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._leave(self)
        self.end(None)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Item:
        while True:
            if self._dropped:
                missed, self._dropped = Missed(count=self._dropped, why="overflow"), 0
                return cast(Item, missed)
            if self._waiting:
                return cast(Item, self._waiting.popleft())
            if self._ended:
                if self._why is not None:
                    raise self._why
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()

    def put(self, topic: str, payload: bytes, is_new: Callable[[object], bool]) -> None:
        """Take a message, unless it came before.

        Args:
            topic: on which it came.
            payload: as it came.
            is_new: tells whether an identity did not come before.
        """
        if self.state:
            if self._newest.get(topic) == payload:
                return
            self._newest[topic] = payload
        message = self._reader(topic, payload)
        same = identity(message)
        if same is None or is_new(same):
            self._add(message)

    def cut(self) -> None:
        """Note that messages may have been lost with a connection."""
        if not self.state and not (self._waiting and isinstance(self._waiting[-1], Missed)):
            self._add(Missed(count=None, why="reconnect"))

    def end(self, why: ClientError | None) -> None:
        """Nothing more comes."""
        if not self._ended:
            self._ended, self._why = True, why
            self._news.set()

    def _add(self, item: Message | Missed) -> None:
        if self._ended:
            return
        if len(self._waiting) == self._size:
            self._waiting.popleft()
            self._dropped += 1
            self.lost += 1
        self._waiting.append(item)
        self._news.set()
