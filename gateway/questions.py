"""What the broker is asked over one connection and answers: SUBSCRIBE, UNSUBSCRIBE, and whether it has taken in all."""

from __future__ import annotations

import asyncio
from typing import Final

import paho.mqtt.client as paho
from paho.mqtt.subscribeoptions import SubscribeOptions

from gateway.exchange import NotConnected
from gateway.packets import FAILURE

_NO_RETAINED: Final = 2
_NOWHERE: Final = "mchat/nowhere"


class Questions:
    """Those of one connection, which may wait for their answers side by side.

    Args:
        client: sends them.
        five: whether it speaks MQTT 5.
        patience: seconds to wait for each answer.
    """

    def __init__(self, client: paho.Client, *, five: bool, patience: float) -> None:
        self._client = client
        self._five = five
        self._patience = patience
        # By packet id.
        self._answers: dict[int, asyncio.Future[list[int]]] = {}

    async def subscribe(self, topic_filter: str) -> int:
        """Subscribe, QoS 1, and return the broker's reason code; from 0x80 on it is a no.

        Raises:
            NotConnected: no answer in time, or the connection was lost.
        """
        if self._five:
            # What was retained is old: nobody waits for it any more.
            options = SubscribeOptions(qos=1, retainHandling=_NO_RETAINED)
            _, packet_id = self._client.subscribe(topic_filter, options=options)
        else:
            _, packet_id = self._client.subscribe(topic_filter, 1)
        codes = await self._answer(packet_id, f"SUBSCRIBE {topic_filter}")
        return codes[0] if codes else FAILURE

    async def unsubscribe(self, topic_filter: str) -> None:
        """Unsubscribe.

        Raises:
            NotConnected: no answer in time, or the connection was lost.
        """
        _, packet_id = self._client.unsubscribe(topic_filter)
        await self._answer(packet_id, f"UNSUBSCRIBE {topic_filter}")

    async def round_trip(self) -> None:
        """Wait until the broker has taken in all that was sent; what it sent before its answer has arrived then.

        Raises:
            NotConnected: no answer in time, or the connection was lost.
        """
        # MQTT has no other question that paho tells the answer of, and that means nothing.
        await self.unsubscribe(_NOWHERE)

    def answered(self, packet_id: int, codes: list[int]) -> None:
        """The broker answered with these reason codes."""
        answer = self._answers.get(packet_id)
        if answer is not None and not answer.done():
            answer.set_result(codes)

    def over(self, why: str) -> None:
        """The connection is over: no more answers come."""
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(NotConnected(why))

    async def _answer(self, packet_id: int | None, what: str) -> list[int]:
        if packet_id is None:
            raise NotConnected(f"{what}: there is no connection")
        answer: asyncio.Future[list[int]] = asyncio.get_running_loop().create_future()
        self._answers[packet_id] = answer
        try:
            async with asyncio.timeout(self._patience):
                return await answer
        except TimeoutError as error:
            raise NotConnected(f"{what}: the broker did not answer within {self._patience:g} s") from error
        finally:
            self._answers.pop(packet_id, None)
