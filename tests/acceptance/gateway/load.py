"""Senders that ask without end, and again under the same number where no answer comes, while gateways are killed."""

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import func, select

from directory import schema
from directory.database import Database
from tests.acceptance.gateway.field import ANSWER_S
from tests.acceptance.gateway.process import Gateway
from tests.emqx.mqtt import MqttClient
from tests.emqx.waiting import until

AHEAD = 4
"""Requests of one sender that wait for an answer at the same time."""

AGAIN_S = 3.0
"""After so long without an answer a sender asks again, under the same number."""

OVERLOADED = 503


@dataclass(slots=True)
class Sender:
    """One client: every third request is a message to the next sender, the others make a department each.

    Attributes:
        name: Its client id, and the person.
        to: Whom it writes to.
        asked: How often each request was published.
        answers: The bytes of the answers to each.
        touched: Requests that waited when a gateway was killed: the broker may hand them on, behind later ones.
    """

    name: str
    to: str
    mqtt: MqttClient
    asked: Counter[int] = field(default_factory=Counter)
    answers: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    touched: set[int] = field(default_factory=set)
    since: dict[int, float] = field(default_factory=dict)
    _read: int = 0

    def waiting(self) -> list[int]:
        """Requests without an answer."""
        return [number for number in self.asked if not self.done(number)]

    def done(self, number: int) -> bool:
        return any(one["code"] != OVERLOADED for one in self.answers.get(number, ()))

    def ask(self, number: int) -> None:
        if number % 3:
            asked = {"action": "department.create", "name": f"{self.name} {number}"}
        else:
            asked = {"action": "msg.send_private", "to_employee_id": self.to, "content": str(number)}
        self.asked[number] += 1
        self.since[number] = time.monotonic()
        self.mqtt.paho.publish(f"mchat/msg/req/{self.name}/s{number}", json.dumps(asked).encode(), 1)

    def read(self) -> None:
        """Note the answers that came since."""
        received = self.mqtt.received
        for at in range(self._read, len(received)):
            if "/msg/resp/" in received[at].topic:
                number = int(received[at].topic.rpartition("/s")[2])
                self.answers.setdefault(number, []).append(json.loads(received[at].payload))
        self._read = len(received)

    def turn(self, *, more: bool) -> None:
        """Ask what is due."""
        self.read()
        now = time.monotonic()
        waiting = self.waiting()
        for number in waiting:
            if now - self.since[number] > AGAIN_S:
                self.ask(number)
        if more:
            for _ in range(AHEAD - len(waiting)):
                self.ask(len(self.asked))


@dataclass(slots=True)
class Load:
    """What senders ask of several gateways.

    Attributes:
        senders: Who asks.
        kills: Gateways that were killed.
    """

    senders: Sequence[Sender]
    gateways: Sequence[Gateway]
    kills: int = 0
    _stopping: bool = False

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Have them ask; at the end of the block wait for every answer."""
        task = asyncio.create_task(self._ask())
        try:
            yield
            self._stopping = True
            await until(lambda: not any(sender.waiting() for sender in self.senders), ANSWER_S)
        finally:
            self._stopping = True
            await task

    async def more(self, number: int) -> None:
        """Wait for so many more requests that are answered."""
        wanted = self.answered + number
        await until(lambda: self.answered >= wanted, ANSWER_S)

    @property
    def answered(self) -> int:
        return sum(len(sender.answers) for sender in self.senders)

    async def kill(self, gateway: Gateway) -> None:
        """SIGKILL it with requests in hand, and start it again."""
        for sender in self.senders:
            sender.touched.update(sender.waiting())
        await gateway.kill()
        for sender in self.senders:
            sender.touched.update(sender.waiting())
        self.kills += 1
        await gateway.start()

    async def kill_by_turns(self, seconds: float, every: float, chance: random.Random) -> None:
        """Kill one after the other, for so long, with a pause between a start and the next kill."""
        ends = time.monotonic() + seconds
        number = 0
        while time.monotonic() < ends:
            at = time.monotonic() + every * chance.uniform(0.5, 1.5)
            await until(lambda at=at: time.monotonic() > at, every * 3)  # type: ignore[misc]
            await self.more(20)
            await self.kill(self.gateways[number % len(self.gateways)])
            number += 1

    async def _ask(self) -> None:
        while not self._stopping or any(sender.waiting() for sender in self.senders):
            for sender in self.senders:
                sender.turn(more=not self._stopping)
            await asyncio.sleep(0.005)

    async def faults(self, database: Database) -> list[str]:
        """What should not be, in words."""
        found = []
        async with database.read() as connection:
            rows = await connection.execute(
                select(schema.department.c.name, func.count()).group_by(schema.department.c.name)
            )
            made = {str(name): int(count) for name, count in rows}
        for sender in self.senders:
            found += self._answers_of(sender, made)
        processes = [process for gateway in self.gateways for process in gateway.told]
        first: dict[tuple[str, str], str] = {}
        for line in sorted((line for process in processes for line in process), key=_at):
            first.setdefault(_name(line), _at(line))
        for process in processes:
            # What was answered, but not acknowledged when its gateway was killed, comes to another once more.
            found += self.order_of([line for line in process if first[_name(line)] == _at(line)])
        return found

    def _answers_of(self, sender: Sender, made: dict[str, int]) -> list[str]:
        found = []
        received = [json.loads(one.payload) for one in sender.mqtt.received if "/inbox/" in one.topic]
        writer = next(one for one in self.senders if one.to == sender.name)
        heard: dict[str, set[str]] = {}
        for one in received:
            heard.setdefault(one["content"], set()).add(one["msg_id"])
        for number in writer.asked:
            if number % 3 == 0 and len(heard.get(str(number), ())) != 1:
                found.append(f"{writer.name}/s{number} was heard as {heard.get(str(number))}")
        for number, answers in sender.answers.items():
            name = f"{sender.name}/s{number}"
            real = [one for one in answers if one["code"] != OVERLOADED]
            if {one["code"] for one in real} != {0}:
                found.append(f"{name} was answered {answers}")
            elif number % 3 == 0:
                if len({one["data"]["msg_id"] for one in real}) != 1:
                    found.append(f"{name} was named differently: {real}")
            elif any(one != real[0] for one in real):
                found.append(f"{name} had different answers: {real}")
            elif (effects := made.get(f"{sender.name} {number}", 0)) != 1:
                found.append(f"{name} had {effects} effects")
        return found

    def order_of(self, process: list[dict[str, Any]]) -> list[str]:
        """The requests that one process answered, as far as no kill touched them, are in their sender's order."""
        found = []
        for sender in self.senders:
            numbers = [int(line["seq_id"][1:]) for line in process if line["client_id"] == sender.name]
            usual = [
                number for number in numbers if number not in sender.touched and sender.asked[number] == 1
            ]
            if usual != sorted(set(usual)):
                found.append(f"{sender.name}: {usual} is not the order of asking")
        return found


def _name(line: dict[str, Any]) -> tuple[str, str]:
    return line["client_id"], line["seq_id"]


def _at(line: dict[str, Any]) -> str:
    at: str = line["timestamp"]
    return at
