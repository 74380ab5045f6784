"""Who listens to what: subscribed when the first listens, renewed with each connection, ended with the last."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final

from mchat_client.errors import ClientError, LinkLost, SubscriptionRefused, Unreachable
from mchat_client.link import Link
from mchat_client.repeats import Repeats
from mchat_client.streams import Stream

log = logging.getLogger(__name__)

UNCLAIMED: Final = 1_000
LEAVE_S: Final = 2.0
_REFUSED: Final = 0x80

AnyStream = Stream[Any]


class Subscriptions:
    """The streams of one client.

    Args:
        link: waits for a connection that stands.
        repeats: remembers what came before.
        patience_s: seconds that a subscription waits for a connection.
    """

    def __init__(self, link: Callable[[], Awaitable[Link]], repeats: Repeats, patience_s: float) -> None:
        self._link = link
        self._repeats = repeats
        self._patience_s = patience_s
        self._streams: dict[str, list[AnyStream]] = {}
        self._standing: Link | None = None
        # A kept session hands over what waited before anybody could listen to it.
        self._unclaimed: deque[tuple[str, bytes]] = deque(maxlen=UNCLAIMED)

    async def enter(self, stream: AnyStream) -> None:
        """Subscribe a stream.

        Raises:
            SubscriptionRefused: the broker does not let this client hear it.
            Unreachable: there is no connection within the time.
            Closed: the client is closed.
        """
        for each in stream.filters:
            self._streams.setdefault(each, []).append(stream)
        try:
            async with asyncio.timeout(self._patience_s):
                await self._subscribed(stream)
        except TimeoutError:
            await self.leave(stream)
            raise Unreachable(
                f"there was no connection within {self._patience_s:g} s to subscribe {', '.join(stream.filters)}"
            ) from None
        except BaseException:
            await self.leave(stream)
            raise
        self._claim(stream)

    async def leave(self, stream: AnyStream) -> None:
        """Forget a stream, and unsubscribe what nobody listens to any more."""
        unheard = []
        for each in stream.filters:
            listening = self._streams.get(each, [])
            if stream in listening:
                listening.remove(stream)
                if not listening:
                    del self._streams[each]
                    unheard.append(each)
        if unheard and self._standing is not None:
            try:
                async with asyncio.timeout(LEAVE_S):
                    await self._standing.unsubscribe(unheard)
            except (LinkLost, TimeoutError) as error:
                # A new connection does not ask for it again; what still comes on this one waits for who listens next.
                log.debug("the broker did not acknowledge the end of %s: %r", unheard, error)

    async def renew(self, link: Link) -> None:
        """Subscribe everything on a new connection; streams that the broker refuses now end and say so.

        Raises:
            LinkLost: the connection ended meanwhile.
        """
        self._standing = link
        filters = list(self._streams)
        if not link.session_present:
            for stream in self._all():
                stream.cut()
        if not filters:
            return
        codes = await link.subscribe(filters)
        for each, code in zip(filters, codes, strict=True):
            if code >= _REFUSED:
                for stream in self._streams.pop(each, []):
                    stream.end(_refused(each))

    def heard(self, topic: str, payload: bytes) -> None:
        """Hand a message to whoever listens to its topic."""
        streams = self._listening(topic)
        if not streams:
            self._unclaimed.append((topic, payload))
        # Several may listen to one topic: each gets it, or none if it is a repeat.
        known: dict[object, bool] = {}

        def is_new(key: Any) -> bool:
            if key not in known:
                known[key] = self._repeats.is_new(key)
            return known[key]

        for stream in streams:
            stream.put(topic, payload, is_new)

    def end(self, why: ClientError | None) -> None:
        """End all streams."""
        for stream in self._all():
            stream.end(why)
        self._streams.clear()

    async def _subscribed(self, stream: AnyStream) -> None:
        while True:
            link = await self._link()
            try:
                codes = await link.subscribe(stream.filters)
            except LinkLost:
                continue
            for each, code in zip(stream.filters, codes, strict=True):
                if code >= _REFUSED:
                    raise _refused(each)
            return

    def _claim(self, stream: AnyStream) -> None:
        kept: list[tuple[str, bytes]] = []
        for topic, payload in self._unclaimed:
            if any(_covers(each, topic) for each in stream.filters):
                stream.put(topic, payload, self._repeats.is_new)
            else:
                kept.append((topic, payload))
        self._unclaimed = deque(kept, maxlen=UNCLAIMED)

    def _listening(self, topic: str) -> list[AnyStream]:
        exact = self._streams.get(topic, [])
        last = self._streams.get(f"{topic.rpartition('/')[0]}/+", [])
        return [*exact, *last]

    def _all(self) -> set[AnyStream]:
        return {stream for streams in self._streams.values() for stream in streams}


def _covers(topic_filter: str, topic: str) -> bool:
    """Whether a filter of ours, exact or ending in `+`, matches a topic."""
    return topic == topic_filter or f"{topic.rpartition('/')[0]}/+" == topic_filter


def _refused(topic_filter: str) -> SubscriptionRefused:
    return SubscriptionRefused(f"the broker refused the subscription to {topic_filter}")
