"""What the gateway publishes: in order, no more at once than the broker takes, and nothing for ever.

A broker that does not like a packet may close the connection over it, and then get it again with the request that
caused it. So what was on its way when a connection was lost is suspected: it goes alone from then on, and what was
alone when two more connections were lost is not sent any more.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from msgspec import Struct

from gateway.exchange import Exhausted, NotConnected, PublishError, PublishRefused, TooLarge
from gateway.packets import FAILURE, Greeting

Done = Callable[[PublishError | None], None]
"""Told once how a publication ended: None: the broker has it."""

MOST_WAITING: Final = 10_000
"""Publications that wait for their turn at most."""

MOST_BYTES: Final = 128 * 1024 * 1024
"""Bytes of all that the broker does not have yet: who asks for large answers faster than they go out finds no room."""

STRIKES: Final = 3
"""Connections lost over a publication, the last two while it was alone, after which it is given up."""

_WINDOW: Final = 8_192
_MOST_SUSPECTS: Final = 2_000
_QUOTA_EXCEEDED: Final = 0x97
_MOST_HEADERS: Final = 20
_LONGEST_TOPIC: Final = 65_535


class Sender(Protocol):
    """The connection, as far as it is needed here."""

    def send(
        self, topic: str, payload: bytes, qos: int, *, retain: bool, correlation: bytes | None
    ) -> int | None:
        """Send a message; returns its packet id, or None if it cannot be sent now."""

    def flush(self) -> None:
        """Write at once what else would be written together with what this turn of the event loop has to say."""


class _Publication(Struct, eq=False):
    topic: str
    payload: bytes
    qos: int
    retain: bool
    correlation: bytes | None
    done: Done

    @property
    def key(self) -> tuple[str, int]:
        return self.topic, hash(self.payload)


class Outgoing:
    """Publishes through the connection that there is.

    Args:
        packet_size: bytes of a packet that the broker takes, if it does not say less itself.
    """

    def __init__(self, packet_size: int) -> None:
        self._limit = self._packet_size = packet_size
        self._window = _WINDOW
        self._sender: Sender | None = None
        self._waiting: deque[_Publication] = deque()
        self._sent: dict[int, _Publication] = {}
        self._suspects: dict[tuple[str, int], int] = {}
        self._alone = False
        self._bytes = 0
        self._full = False

    @property
    def open(self) -> int:
        """Publications that the broker does not have yet."""
        return len(self._waiting) + len(self._sent)

    def attach(self, sender: Sender, greeting: Greeting) -> None:
        """Publish through this connection from now on."""
        self._sender = sender
        self._window = min(greeting.receive_maximum or _WINDOW, _WINDOW)
        self._limit = min(greeting.packet_size or self._packet_size, self._packet_size)

    def detach(self, *, suspicious: bool) -> None:
        """The connection is over: whatever was not acknowledged fails.

        Args:
            suspicious: nobody here ended it, so that something that was on its way may have.
        """
        self._sender = None
        failed = [*self._sent.values(), *self._waiting]
        if suspicious:
            for publication in self._sent.values():
                self._suspect(publication.key)
        self._sent.clear()
        self._waiting.clear()
        self._alone = self._full = False
        self._bytes = 0
        for publication in failed:
            publication.done(
                NotConnected(f"{publication.topic}: the connection was lost before it was published")
            )

    def put(
        self,
        topic: str,
        payload: bytes,
        done: Done,
        *,
        qos: int = 1,
        retain: bool = False,
        correlation: bytes | None = None,
    ) -> None:
        """Publish after what was put before.

        Args:
            topic: a topic name.
            payload: its bytes.
            done: told how it ended, perhaps before this returns; must not raise.
            qos: 0 or 1.
            retain: whether the broker keeps it.
            correlation: MQTT 5's Correlation Data.
        """
        publication = _Publication(topic, payload, qos, retain, correlation, done)
        fault = self._fault(publication)
        if fault is not None:
            done(fault)
            return
        self._bytes += len(publication.payload)
        self._waiting.append(publication)
        self._pump()

    async def publish(
        self,
        topic: str,
        payload: bytes,
        qos: int = 1,
        retain: bool = False,
        *,
        correlation: bytes | None = None,
    ) -> None:
        """See `gateway.exchange.Publisher`."""
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def done(error: PublishError | None) -> None:
            if ended.done():
                return  # Nobody waits any more.
            if error is None:
                ended.set_result(None)
            else:
                ended.set_exception(error)

        self.put(topic, payload, done, qos=qos, retain=retain, correlation=correlation)
        await ended

    def flush(self) -> None:
        """Write what was put: nothing more comes that it could go out with."""
        if self._sender is not None:
            self._sender.flush()

    def published(self, packet_id: int, code: int) -> None:
        """The broker acknowledged a publication with this reason code."""
        publication = self._sent.pop(packet_id, None)
        if publication is None:
            return
        self._alone = False
        self._bytes -= len(publication.payload)
        if self._bytes < MOST_BYTES // 2:
            self._full = False
        if self._suspects:
            self._suspects.pop(publication.key, None)
        error: PublishError | None = None
        if code == _QUOTA_EXCEEDED:
            error = Exhausted(f"{publication.topic}: the broker has a limit that is reached (0x97)")
        elif code >= FAILURE:
            error = PublishRefused(f"{publication.topic}: the broker refuses it with 0x{code:02x}")
        publication.done(error)
        self._pump()

    def _fault(self, publication: _Publication) -> PublishError | None:
        topic = publication.topic
        if (why := topic_fault(topic)) is not None:
            return PublishRefused(f"{topic[:200]!r} is no topic to publish to: {why}")
        size = (
            len(topic.encode())
            + len(publication.payload)
            + len(publication.correlation or b"")
            + _MOST_HEADERS
        )
        if size > self._limit:
            return TooLarge(f"{topic}: {size} bytes, and the broker takes {self._limit}")
        if self._suspects.get(publication.key, 0) >= STRIKES:
            return PublishRefused(f"{topic}: the broker closed {STRIKES} connections over it")
        if self._sender is None:
            return NotConnected(f"{topic}: there is no connection to the broker")
        if len(self._waiting) >= MOST_WAITING:
            return NotConnected(f"{topic}: {MOST_WAITING} publications wait already")
        # For a while nothing fits: a small answer must not say that a large delivery went out.
        if self._full or (self._bytes and self._bytes + len(publication.payload) > MOST_BYTES):
            self._full = True
            return NotConnected(f"{topic}: {self._bytes} bytes wait already")
        return None

    def _pump(self) -> None:
        while (
            self._waiting and self._sender is not None and len(self._sent) < self._window and not self._alone
        ):
            publication = self._waiting[0]
            suspected = bool(self._suspects) and publication.key in self._suspects
            if suspected and self._sent:
                return
            packet_id = self._sender.send(
                publication.topic,
                publication.payload,
                publication.qos,
                retain=publication.retain,
                correlation=publication.correlation,
            )
            if packet_id is None:
                return  # It goes with the next acknowledgement, or fails with the connection.
            self._waiting.popleft()
            self._sent[packet_id] = publication
            self._alone = suspected

    def _suspect(self, key: tuple[str, int]) -> None:
        strikes = self._suspects.pop(key, 0)
        while len(self._suspects) >= _MOST_SUSPECTS:
            del self._suspects[next(iter(self._suspects))]
        self._suspects[key] = strikes + 1


def topic_fault(topic: str) -> str | None:
    """Tell why a topic is none that the gateway may publish to; None: it is one."""
    if not topic or "+" in topic or "#" in topic or "\0" in topic or topic[0] == "$":
        return "it is empty, begins with $, or has a wildcard or a NUL in it"
    try:
        length = len(topic.encode())
    except UnicodeEncodeError:
        return "it is no UTF-8"
    return f"it has {length} bytes" if length > _LONGEST_TOPIC else None
