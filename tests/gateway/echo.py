"""A handler that answers with what it was asked, and does what a test wants beside it."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Literal

from gateway.exchange import Arrival, Delivery, Later, Reply
from tests.emqx.waiting import until


def response_topic(arrival: Arrival) -> str:
    return arrival.topic.replace("/req/", "/resp/")


class Echo:
    """Remembers what it was asked; the requests of a client that is held wait."""

    def __init__(self) -> None:
        self.asked: list[Arrival] = []
        self.begun: list[str] = []
        self.done: list[str] = []
        self.refused: list[tuple[str, int]] = []
        self.held: dict[str, asyncio.Event] = {}
        self.deliveries: Callable[[Arrival], tuple[Delivery, ...]] = lambda arrival: ()
        self.response: Callable[[Arrival], bytes | None] = lambda arrival: arrival.payload
        self.after: Callable[[Arrival], Callable[[], Awaitable[bytes | None]] | None] = lambda arrival: None

    def hold(self, client: str) -> None:
        self.held[client] = asyncio.Event()

    def release(self, client: str) -> None:
        self.held.pop(client).set()

    def handle(self, arrival: Arrival) -> Reply | Later:
        return partial(self.answered, arrival)

    async def answered(self, arrival: Arrival) -> Reply:
        seq = arrival.topic.rpartition("/")[2]
        self.asked.append(arrival)
        self.begun.append(seq)
        gate = self.held.get(arrival.topic.split("/")[-2])
        if gate is not None:
            await gate.wait()
        else:
            await asyncio.sleep(0)
        self.done.append(seq)
        return Reply(
            response_topic(arrival),
            self.response(arrival),
            self.deliveries(arrival),
            self.after(arrival),
        )

    def refuse(self, arrival: Arrival, code: Literal[413, 503]) -> Reply:
        self.refused.append((arrival.topic.rpartition("/")[2], code))
        return Reply(response_topic(arrival), str(code).encode())

    def by_client(self) -> dict[str, list[str]]:
        """Sequence ids in the order in which they took effect."""
        found: dict[str, list[str]] = defaultdict(list)
        for arrival in self.asked:
            *_, client, seq = arrival.topic.split("/")
            found[client].append(seq)
        return found

    async def was_asked(self, count: int) -> None:
        await until(lambda: len(self.asked) >= count)
