"""Questions to the broker: each gets its own answer, or hears that there is none."""

import asyncio
from typing import Any, cast

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from gateway.exchange import NotConnected
from gateway.questions import Questions


class Client:
    """Sends nothing, and says under which packet id."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def subscribe(self, topic_filter: str, *_: Any, **options: Any) -> tuple[int, int]:
        return 0, self._send(topic_filter)

    def unsubscribe(self, topic_filter: str) -> tuple[int, int]:
        return 0, self._send(topic_filter)

    def _send(self, topic_filter: str) -> int:
        self.asked.append(topic_filter)
        return len(self.asked)


def of(client: Any, patience: float = 10.0) -> Questions:
    return Questions(cast(paho.Client, client), five=True, patience=patience)


async def begun(work: Any) -> asyncio.Task[Any]:
    task = asyncio.create_task(work)
    await asyncio.sleep(0)
    return task


async def test_each_gets_its_own_answer() -> None:
    questions = of(Client())
    a, b, c = [await begun(questions.subscribe(name)) for name in "abc"]
    left = await begun(questions.unsubscribe("d"))
    questions.answered(2, [0x87])
    questions.answered(1, [1])
    questions.answered(3, [])
    questions.answered(4, [0x11])
    questions.answered(9, [0])
    assert [await a, await b, await c] == [1, 0x87, 0x80]
    await left


async def test_at_the_end_of_the_connection_all_hear_of_it() -> None:
    questions = of(Client())
    waiting = [await begun(questions.subscribe("a")), await begun(questions.round_trip())]
    questions.over("it was cut")
    for task in waiting:
        with pytest.raises(NotConnected, match="it was cut"):
            await task


async def test_no_answer_in_time_names_the_question() -> None:
    with pytest.raises(NotConnected, match=r"SUBSCRIBE a/\+: the broker did not answer within 0.01 s"):
        await of(Client(), 0.01).subscribe("a/+")


async def test_without_a_connection_nothing_is_asked() -> None:
    with pytest.raises(NotConnected, match="UNSUBSCRIBE a: there is no connection"):
        await of(paho.Client(CallbackAPIVersion.VERSION2)).unsubscribe("a")
