"""Replies on their way to the broker: deliveries, then the response; then the request is settled.

What the broker's own limit kept out is tried again; what it refuses is given up, and the response says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final, Literal

import structlog
from msgspec import Struct

from gateway.acknowledgements import Acknowledgements, Due
from gateway.exchange import (
    Arrival,
    Delivery,
    Exhausted,
    PublishError,
    PublishRefused,
    Reply,
)
from gateway.figures import Figures
from gateway.outgoing import Done, Outgoing

log = structlog.get_logger(__name__)

_TOO_LARGE: Final = 413

_PAUSES_S: Final = (0.1, 0.4, 1.5)
"""Before each further try of what the broker's own limit kept out (0x97)."""

_MOST_RESTING: Final = 1_000


class Asked(Struct, eq=False):
    """A request whose reply is to be published.

    Attributes:
        arrival: As it came.
        correlation: MQTT 5's Correlation Data.
        acknowledgements: Of the connection that it came by.
        due: Its own among them.
        parts: Messages of its reply that are not settled yet.
        kept_back: Whether a delivery was given up before the response went out.
    """

    arrival: Arrival
    correlation: bytes | None
    acknowledgements: Acknowledgements
    due: Due
    parts: int = 0
    kept_back: bool = False


class Replies:
    """Publishes replies.

    Args:
        outgoing: puts messages on the wire.
        figures: counts what is given up.
        refusal: makes the answer of a request whose reply the broker does not take; must not raise.
        settled: told each time that a request is acknowledged, as far as it is concerned.
    """

    def __init__(
        self,
        outgoing: Outgoing,
        figures: Figures,
        refusal: Callable[[Arrival, Literal[413]], Reply],
        settled: Callable[[], None],
    ) -> None:
        self._outgoing = outgoing
        self._figures = figures
        self._refusal = refusal
        self._settled = settled
        self._resting: set[asyncio.Task[None]] = set()

    def put(self, asked: Asked, reply: Reply) -> None:
        """Publish what a request causes; it is acknowledged once all of it is with the broker."""
        asked.parts = 1 + len(reply.deliveries)
        for delivery in reply.deliveries:
            self._put(delivery, partial(self._done, asked, delivery, None))
        if reply.response_topic is None or reply.response is None:
            self._part_done(asked)
            return
        # A delivery that cannot go out must not be answered as if it did.
        instead = self._refusal(asked.arrival, _TOO_LARGE).response if asked.kept_back else None
        response = Delivery(reply.response_topic, instead or reply.response)
        self._put(response, partial(self._responded, asked, response), asked.correlation)

    async def stop(self) -> None:
        """Try nothing again."""
        tasks = list(self._resting)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _put(self, delivery: Delivery, done: Done, correlation: bytes | None = None) -> None:
        self._outgoing.put(
            delivery.topic, delivery.payload, done, retain=delivery.retain, correlation=correlation
        )

    def _responded(self, asked: Asked, response: Delivery, error: PublishError | None) -> None:
        if isinstance(error, PublishRefused):
            smaller = self._refusal(asked.arrival, _TOO_LARGE)
            if smaller.response_topic is not None and smaller.response is not None:
                self._refused(response.topic, error)
                response = Delivery(smaller.response_topic, smaller.response)
                done = partial(self._done, asked, response, asked.correlation)
                self._put(response, done, asked.correlation)
                return
        self._done(asked, response, asked.correlation, error)

    def _done(
        self, asked: Asked, delivery: Delivery, correlation: bytes | None, error: PublishError | None
    ) -> None:
        if isinstance(error, Exhausted):
            if len(self._resting) < _MOST_RESTING:
                task = asyncio.get_running_loop().create_task(self._again(asked, delivery, correlation))
                self._resting.add(task)
                task.add_done_callback(self._resting.discard)
                return
            self._refused(delivery.topic, error)
        if isinstance(error, PublishRefused):
            asked.kept_back = True
            self._refused(delivery.topic, error)
        self._part_done(asked)

    async def _again(self, asked: Asked, delivery: Delivery, correlation: bytes | None) -> None:
        """Publish what the broker's limit kept out, after pauses, while the request is not acknowledged."""
        for pause_s in _PAUSES_S:
            await asyncio.sleep(pause_s)
            if asked.acknowledgements.over:
                return  # It comes again.
            try:
                await self._outgoing.publish(
                    delivery.topic, delivery.payload, retain=delivery.retain, correlation=correlation
                )
                break
            except Exhausted as error:
                kept_out = error
            except PublishRefused as error:
                self._refused(delivery.topic, error)
                break
            except PublishError:
                break
        else:
            self._refused(delivery.topic, kept_out)
        self._part_done(asked)

    def _refused(self, topic: str, error: PublishError) -> None:
        self._figures.refused += 1
        log.error(
            "the broker does not take a message: it is given up", topic=topic[:200], error=str(error)[:400]
        )

    def _part_done(self, asked: Asked) -> None:
        asked.parts -= 1
        if not asked.parts:
            asked.acknowledgements.settle(asked.due)
            self._settled()
