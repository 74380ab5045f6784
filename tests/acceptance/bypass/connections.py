"""Attempts on the laptop broker, in raw packets."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from tests.acceptance.bypass.company import token_of
from tests.acceptance.bypass.row import ALLOWED, CLOSED, DENIED, Attempt
from tests.acceptance.bypass.stage import Stage
from tests.emqx import raw
from tests.emqx.raw import RawClient

_CONNACK, _PUBLISH, _SUBACK = 2, 3, 9
_PINGRESP = b"\xd0\x00"
_NOT_AUTHORIZED, _NOT_GRANTED = 5, 0x80

Text = str | bytes


@dataclass(frozen=True, slots=True)
class Connect(Attempt):
    """A CONNECT, judged by its CONNACK."""

    client_id: Text = "amy_x"
    username: Text | None = "amy"
    password: Text | None = token_of("amy")  # noqa: RUF009 - pure
    clean: bool = True
    will: tuple[str, bytes, int, bool] | None = None
    level: int = 4
    protocol: str = "MQTT"
    flags: int = 0
    listener: str = "plain"

    def packet(self) -> bytes:
        """What is sent."""
        return raw.connect(
            self.client_id,
            clean=self.clean,
            username=self.username,
            password=self.password,
            will=self.will,
            level=self.level,
            protocol=self.protocol,
            flags=self.flags,
        )

    async def made(self, stage: Stage) -> str:
        """See Attempt."""
        async with opened(stage, self.listener) as client:
            return outcome(await client.ask(self.packet()))


@dataclass(frozen=True, slots=True)
class Packets(Attempt):
    """Packets of a client that is connected, judged by the first answer.

    Attributes:
        packet: what is sent; a PINGREQ follows, for what is not answered.
        before: what is sent before it, first of all a CONNECT.
    """

    packet: bytes = raw.PINGREQ
    before: tuple[bytes, ...] = (Connect().packet(),)

    async def made(self, stage: Stage) -> str:
        """See Attempt."""
        async with opened(stage) as client:
            for packet in self.before:
                assert outcome(await client.ask(packet)) == ALLOWED
            return outcome(await client.ask(self.packet, raw.PINGREQ))


@dataclass(frozen=True, slots=True)
class Subscribe(Attempt):
    """A SUBSCRIBE with these filters: allowed if all of them are granted."""

    filters: tuple[str, ...] = ("mchat/inbox/amy",)
    username: str = "amy"
    qos: int = 1
    listener: str = "plain"

    async def made(self, stage: Stage) -> str:
        """See Attempt."""
        async with connected(stage, f"{self.username}_sub", self.username, self.listener) as client:
            return outcome(await client.ask(raw.subscribe(*self.filters, qos=self.qos)))


@dataclass(frozen=True, slots=True)
class Publish(Attempt):
    """A PUBLISH: allowed if somebody who watches gets it.

    Attributes:
        flags: of the packet beside the QoS; 1 is RETAIN.
    """

    topic: str = "mchat/status/amy"
    username: str = "amy"
    qos: int = 1
    flags: int = 0

    async def made(self, stage: Stage) -> str:
        """See Attempt."""
        payload = stage.payload("message")
        async with connected(stage, f"{self.username}_pub", self.username) as client:
            client.send(raw.publish(self.topic, payload, self.qos, flags=self.flags), raw.PINGREQ)
            while (answer := await client.receive()) != _PINGRESP:
                if answer == b"":
                    assert not await stage.arrived(payload)
                    return CLOSED
        return ALLOWED if await stage.arrived(payload) else DENIED


@dataclass(frozen=True, slots=True)
class Will(Attempt):
    """A will, left by a client whose connection ends in this way: allowed if somebody gets it."""

    topic: str = "mchat/status/amy"
    retain: bool = False
    ends: str = "cut"

    async def made(self, stage: Stage) -> str:
        """See Attempt."""
        payload = stage.payload("will")
        left = Connect("amy_will", will=(self.topic, payload, 1, self.retain))
        async with opened(stage) as client:
            assert outcome(await client.ask(left.packet())) == ALLOWED
            if self.ends == "kicked":
                assert await stage.broker.broker.kick("amy_will")
            elif self.ends == "cut":
                await client.close()
            # Whoever comes in under the same client id waits until the will of the one before is dealt with.
            async with connected(stage, "amy_will", "amy"):
                return ALLOWED if await stage.arrived(payload) else DENIED


@dataclass(frozen=True, slots=True)
class TakeOver(Attempt):
    """amy connects with a client id, to continue the session behind it.

    Attributes:
        client_id: `{person}_{something}`: whose session it is.
        victim: what there is of the owner when she does: `absent`, `offline`, `online`.
    """

    client_id: str = "amy_s"
    victim: str = "absent"

    async def made(self, stage: Stage) -> str:
        """See Attempt."""
        owner = self.client_id.partition("_")[0]
        own = Connect(self.client_id, owner, token_of(owner), clean=False)
        message = stage.payload("private")
        async with opened(stage) as victim:
            if self.victim != "absent":
                await victim.ask(own.packet())
                await victim.ask(raw.subscribe(f"mchat/inbox/{owner}"))
                if self.victim == "offline":
                    victim.send(raw.DISCONNECT)
                    assert await victim.closed()
            async with opened(stage) as attacker:
                answer = await attacker.ask(replace(own, username="amy", password=token_of("amy")).packet())
                came = outcome(answer)
                assert came == DENIED or answer[2] == (self.victim != "absent"), "the session is not the one"
            if came == ALLOWED:
                return came
            await _delivered(stage, owner, message)
            if self.victim == "online":
                assert message in await victim.receive(), "the owner was cut off"
                return came
        async with opened(stage) as victim:
            present = self.victim != "absent"
            assert await victim.ask(own.packet()) == bytes((0x20, 2, present, 0)), "the session was touched"
            if present:
                assert message in await victim.receive()
        return came


async def _delivered(stage: Stage, owner: str, message: bytes) -> None:
    async with connected(stage, "gate_2", "gate") as gate:
        assert await gate.ask(raw.publish(f"mchat/inbox/{owner}", message, 1)) == raw.puback(1)


def outcome(answer: bytes) -> str:
    """What an answer of the broker comes to."""
    if answer == b"":
        return CLOSED
    if answer[0] >> 4 == _CONNACK:
        return {0: ALLOWED, _NOT_AUTHORIZED: DENIED}.get(answer[3], f"return code {answer[3]}")
    if answer[0] >> 4 == _SUBACK:
        return DENIED if _NOT_GRANTED in answer[4:] else ALLOWED
    assert answer[0] >> 4 != _PUBLISH
    return ALLOWED


@asynccontextmanager
async def opened(stage: Stage, listener: str = "plain") -> AsyncIterator[RawClient]:
    """A connection that has sent nothing yet."""
    client = await stage.listeners[listener].make()
    try:
        yield client
    finally:
        await client.close()


@asynccontextmanager
async def connected(
    stage: Stage, client_id: str, person: str, listener: str = "plain"
) -> AsyncIterator[RawClient]:
    """A connected client of a person; its session ends with it."""
    async with opened(stage, listener) as client:
        answer = await client.ask(raw.connect(client_id, username=person, password=token_of(person)))
        assert outcome(answer) == ALLOWED
        yield client
        client.send(raw.DISCONNECT)
