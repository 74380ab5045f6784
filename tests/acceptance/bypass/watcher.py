"""Somebody who is subscribed, and what arrived."""

import asyncio
from contextlib import suppress

from tests.acceptance.bypass.company import token_of
from tests.emqx import raw
from tests.emqx.raw import RawClient, RawClients
from tests.emqx.waiting import until

_PUBLISH = 3


class Watcher:
    """A connected client that reads all the time."""

    def __init__(self, client: RawClient) -> None:
        self._client = client
        self._arrived: list[bytes] = []
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def of(cls, clients: RawClients, client_id: str, person: str, *filters: str) -> "Watcher":
        """Connect as a person and subscribe to these filters, all of which must be granted."""
        client = await clients.connected(client_id, username=person, password=token_of(person))
        granted = await client.ask(raw.subscribe(*filters, qos=0))
        assert granted == raw.packet(0x90, raw.number(1), bytes(len(filters))), granted
        return cls(client)

    async def _read(self) -> None:
        while packet := await self._client.receive(seconds=3_600):
            if packet[0] >> 4 == _PUBLISH:
                self._arrived.append(packet)

    def got(self, payload: bytes) -> bool:
        """Whether a message with this payload, which is nobody else's, has arrived."""
        return any(packet.endswith(payload) for packet in self._arrived)

    async def gets(self, payload: bytes) -> None:
        """Wait for a message."""
        await until(lambda: self.got(payload))

    async def stop(self) -> None:
        """Read no more."""
        self._reading.cancel()
        with suppress(asyncio.CancelledError):
            await self._reading
