"""The gateway's client, which speaks to the team: as fast as the broker takes it, or steadily."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.acceptance.enforcement.company import GATE, TOPIC, token_of
from tests.acceptance.enforcement.ear import Ear
from tests.emqx import raw
from tests.emqx.waiting import until

WINDOW = 50
"""Messages on their way when it speaks as fast as it can."""

MOST_WAITING = 2_000
STEP_S = 0.02

_MESSAGE = raw.publish(TOPIC, b"x" * 100, 1, 1)


@dataclass(slots=True, eq=False)
class Voice(Ear):
    """A client that publishes with QoS 1.

    Attributes:
        said: messages sent.
        taken: of them, those that the broker has acknowledged.
        skipped: messages that were not sent because the broker did not keep up.
    """

    said: int = 0
    taken: int = 0
    skipped: int = 0
    _more: asyncio.Event = field(default_factory=asyncio.Event)

    async def fastest(self, listeners: list[Ear], seconds: float) -> float:
        """How many messages a second reach all of the listeners, at most: the broker's own rate."""
        said, heard = self.said, sum(ear.heard for ear in listeners)
        began = time.perf_counter()
        while time.perf_counter() < began + seconds:
            self._send(WINDOW - (self.said - self.taken))
            self._more.clear()
            await self._more.wait()
        expected = heard + (self.said - said) * len(listeners)
        await until(lambda: sum(ear.heard for ear in listeners) >= expected, 30)
        return (self.said - said) / (time.perf_counter() - began)

    @asynccontextmanager
    async def speaking(self, rate: float) -> AsyncIterator[None]:
        """Speak at a steady rate, or as fast as the broker follows."""
        speaker = asyncio.create_task(self._speak(rate))
        try:
            yield
            assert not speaker.done(), speaker
        finally:
            speaker.cancel()
            await asyncio.gather(speaker, return_exceptions=True)

    async def _speak(self, rate: float) -> None:
        began, said = time.perf_counter(), 0
        while True:
            due = int((time.perf_counter() - began) * rate) - said
            if self.said - self.taken > MOST_WAITING:
                self.skipped += due
            else:
                self._send(due)
            said += due
            await asyncio.sleep(STEP_S)

    def _send(self, count: int) -> None:
        assert self._transport is not None, "the gateway was cut"
        if count > 0:
            self._transport.write(_MESSAGE * count)
            self.said += count

    def _answer(self, packet: bytes) -> None:
        if packet[:1] == b"\x40":
            self.taken += 1
            self._more.set()
            return
        # Without arguments `super` does not know a class that slots have made anew.
        Ear._answer(self, packet)


async def voice(mqtt_port: int) -> Voice:
    """The gateway, connected."""
    speaker = Voice(f"{GATE}_1", GATE, token_of(GATE), TOPIC.encode())
    assert await speaker.connect(mqtt_port), "the gateway was not let in"
    return speaker
